// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/lib/hash.h"

#include <set>
#include <vector>

#include "testkit/test.h"

namespace barebpf {
namespace {

constexpr u32 kCells = 256;
constexpr u32 kKeys = kCells * 64;

// Chi-square of the counts in 256 cells, 255 degrees of freedom: mean 255, deviation 22.6. A bound
// of 400 is more than six deviations: a sound hash fails it less than once in 10^8 tries.
double chi_square(const std::vector<u32>& counts) {
    const double expected = static_cast<double>(kKeys) / kCells;
    double sum = 0;
    for (u32 count : counts) sum += (count - expected) * (count - expected) / expected;
    return sum;
}

// make(i) is the hash of the i-th key of some regular family; its bits from `lowest` up are looked at.
template <class Make>
void expect_even(const char* what, Make make, u32 lowest = 0) {
    for (const u32 shift : {0u, 8u, 18u, 32u, 40u, 48u, 56u}) {
        if (shift < lowest) continue;
        std::vector<u32> counts(kCells);
        for (u32 i = 0; i < kKeys; ++i) ++counts[(make(i) >> shift) % kCells];
        EXPECT_LT(chi_square(counts), 400) << what << " bits from " << shift;
    }
}

TEST(Hash, RegularKeysSpreadEvenlyInEveryByte) {
    for (const u64 random : {u64{0}, u64{1}, u64{0x123456789abcdef}, ~u64{0}}) {
        const HashSeed seed = make_hash_seed(random);
        for (const u32 step : {1u, 2u, 256u, 4096u, 0x10001u}) {
            expect_even("u32", [&](u32 i) { return hash_u32(i * step, seed); });
            expect_even("u64", [&](u32 i) { return hash_u64(u64{i} * step << 20, seed); });
            expect_even("first", [&](u32 i) { return hash_2xu64(u64{i} * step, 7, seed); });
            expect_even("second", [&](u32 i) { return hash_2xu64(7, u64{i} * step << 32, seed); });
            expect_even("both", [&](u32 i) { return hash_2xu64(i % 128, i / 128 * step, seed); });
            const auto expect_even_upper = [](const char* what, auto hash) {
                expect_even(what, hash, 32);
            };
            for (const u32 shift : {0u, 20u, 32u}) {
                expect_even_upper("upper u64", [&](u32 i) {
                    return upper_hash_u64(u64{i} * step << shift, seed);
                });
                expect_even_upper("upper first", [&](u32 i) {
                    return upper_hash_2xu64(u64{i} * step << shift, 7, seed);
                });
                expect_even_upper("upper second", [&](u32 i) {
                    return upper_hash_2xu64(~u64{0}, u64{i} * step << shift, seed);
                });
                expect_even_upper("upper both", [&](u32 i) {
                    return upper_hash_2xu64(u64{i} << shift, ~(u64{i} * step), seed);
                });
            }
            expect_even_upper("upper, the other byte order", [&](u32 i) {
                return upper_hash_u64(__builtin_bswap64(u64{i} * step), seed);
            });
            expect_even_upper("upper, that of four bytes", [&](u32 i) {
                return upper_hash_u64(__builtin_bswap32(i * step), seed);
            });
        }
        for (const u32 size : {2u, 3u, 5u, 12u, 20u, 33u, 64u}) {
            for (const u32 where : {0u, size / 2 - 1, size - 2}) {
                expect_even("bytes", [&](u32 i) {
                    u8 key[64] = {};
                    key[where] = static_cast<u8>(i);
                    key[where + 1] = static_cast<u8>(i >> 8);
                    return hash_bytes(key, size, seed);
                });
            }
        }
    }
}

TEST(Hash, EveryKeyBitChangesHalfOfTheResult) {
    const HashSeed seed = make_hash_seed(42);
    for (u32 bit = 0; bit < 128; ++bit) {
        u32 changed = 0;
        for (u64 i = 0; i < 256; ++i) {
            u64 key[2] = {i * 0x9e3779b97f4a7c15, ~i};
            const u64 before = hash_key<16>(key, 16, seed);
            key[bit / 64] ^= u64{1} << (bit % 64);
            changed += static_cast<u32>(__builtin_popcountll(before ^ hash_key<16>(key, 16, seed)));
        }
        EXPECT_GT(changed, 256 * 29u) << bit;
        EXPECT_LT(changed, 256 * 35u) << bit;
    }
}

TEST(Hash, LengthsSeedsAndOrderMatter) {
    const u8 zeros[80] = {};
    std::set<u64> seen;
    for (size_t size = 1; size <= sizeof zeros; ++size) {
        seen.insert(hash_bytes(zeros, size, make_hash_seed(1)));
        seen.insert(hash_bytes(zeros, size, make_hash_seed(2)));
    }
    EXPECT_EQ(seen.size(), 2 * sizeof zeros);
    EXPECT_NE(hash_2xu64(1, 2, make_hash_seed(1)), hash_2xu64(2, 1, make_hash_seed(1)));
}

// Each byte of each length counts: none is left out at the seams between blocks.
TEST(Hash, NoByteIsIgnored) {
    for (size_t size = 1; size <= 70; ++size) {
        u8 key[70] = {};
        const u64 before = hash_bytes(key, size, make_hash_seed(3));
        for (size_t i = 0; i < size; ++i) {
            key[i] = 1;
            EXPECT_NE(hash_bytes(key, size, make_hash_seed(3)), before) << size << " " << i;
            key[i] = 0;
        }
    }
}

}  // namespace
}  // namespace barebpf
