// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/net/checksum.h"

#include "testkit/test.h"

namespace barebpf {
namespace {

// RFC 1071 as it is written: 16-bit words in network order, one after another.
u32 naive_sum(const u8* bytes, size_t size) {
    u32 sum = 0;
    for (size_t i = 0; i < size; ++i) sum += i % 2 ? bytes[i] : u32{bytes[i]} << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

u32 swapped(u32 sum) {
    return (sum >> 8 | sum << 8) & 0xffff;
}

u32 next_random(u32& state) {
    state = state * 1664525 + 1013904223;
    return state >> 8;
}

TEST(Checksum, AgreesWithTheWordByWordSumAtEveryLengthAndAlignment) {
    u8 memory[160];
    u32 random = 1;
    for (u8& byte : memory) byte = static_cast<u8>(next_random(random));
    for (u32 start = 0; start < 9; ++start) {
        for (u32 size = 0; start + size <= sizeof memory; ++size) {
            const u32 sum = csum_fold_sum(csum_partial(memory + start, size, 0));
            // A machine of either byte order: the residue is the same up to a swap (RFC 1071, 2.B).
            const u32 expected = naive_sum(memory + start, size);
            EXPECT_TRUE(sum % 0xffff == swapped(expected) % 0xffff) << start << " " << size;
        }
    }
}

TEST(Checksum, CarriesOfAllOnesAreNotLost) {
    u8 memory[64];
    __builtin_memset(memory, 0xff, sizeof memory);
    for (u32 size = 1; size <= sizeof memory; ++size) {
        const u32 sum = csum_partial(memory, size, 0xffff'ffff);
        EXPECT_EQ(csum_fold_sum(sum) % 0xffff, size % 2 ? 0xffu : 0u) << size;
        EXPECT_NE(sum, 0u);  // ones'-complement addition reaches 0 only from 0
    }
    EXPECT_EQ(csum_partial(memory, 0, 7), 7u);
}

TEST(Checksum, AddAndSubtractKeepTheCarry) {
    EXPECT_EQ(csum_add(0xffff'ffff, 1), 1u);
    EXPECT_EQ(csum_add(0xffff'ffff, 0xffff'ffff), 0xffff'ffffu);
    EXPECT_EQ(csum_sub(5, 3), 2u);
    EXPECT_EQ(csum_sub(3, 5) % 0xffff, 0xffff - 2u);
    EXPECT_EQ(csum_fold_sum(0x1'ffff), 1u);
    EXPECT_EQ(csum_fold(0), 0xffffu);
    EXPECT_EQ(csum_shift(0x1234'5678, 3), 0x7812'3456u);
    EXPECT_EQ(csum_shift(0x1234'5678, 2), 0x1234'5678u);
}

// A whole header summed again must give what the incremental update gives.
TEST(Checksum, ReplacingAFieldEqualsSummingAgain) {
    u32 random = 7;
    for (u32 round = 0; round < 2000; ++round) {
        u16 words[10];
        for (u16& word : words) word = static_cast<u16>(next_random(random));
        const u16 before = csum_fold(csum_partial(words, sizeof words, 0));
        u32 from, to = next_random(random) ^ next_random(random) << 13;
        __builtin_memcpy(&from, words + 4, 4);
        __builtin_memcpy(words + 4, &to, 4);
        const u16 after = csum_fold(csum_partial(words, sizeof words, 0));
        EXPECT_EQ(csum_replace32(before, from, to) % 0xffff, after % 0xffff);
        const u32 diff = csum_partial(&to, 4, csum_sub(0, csum_partial(&from, 4, 0)));
        EXPECT_EQ(csum_replace_by_diff(before, diff) % 0xffff, after % 0xffff);

        const u16 old_word = words[2];
        words[2] = static_cast<u16>(next_random(random));
        const u16 again = csum_fold(csum_partial(words, sizeof words, 0));
        EXPECT_EQ(csum_replace16(after, old_word, words[2]) % 0xffff, again % 0xffff);
    }
}

// The two forms of zero: RFC 1624's corner case (its section 3: the result must be 0, not 0xffff).
TEST(Checksum, ReplaceGivesRfc1624sFormOfZero) {
    EXPECT_EQ(csum_replace16(0xdd2f, 0x5555, 0x3285), 0x0000u);
    EXPECT_EQ(csum_replace32(0xdd2f, 0x5555, 0x3285), 0x0000u);
}

}  // namespace
}  // namespace barebpf
