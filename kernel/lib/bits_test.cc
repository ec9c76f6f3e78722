// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/lib/bits.h"

#include "testkit/test.h"

namespace barebpf {
namespace {

TEST(Bits, PowersOfTwo) {
    EXPECT_FALSE(is_power_of_two(0));
    EXPECT_TRUE(is_power_of_two(1));
    EXPECT_FALSE(is_power_of_two(6));
    EXPECT_TRUE(is_power_of_two(u64{1} << 63));
    EXPECT_EQ(round_up_to_power_of_two(1), u64{1});
    EXPECT_EQ(round_up_to_power_of_two(3), u64{4});
    EXPECT_EQ(round_up_to_power_of_two(4), u64{4});
    EXPECT_EQ(round_up_to_power_of_two((u64{1} << 32) + 1), u64{1} << 33);
    EXPECT_EQ(align_up(0, 8), u64{0});
    EXPECT_EQ(align_up(9, 8), u64{16});
    EXPECT_EQ(lowest_bit(0x50), u32{4});
    EXPECT_EQ(highest_bit(0x50), u32{6});
}

// Every pair of neighbours, so that a carry between bytes would show.
TEST(Bits, EqualBytesAreExact) {
    for (u32 low = 0; low < 256; ++low) {
        for (u32 high = 0; high < 256; ++high) {
            const u64 word = 0xffffffffffff0000 | (u64{high} << 8) | low;
            for (const u8 wanted : {u8{0}, u8{1}, u8{0x7f}, u8{0x80}, u8{0xfe}}) {
                const u64 expected = (low == wanted ? 0x80 : 0) | (high == wanted ? 0x8000 : 0);
                ASSERT_EQ(equal_bytes(word, wanted), expected) << low << " " << high;
            }
        }
    }
}

TEST(Bits, MatchesAreWalkedInOrder) {
    const u64 word = 0x0511051105051105;
    u32 found[8];
    u32 count = 0;
    for (u64 m = equal_bytes(word, 5); m; m = without_first_byte(m)) found[count++] = first_byte(m);
    ASSERT_EQ(count, u32{5});
    const u32 expected[] = {0, 2, 3, 5, 7};
    for (u32 i = 0; i < count; ++i) EXPECT_EQ(found[i], expected[i]);
}

TEST(Bits, WithByteReplacesOnlyThatByte) {
    EXPECT_EQ(with_byte(0x1111111111111111, 0, 0xab), u64{0x11111111111111ab});
    EXPECT_EQ(with_byte(0x1111111111111111, 7, 0), u64{0x0011111111111111});
}

TEST(Bits, CountBits) {
    EXPECT_EQ(count_bits(0), 0u);
    EXPECT_EQ(count_bits(~u64{0}), 64u);
    for (u32 bit = 0; bit < 64; ++bit) {
        EXPECT_EQ(count_bits(u64{1} << bit), 1u);
        EXPECT_EQ(count_bits((u64{1} << bit) - 1), bit);
    }
}

}  // namespace
}  // namespace barebpf
