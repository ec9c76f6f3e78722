// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Every tnum of 8 bits and every pair of 4 bits is tried against the definition; pairs of 8 bits and
// 64-bit words are sampled.
#include "kernel/bpf/tnum.h"

#include "kernel/bpf/small_words_test.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using Tnum8 = BasicTnum<u8>;

// The set of its members; knows nothing of the functions under test.
struct Members {
    u64 bits[4] = {};
    void insert(u8 word) { bits[word / 64] |= u64{1} << (word % 64); }
    bool contains(u8 word) const { return bits[word / 64] >> (word % 64) & 1; }
};

bool is_member(u8 word, const Tnum8& tnum) {
    return (word & static_cast<u8>(~tnum.mask)) == tnum.value;
}

constexpr unsigned kTnums = 6561;  // 3^8

struct AllTnums {
    AllTnums() {
        unsigned count = 0;
        for (unsigned mask = 0; mask < 256; ++mask) {
            for (unsigned value = 0; value < 256; ++value) {
                if (value & mask) continue;
                list[count++] = {static_cast<u8>(value), static_cast<u8>(mask)};
            }
        }
    }
    Tnum8 list[kTnums];
};

template <class Function>
void for_each_tnum(Function function) {
    static const AllTnums all;
    for (const Tnum8& tnum : all.list) function(tnum);
}

template <class Function>
void for_each_member(const Tnum8& tnum, Function function) {
    u8 part = 0;
    do {
        function(static_cast<u8>(tnum.value | part));
        part = static_cast<u8>((part - tnum.mask) & tnum.mask);
    } while (part);
}

// The smallest tnum with all words that were added: what an exact function returns.
struct Hull {
    u8 all_ones = 255, any_ones = 0;
    void add(u8 word) {
        all_ones &= word;
        any_ones |= word;
    }
    Tnum8 tnum() const { return {all_ones, static_cast<u8>(any_ones & ~all_ones)}; }
};

template <class Abstract, class Concrete>
void expect_exact_unary(Abstract abstract, Concrete concrete) {
    for_each_tnum([&](Tnum8 a) {
        Hull hull;
        for_each_member(a, [&](u8 x) { hull.add(static_cast<u8>(concrete(x))); });
        ASSERT_TRUE(abstract(a) == hull.tnum()) << int{a.value} << " " << int{a.mask};
    });
}

// Pairs (a, b) of 8-bit tnums, all 43 million of which would take minutes in sanitizer builds: every
// pair whose upper, or whose lower, four bits are all zero, and each 211th of the rest.
template <class Function>
void for_each_pair(Function function) {
    unsigned turn = 0;
    for_each_tnum([&](Tnum8 a) {
        for_each_tnum([&](Tnum8 b) {
            const bool narrow = (a.max() | b.max()) < 16 || ((a.max() | b.max()) & 15) == 0;
            if (++turn % 211 == 0 || narrow) function(a, b);
        });
    });
}

template <class Abstract, class Concrete>
void expect_binary(bool exact, Abstract abstract, Concrete concrete) {
    for_each_pair([&](Tnum8 a, Tnum8 b) {
        Hull hull;
        for_each_member(a, [&](u8 x) {
            for_each_member(b, [&](u8 y) { hull.add(static_cast<u8>(concrete(x, y))); });
        });
        const Tnum8 result = abstract(a, b);
        ASSERT_EQ(result.value & result.mask, 0);
        ASSERT_TRUE(hull.tnum().subset_of(result));
        if (exact) {
            ASSERT_TRUE(hull.tnum() == result);
        }
    });
}

TEST(Tnum, BitwiseOperationsAndSumsAreExact) {
    expect_exact_unary([](Tnum8 a) { return ~a; }, [](u8 x) { return ~x; });
    expect_exact_unary([](Tnum8 a) { return -a; }, [](u8 x) { return -x; });
    expect_binary(
        true, [](Tnum8 a, Tnum8 b) { return a & b; }, [](u8 x, u8 y) { return x & y; });
    expect_binary(
        true, [](Tnum8 a, Tnum8 b) { return a | b; }, [](u8 x, u8 y) { return x | y; });
    expect_binary(
        true, [](Tnum8 a, Tnum8 b) { return a ^ b; }, [](u8 x, u8 y) { return x ^ y; });
    expect_binary(
        true, [](Tnum8 a, Tnum8 b) { return a + b; }, [](u8 x, u8 y) { return x + y; });
    expect_binary(
        true, [](Tnum8 a, Tnum8 b) { return a - b; }, [](u8 x, u8 y) { return x - y; });
}

TEST(Tnum, ProductsAreSound) {
    expect_binary(
        false, [](Tnum8 a, Tnum8 b) { return a * b; }, [](u8 x, u8 y) { return x * y; });
}

