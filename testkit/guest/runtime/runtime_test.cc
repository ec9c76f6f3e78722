// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What tests use of C: in a guest, our run-time; in a process the system's own, which shows that what is expected
// here is right.
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "testkit/test.h"

namespace barebpf {
namespace {

// Called through these, no compiler answers by itself.
void* (*volatile copy)(void*, const void*, size_t) = memcpy;
void* (*volatile move)(void*, const void*, size_t) = memmove;
void* (*volatile fill)(void*, int, size_t) = memset;
int (*volatile compare)(const void*, const void*, size_t) = memcmp;
int (*volatile format)(char*, size_t, const char*, ...) = snprintf;
size_t (*volatile length)(const char*) = strlen;
int (*volatile order)(const char*, const char*) = strcmp;

struct Area {
    u8 bytes[160];

    Area() {
        for (u32 i = 0; i < sizeof bytes; ++i) bytes[i] = byte(i);
    }
    static u8 byte(u32 i) { return static_cast<u8>(i * 7 + 3); }
};

TEST(Runtime, CopiesAreExactAtEveryAlignment) {
    for (u32 size = 0; size <= 80; ++size) {
        for (u32 to = 0; to < 9; ++to) {
            const Area source;
            Area target;
            for (u8& byte : target.bytes) byte = 0xee;
            EXPECT_EQ(copy(target.bytes + 16 + to, source.bytes + to * 3, size),
                      target.bytes + 16 + to);
            for (u32 i = 0; i < sizeof target.bytes; ++i) {
                const bool inside = i >= 16 + to && i < 16 + to + size;
                ASSERT_EQ(target.bytes[i], inside ? Area::byte(to * 3 + i - 16 - to) : 0xee)
                    << size << " to " << to << " at " << i;
            }
        }
    }
}

TEST(Runtime, MovesMayOverlap) {
    for (u32 size = 0; size <= 80; ++size) {
        for (s32 shift = -20; shift <= 20; ++shift) {
            Area area;
            const u32 to = static_cast<u32>(40 + shift);
            EXPECT_EQ(move(area.bytes + to, area.bytes + 40, size), area.bytes + to);
            for (u32 i = 0; i < sizeof area.bytes; ++i) {
                const bool inside = i >= to && i < to + size;
                ASSERT_EQ(area.bytes[i], inside ? Area::byte(40 + i - to) : Area::byte(i))
                    << size << " by " << shift << " at " << i;
            }
        }
    }
}

TEST(Runtime, FillsAndComparisonsStayInBounds) {
    for (u32 size = 0; size <= 80; ++size) {
        Area area, same;
        fill(area.bytes + 13, 0x1a5, size);
        for (u32 i = 0; i < sizeof area.bytes; ++i) {
            ASSERT_EQ(area.bytes[i], i >= 13 && i < 13 + size ? 0xa5 : Area::byte(i)) << size;
        }
        const Area fresh;
        same.bytes[20 + size] ^= 0x80;  // behind what is compared
        EXPECT_EQ(compare(same.bytes + 20, fresh.bytes + 20, size), 0);
        if (size == 0) continue;
        for (const u32 at : {0u, size / 2, size - 1}) {
            Area other;
            other.bytes[20 + at] = static_cast<u8>(other.bytes[20 + at] ^ 0x80);
            const bool less = fresh.bytes[20 + at] < other.bytes[20 + at];
            EXPECT_EQ(compare(fresh.bytes + 20, other.bytes + 20, size) < 0, less) << at;
            EXPECT_EQ(compare(other.bytes + 20, fresh.bytes + 20, size) < 0, !less) << at;
        }
    }
}

TEST(Runtime, Strings) {
    EXPECT_EQ(length(""), 0u);
    EXPECT_EQ(length("abc"), 3u);
    EXPECT_EQ(order("abc", "abc"), 0);
    EXPECT_LT(order("ab", "abc"), 0);
    EXPECT_GT(order("\xff", "a"), 0);
    EXPECT_EQ(strncmp("abcd", "abxx", 2), 0);
    const char* text = "a needle in a haystack";
    EXPECT_EQ(strstr(text, "needle"), text + 2);
    EXPECT_EQ(strstr(text, "needles"), nullptr);
    EXPECT_EQ(strchr(text, 'n'), text + 2);
    EXPECT_EQ(strrchr(text, 'a'), text + 19);
    EXPECT_EQ(memchr(text, 'y', 5), nullptr);
    EXPECT_EQ(memchr(text, 'd', 22), text + 5);
}

template <class... Arguments>
std::string formatted(const char* how, Arguments... arguments) {
    char text[80];
    const int size = format(text, sizeof text, how, arguments...);
    return size == static_cast<int>(length(text)) ? text : "wrong length";
}

TEST(Runtime, FormatsNumbersAndText) {
    EXPECT_EQ(formatted("%d %i %u", -5, 0, 4000000000u), "-5 0 4000000000");
    EXPECT_EQ(formatted("%ld|%lld|%llu", -1l, -9223372036854775807ll - 1, ~0ull),
              "-1|-9223372036854775808|18446744073709551615");
    EXPECT_EQ(formatted("%x %X %o %#x %#x", 255, 255, 8, 255, 0), "ff FF 10 0xff 0");
    EXPECT_EQ(formatted("%02x%02x %5d|%-5d|%05d", 7, 200, 42, 42, -42), "07c8    42|42   |-0042");
    EXPECT_EQ(formatted("%+d % d %.3d %8.3d|", 5, 5, 7, -7), "+5  5 007     -007|");
    EXPECT_EQ(formatted("%hhd %hhu %hd", 511, 511, 65535), "-1 255 -1");
    EXPECT_EQ(formatted("%zu %jx", size_t{12}, u64{0xabc}), "12 abc");
    EXPECT_EQ(formatted("%s|%5s|%-5s|%.2s|%c%%", "abc", "de", "de", "xyz", 'q'),
              "abc|   de|de   |xy|q%");
    EXPECT_EQ(formatted("%*d|%-*d|%.*s", 4, 1, 4, 1, 1, "ab"), "   1|1   |a");
    EXPECT_EQ(formatted("%p", reinterpret_cast<void*>(0xabcd)), "0xabcd");
}

TEST(Runtime, FormatNeverPassesTheEnd) {
    char text[8] = "zzzzzzz";
    EXPECT_EQ(format(text, 4, "%s", "abcdef"), 6);
    EXPECT_STREQ(text, "abc");
    EXPECT_EQ(text[4], 'z');
    EXPECT_EQ(format(text, 0, "%d", 12345), 5);
    EXPECT_STREQ(text, "abc");
}

TEST(Runtime, NewMemoryIsAlignedAndOnesOwn) {
    struct alignas(64) Wide {
        u8 bytes[192];
    };
    std::vector<std::unique_ptr<Wide>> all;
    for (u32 i = 0; i < 50; ++i) {
        all.push_back(std::make_unique<Wide>());
        fill(all.back().get(), static_cast<int>(i), sizeof(Wide));
        EXPECT_EQ(reinterpret_cast<u64>(all.back().get()) % 64, 0u);
    }
    for (u32 i = 0; i < 50; ++i) EXPECT_EQ(all[i]->bytes[191], i);
    const auto large = std::make_unique<u8[]>(1 << 20);
    EXPECT_EQ(reinterpret_cast<u64>(large.get()) % 16, 0u);
}

TEST(Runtime, ContainersOfTheCxxLibrary) {
    std::map<std::string, std::function<u32(u32)>> functions;
    for (u32 i = 0; i < 200; ++i) {
        functions["number " + std::to_string(i * 7919 % 200)] = [i](u32 x) { return x + i; };
    }
    ASSERT_EQ(functions.size(), 200u);
    EXPECT_EQ(functions.begin()->first, "number 0");
    EXPECT_EQ(functions.at("number 119")(1), 2u);
    for (u32 i = 0; i < 200; i += 2) functions.erase("number " + std::to_string(i));
    EXPECT_EQ(functions.size(), 100u);
}

u32 made;
struct Counted {
    Counted() { ++made; }
};
const Counted& only_one() {
    static const Counted one;
    return one;
}

TEST(Runtime, StaticsOfFunctionsAreMadeOnce) {
    made = 0;
    const Counted* seen[8] = {};
    test::run_on_cpus(test::cpus_up_to(8), [&](u32 cpu) { seen[cpu] = &only_one(); });
    EXPECT_EQ(made, 1u);
    for (u32 i = 1; i < test::cpus_up_to(8); ++i) EXPECT_EQ(seen[i], seen[0]);
}

}  // namespace
}  // namespace barebpf
