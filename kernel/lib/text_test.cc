// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/lib/text.h"

#include "testkit/test.h"

namespace barebpf {
namespace {

struct Point {
    int x, y;
};
void append_to(TextBuffer& out, const Point& point) {
    out.print('<', point.x, ',', point.y, '>');
}

template <class... Parts>
void expect_text(const char* expected, const Parts&... parts) {
    char memory[128];
    TextBuffer out(memory);
    out.print(parts...);
    EXPECT_STREQ(out.c_str(), expected);
    EXPECT_EQ(out.length(), __builtin_strlen(expected));
    EXPECT_FALSE(out.truncated());
}

TEST(Text, PrintsEachKindOfPart) {
    expect_text("", "");
    expect_text("0", 0);
    expect_text("R3=0x1f off=-4", "R", 3, "=", hex(0x1f), " off=", -4);
    expect_text("18446744073709551615", ~u64{0});
    expect_text("-9223372036854775808", s64{-0x7fffffffffffffff - 1});
    expect_text("255 -1 65535 -2 4294967295", u8{255}, ' ', s8{-1}, ' ', u16{65535}, ' ', s16{-2},
                ' ', ~u32{0});
    expect_text("0x0 0xffffffffffffffff", hex(0), " ", hex(~u64{0}));
    expect_text("0a 00ff 123", HexDigits{10, 2}, ' ', HexDigits{255, 4}, ' ', HexDigits{0x123, 2});
    expect_text("   7|  -7|12345", Column{7, 4}, '|', Column{-7, 4}, '|', Column{12345, 4});
    expect_text("ab 10 (null) <1,-2>", Bytes{"abc", 2}, ' ', true, false, ' ',
                static_cast<const char*>(nullptr), ' ', Point{1, -2});
}

TEST(Text, HexWidthIsBounded) {
    expect_text("0000000000000001", HexDigits{1, 200});
}

TEST(Text, KeepsWhatFitsAndCountsTheRest) {
    char memory[8] = "#######";
    TextBuffer out(memory, 6);
    out.print("abc", 1234);
    EXPECT_STREQ(out.c_str(), "abc12");
    EXPECT_EQ(out.length(), size_t{5});
    EXPECT_EQ(out.needed(), size_t{7});
    EXPECT_TRUE(out.truncated());
    out.append('z');
    out.append("yx");
    EXPECT_STREQ(out.c_str(), "abc12");
    EXPECT_EQ(out.needed(), size_t{10});
    EXPECT_EQ(memory[6], '#');  // nothing behind the buffer is touched

    out.clear();
    EXPECT_STREQ(out.c_str(), "");
    out.append("fits.");
    EXPECT_FALSE(out.truncated());
    EXPECT_EQ(out.length(), size_t{5});
}

TEST(Text, EveryBufferSizeHoldsTheSamePrefix) {
    const char* whole = "scalar(umax=255)";
    for (size_t size = 0; size <= 20; ++size) {
        char memory[32];
        for (char& c : memory) c = '#';
        TextBuffer out(memory, size);
        out.print("scalar(umax=", 255);
        out.append(')');
        const size_t expected = size == 0 ? 0 : size - 1 < 16 ? size - 1 : 16;
        EXPECT_EQ(out.length(), expected);
        EXPECT_EQ(out.needed(), size_t{16});
        EXPECT_EQ(out.truncated(), size <= 16);
        for (size_t i = 0; i < expected; ++i) EXPECT_EQ(out.c_str()[i], whole[i]);
        EXPECT_EQ(out.c_str()[expected], '\0');
        for (size_t i = size; i < sizeof memory; ++i) EXPECT_EQ(memory[i], '#');
    }
}

TEST(Text, WithoutMemoryItOnlyCounts) {
    TextBuffer out(nullptr, 0);
    out.print("abc", 12, 'x');
    EXPECT_EQ(out.needed(), size_t{6});
    EXPECT_EQ(out.length(), size_t{0});
    EXPECT_STREQ(out.c_str(), "");
}

TEST(Text, PadsToAColumn) {
    char memory[32];
    TextBuffer out(memory);
    out.print("ab");
    out.pad_to(5);
    out.print("|");
    out.pad_to(3);
    out.print("|");
    EXPECT_STREQ(out.c_str(), "ab   ||");
}

}  // namespace
}  // namespace barebpf