TEST(Tnum, ShiftsAndExtensionsAreExact) {
    for (unsigned amount = 0; amount < 8; ++amount) {
        expect_exact_unary([=](Tnum8 a) { return a.lshift(amount); },
                           [=](u8 x) { return x << amount; });
        expect_exact_unary([=](Tnum8 a) { return a.rshift(amount); },
                           [=](u8 x) { return x >> amount; });
        expect_exact_unary([=](Tnum8 a) { return a.arshift(amount); },
                           [=](u8 x) { return static_cast<s8>(x) >> amount; });
    }
    for (unsigned bits = 1; bits <= 8; ++bits) {
        expect_exact_unary([=](Tnum8 a) { return a.zero_extend(bits); },
                           [=](u8 x) { return x & ((1 << bits) - 1); });
        expect_exact_unary([=](Tnum8 a) { return a.sign_extend(bits); },
                           [=](u8 x) { return static_cast<s8>(x << (8 - bits)) >> (8 - bits); });
    }
    expect_exact_unary([](Tnum8 a) { return a.clear_low(); }, [](u8 x) { return x & 0xf0; });
    expect_exact_unary(
        [](Tnum8 a) { return a.with_low(BasicTnum<test::u4>::constant(test::u4(5))); },
        [](u8 x) { return (x & 0xf0) | 5; });
    expect_exact_unary([](Tnum8 a) { return Tnum8::constant(0).with_low(a.low()); },
                       [](u8 x) { return x & 0x0f; });
}

TEST(Tnum, LatticeIsThatOfSets) {
    for_each_tnum([](Tnum8 a) {
        Members of_a;
        for_each_member(a, [&](u8 x) { of_a.insert(x); });
        for (unsigned x = 0; x < 256; ++x) {
            const u8 word = static_cast<u8>(x);
            ASSERT_EQ(a.contains(word), of_a.contains(word));
            ASSERT_EQ(a.equals_const(word), a.mask == 0 && a.value == word);
        }
        for (unsigned size = 1; size < 256; size *= 2) {
            bool aligned = true;
            for_each_member(a, [&](u8 x) { aligned &= x % size == 0; });
            ASSERT_EQ(a.is_aligned(static_cast<u8>(size)), aligned);
        }
    });
    for_each_pair([&](Tnum8 a, Tnum8 b) {
        bool subset = true, overlap = false;
        Hull both, either;
        for_each_member(a, [&](u8 x) {
            subset &= is_member(x, b);
            overlap |= is_member(x, b);
            either.add(x);
            if (is_member(x, b)) both.add(x);
        });
        for_each_member(b, [&](u8 y) { either.add(y); });
        ASSERT_EQ(a.subset_of(b), subset);
        ASSERT_EQ(a.overlaps(b), overlap);
        ASSERT_TRUE(a.join(b) == either.tnum());
        if (overlap) {
            ASSERT_TRUE(a.intersect(b) == both.tnum());
        }
    });
}

TEST(Tnum, RangeIsTheSmallestThatHoldsAnInterval) {
    for (unsigned min = 0; min < 256; ++min) {
        Hull hull;
        for (unsigned max = min; max < 256; ++max) {
            hull.add(static_cast<u8>(max));
            const Tnum8 range = Tnum8::range(static_cast<u8>(min), static_cast<u8>(max));
            ASSERT_TRUE(hull.tnum().subset_of(range));
            // All values of an interval share exactly the bits above the highest that varies.
            ASSERT_EQ(range.mask, Tnum8::range(0, static_cast<u8>(min ^ max)).mask);
            ASSERT_TRUE(range.mask == 0 || hull.tnum().mask > range.mask / 2);
        }
    }
    EXPECT_TRUE(Tnum::range(0, ~u64{0}).is_unknown());
    EXPECT_TRUE(Tnum::range(7, 7).equals_const(7));
    EXPECT_TRUE((Tnum::range(16, 31) == Tnum{16, 15}));
}

TEST(Tnum, RoundsToTheNearestMember) {
    for_each_tnum([](Tnum8 a) {
        for (int x = 0; x < 256; ++x) {
            int up = x, down = x;
            while (up < 256 && !is_member(static_cast<u8>(up), a)) ++up;
            while (down >= 0 && !is_member(static_cast<u8>(down), a)) --down;
            u8 word = static_cast<u8>(x);
            ASSERT_EQ(a.round_up(word), up < 256);
            if (up < 256) {
                ASSERT_EQ(int{word}, up);
            }
            word = static_cast<u8>(x);
            ASSERT_EQ(a.round_down(word), down >= 0);
            if (down >= 0) {
                ASSERT_EQ(int{word}, down);
            }
        }
    });
}

