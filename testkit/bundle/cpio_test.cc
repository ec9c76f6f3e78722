// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/bundle/cpio.h"

#include <memory>
#include <string>

#include "testkit/test.h"

namespace barebpf::bundle {
namespace {

std::string hex(u32 value) {
    char text[9];
    TextBuffer out(text);
    out.print(HexDigits{value, 8});
    return text;
}

std::string fill(std::string text) {
    text.resize((text.size() + 3) & ~size_t{3});
    return text;
}

std::string file(const std::string& name, const std::string& data, u32 mode = 0100644) {
    const u32 fields[] = {1, mode, 0, 0, 1, 0, u32(data.size()), 0, 0, 0, 0, u32(name.size() + 1),
                          0};
    std::string header = "070701";
    for (u32 field : fields) header += hex(field);
    return fill(header + name + std::string(1, '\0')) + fill(data);
}

std::string sample() {
    return file(".", "", 040755) + file("./a", "first") + file("/b", "") + file("c", "12345678") +
           file("TRAILER!!!", "", 0);
}

// What is wrong; empty: nothing. The bytes stand alone, for a sanitizer to see what is read behind them.
std::string open(const std::string& bytes, Cpio* cpio = nullptr) {
    static std::unique_ptr<char[]> copy;
    copy.reset(new char[bytes.size() ? bytes.size() : 1]);
    if (!bytes.empty()) __builtin_memcpy(copy.get(), bytes.data(), bytes.size());
    Cpio other;
    if (!cpio) cpio = &other;
    char text[160];
    TextBuffer error(text);
    const bool good = cpio->open(copy.get(), bytes.size(), &error);
    EXPECT_EQ(good, error.empty());
    return text;
}

std::string content(const Cpio& cpio, const char* name) {
    CpioFile found;
    if (!cpio.find(name, &found)) return "(none)";
    return {reinterpret_cast<const char*>(found.data), found.size};
}

TEST(Cpio, FindsFiles) {
    Cpio cpio;
    EXPECT_EQ(open(sample() + std::string(400, '\0'), &cpio), "");
    EXPECT_EQ(content(cpio, "a"), "first");
    EXPECT_EQ(content(cpio, "b"), "");
    EXPECT_EQ(content(cpio, "c"), "12345678");
    EXPECT_EQ(content(cpio, "d"), "(none)");
    EXPECT_EQ(content(cpio, "."), "(none)");  // a folder
    EXPECT_EQ(content(cpio, "TRAILER!!!"), "(none)");
}

TEST(Cpio, EveryPrefixIsRefused) {
    const std::string whole = sample();
    for (size_t size = 0; size < whole.size(); ++size)
        EXPECT_NE(open(whole.substr(0, size)), "") << size;
}

TEST(Cpio, EveryFieldIsChecked) {
    const std::string one = file("a", "first");
    auto with = [&](size_t at, const std::string& text) {
        std::string bytes = one;
        bytes.replace(at, text.size(), text);
        return open(bytes + file("TRAILER!!!", "", 0));
    };
    auto says = [](const std::string& text, const char* phrase) {
        return text.find(phrase) != std::string::npos;
    };
    EXPECT_TRUE(says(with(0, "070702"), "byte 0: the archive is not a newc"));
    for (size_t field = 0; field < 13; ++field)
        EXPECT_TRUE(says(with(6 + 8 * field + 7, "g"), "a number that is none"));
    EXPECT_TRUE(says(with(6 + 8 * 6, "ffffffff"), "ends in a file's data"));
    EXPECT_TRUE(says(with(6 + 8 * 6, "00000006"), "is not a newc") ||
                says(with(6 + 8 * 6, "00000001"), "something between"));
    EXPECT_TRUE(says(with(6 + 8 * 6, "00000001"), "something between"));
    EXPECT_TRUE(says(with(6 + 8 * 11, "00000000"), "no sensible size"));
    EXPECT_TRUE(says(with(6 + 8 * 11, "00001001"), "no sensible size"));
    EXPECT_TRUE(says(with(6 + 8 * 11, "00000fff"), "ends in a file's name"));
    EXPECT_TRUE(says(with(6 + 8 * 11, "00000001"), "does not end where"));
    EXPECT_TRUE(says(with(6 + 8 * 12, "00000001"), "has a checksum"));
    EXPECT_TRUE(says(open(sample() + "x"), "something follows"));
    EXPECT_TRUE(says(open(std::string("\x1f\x8b") + sample()), "is not a newc"));
}

TEST(Cpio, FlippedBitsDoNoHarm) {
    const std::string whole = sample();
    for (size_t i = 0; i < whole.size(); ++i) {
        for (u32 bit = 0; bit < 8; ++bit) {
            std::string bytes = whole;
            bytes[i] = char(bytes[i] ^ 1 << bit);
            Cpio cpio;
            if (open(bytes, &cpio).empty()) content(cpio, "c");
        }
    }
}

}  // namespace
}  // namespace barebpf::bundle
