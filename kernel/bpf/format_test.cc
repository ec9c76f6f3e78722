// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/format.h"

#include <cstring>
#include <initializer_list>
#include <string>

#include "testkit/test.h"

namespace barebpf {
namespace {

std::string format(const char* text, std::initializer_list<u64> arguments = {}) {
    char out[256];
    TextBuffer buffer(out);
    auto result =
        format_text(&buffer, text, u32(strlen(text)) + 1, arguments.begin(), u32(arguments.size()));
    return result.ok() ? out : "error " + std::to_string(to_int(result.error()));
}

u64 address(const void* pointer) {
    return reinterpret_cast<u64>(pointer);
}

TEST(Format, Integers) {
    EXPECT_EQ(format("%d|%i|%u", {u64(-5), 7, u64(-1)}), "-5|7|4294967295");
    EXPECT_EQ(format("%ld|%lld", {u64(-5), u64(1) << 63}), "-5|-9223372036854775808");
    EXPECT_EQ(format("%llu|%lx", {~u64{0}, ~u64{0}}), "18446744073709551615|ffffffffffffffff");
    EXPECT_EQ(format("%x|%X", {0x1234abcd, 0xffff'ffff'dead'beef}), "1234abcd|DEADBEEF");
    // A 32-bit conversion sees the low half only.
    EXPECT_EQ(format("%d", {0x1'0000'0002}), "2");
}

TEST(Format, WidthAndFlags) {
    EXPECT_EQ(format("[%5d]", {42}), "[   42]");
    EXPECT_EQ(format("[%-5d]", {42}), "[42   ]");
    EXPECT_EQ(format("[%05d]", {u64(-42)}), "[-0042]");
    EXPECT_EQ(format("[%+d]", {42}), "[+42]");
    EXPECT_EQ(format("[% d]", {42}), "[ 42]");
    EXPECT_EQ(format("[%08x]", {0xbeef}), "[0000beef]");
    EXPECT_EQ(format("100%%"), "100%");
}

TEST(Format, TextAndAddresses) {
    EXPECT_EQ(format("<%s>", {address("packet")}), "<packet>");
    EXPECT_EQ(format("<%pks>", {address("k")}), "<k>");
    EXPECT_EQ(format("<%c>", {'x'}), "<x>");
    // A bad pointer is an empty string, never a crash.
    EXPECT_EQ(format("<%s>", {8}), "<>");
    const u8 v4[] = {192, 0, 2, 1};
    EXPECT_EQ(format("%pi4 %pI4", {address(v4), address(v4)}), "192.0.2.1 192.0.2.1");
    const u8 v6[16] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2};
    EXPECT_EQ(format("%pI6", {address(v6)}), "2001:db8::1:0:2");
    EXPECT_EQ(format("%pi6", {address(v6)}), "20010db8000000000000000100000002");
    const u8 loopback[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    EXPECT_EQ(format("%pI6", {address(loopback)}), "::1");
    const u8 any[16] = {};
    EXPECT_EQ(format("%pI6", {address(any)}), "::");
    EXPECT_EQ(format("%pI4", {8}), "(fault)");
}

TEST(Format, PointersAreHiddenUnlessAskedFor) {
    EXPECT_EQ(format("%px", {0xdead'beef}), "00000000deadbeef");
    EXPECT_EQ(format("%p.", {0xdead'beef}), format("%p.", {0xdead'beef}));
    EXPECT_EQ(format("%p", {0xdead'beef}).find("deadbeef"), std::string::npos);
    EXPECT_NE(format("%p", {1}), format("%p", {2}));
}

TEST(Format, RefusesWhatLinuxRefuses) {
    for (const char* bad :
         {"%", "%f", "%lf", "%hd", "%ls", "%pi5", "%pz", "%n", "%*d", "\x80", "a\x01"}) {
        EXPECT_EQ(format(bad, {1, 1}), "error 22") << bad;
    }
    EXPECT_EQ(format("%d %d", {1}), "error 22");
    char out[8];
    TextBuffer buffer(out);
    EXPECT_EQ(format_text(&buffer, "abc", 3, nullptr, 0).error(), Errno::Inval);  // no NUL
    EXPECT_STREQ(out, "");
}

}  // namespace
}  // namespace barebpf