// Multiply is not exact; this says how near it comes, so that a change for the worse is seen.
TEST(Tnum, ProductsKeepMostOfWhatCanBeKnown) {
    u64 unknown_bits = 0, least_unknown_bits = 0;
    for (unsigned pair = 0; pair < 81 * 81; ++pair) {
        const auto tnum = [](unsigned code) {  // base 3: one digit for each of 4 bits
            Tnum8 made{0, 0};
            for (unsigned bit = 0; bit < 4; ++bit, code /= 3) {
                if (code % 3 == 1) made.value |= static_cast<u8>(1 << bit);
                if (code % 3 == 2) made.mask |= static_cast<u8>(1 << bit);
            }
            return made;
        };
        const Tnum8 a = tnum(pair % 81), b = tnum(pair / 81);
        Hull hull;
        for_each_member(
            a, [&](u8 x) { for_each_member(b, [&](u8 y) { hull.add(static_cast<u8>(x * y)); }); });
        unknown_bits += static_cast<u64>(__builtin_popcount((a * b).mask));
        least_unknown_bits += static_cast<u64>(__builtin_popcount(hull.tnum().mask));
    }
    RecordProperty("unknown_bits", std::to_string(unknown_bits));
    RecordProperty("least_unknown_bits", std::to_string(least_unknown_bits));
    EXPECT_LE(unknown_bits, least_unknown_bits + least_unknown_bits / 50);
}

class Random {
public:
    u64 next() {  // xorshift64*, Vigna 2014
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545f4914f6cdd1d;
    }

private:
    u64 state_ = 0x9e3779b97f4a7c15;
};

TEST(Tnum, WideOperationsAreSound) {
    Random random;
    for (u32 round = 0; round < test::rounds(100000); ++round) {
        const auto make = [&] {
            u64 mask = random.next() & random.next();
            if (round & 1) mask &= random.next() & random.next();
            if (round & 2) mask |= random.next() | random.next();
            return Tnum{random.next() & ~mask, mask};
        };
        const Tnum a = make(), b = make();
        const u64 x = a.value | (random.next() & a.mask), y = b.value | (random.next() & b.mask);
        const unsigned amount = static_cast<unsigned>(random.next() % 64);
        ASSERT_TRUE((a + b).contains(x + y));
        ASSERT_TRUE((a - b).contains(x - y));
        ASSERT_TRUE((a * b).contains(x * y));
        ASSERT_TRUE((a & b).contains(x & y));
        ASSERT_TRUE((a | b).contains(x | y));
        ASSERT_TRUE((a ^ b).contains(x ^ y));
        ASSERT_TRUE((-a).contains(0 - x));
        ASSERT_TRUE(a.lshift(amount).contains(x << amount));
        ASSERT_TRUE(a.rshift(amount).contains(x >> amount));
        ASSERT_TRUE(
            tnum_arshift(a, amount, 64).contains(static_cast<u64>(static_cast<s64>(x) >> amount)));
        ASSERT_TRUE(tnum_arshift(a, amount % 32, 32)
                        .contains(static_cast<u32>(static_cast<s32>(x) >> (amount % 32))));
        ASSERT_TRUE(tnum_byte_swap(a, 64).contains(__builtin_bswap64(x)));
        ASSERT_TRUE(tnum_byte_swap(a, 32).contains(__builtin_bswap32(static_cast<u32>(x))));
        ASSERT_TRUE(tnum_byte_swap(a, 16).contains(__builtin_bswap16(static_cast<u16>(x))));
        ASSERT_TRUE(tnum_cast(a, 2).contains(static_cast<u16>(x)));
        ASSERT_TRUE(a.sign_extend(32).contains(static_cast<u64>(static_cast<s32>(x))));
        ASSERT_TRUE(a.sign_extend(8).contains(static_cast<u64>(static_cast<s8>(x))));
    }
}

TEST(Tnum, WellKnownCases) {
    EXPECT_TRUE((Tnum::unknown() & Tnum::constant(0xff)) == (Tnum{0, 0xff}));
    EXPECT_TRUE((Tnum::unknown() * Tnum::constant(8)) == (Tnum{0, ~u64{7}}));
    EXPECT_TRUE((Tnum::constant(6) * Tnum::constant(7)).equals_const(42));
    EXPECT_TRUE((Tnum{0, 0xff} * Tnum::constant(0)).equals_const(0));
    EXPECT_TRUE(Tnum::unknown().lshift(2).is_aligned(4));
    EXPECT_FALSE(Tnum::unknown().lshift(2).is_aligned(8));
    EXPECT_TRUE((Tnum::constant(14) + Tnum::unknown().lshift(2)) == (Tnum{2, ~u64{3}}));
    EXPECT_TRUE((tnum_arshift(Tnum::constant(0x80000000), 31, 32).equals_const(0xffffffff)));
}

TEST(Tnum, PrintsAsTheLogDoes) {
    char memory[64];
    TextBuffer out(memory);
    out.print("var_off=", Tnum{0x10, 0xf});
    EXPECT_STREQ(out.c_str(), "var_off=(0x10; 0xf)");
}

}  // namespace
}  // namespace barebpf
