// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Soundness of the scalar domain on 64-bit words, by sampling: two words are drawn, scalars are drawn
// around them, and no function may lose what the words show to be possible.
#include "kernel/bpf/range.h"

#include <string>

#include "kernel/bpf/range_oracle_test.h"
#include "testkit/test.h"

namespace barebpf {

namespace {

// For messages of failed expectations.
std::string text_of(const Scalar& scalar) {
    char memory[512];
    TextBuffer text(memory);
    print_scalar(text, scalar);
    return text.c_str();
}

using test::concrete_alu;
using test::concrete_jump;
using test::Random;
using test::random_unsynced;
using test::well_formed;

// A scalar, and two words that it must hold.
struct Sample {
    explicit Sample(Random& random) : first(random.word<u64>()), second(first) {
        if (!random.chance(4)) second = random.word<u64>();
        if (random.chance(3)) second = first + random.below(64);
        scalar = random_unsynced<u64>(random, first, second);
        synced = scalar.sync();
    }
    u64 first, second;
    Scalar scalar;
    bool synced;
};

TEST(Range, SyncKeepsTheWordsAndIsDoneInOneCall) {
    Random random(1);
    for (u32 round = 0; round < test::rounds(200000); ++round) {
        const Sample sample(random);
        ASSERT_TRUE(sample.synced);
        ASSERT_TRUE(well_formed(sample.scalar));
        ASSERT_TRUE(sample.scalar.contains(sample.first) && sample.scalar.contains(sample.second));
        Scalar again = sample.scalar;
        ASSERT_TRUE(again.sync());
        ASSERT_EQ(again, sample.scalar);
    }
}

TEST(Range, AluResultsHoldWhatTheInstructionGives) {
    Random random(2);
    for (u32 round = 0; round < test::rounds(20000); ++round) {
        const Sample a(random), b(random);
        for (const test::AluCase& c : test::kAluCases) {
            for (const bool is64 : {false, true}) {
                const Scalar result = alu(c.op, a.scalar, b.scalar, is64, c.off);
                ASSERT_TRUE(well_formed(result));
                for (const u64 x : {a.first, a.second}) {
                    for (const u64 y : {b.first, b.second}) {
                        ASSERT_TRUE(result.contains(concrete_alu(c.op, x, y, is64, c.off)))
                            << "op " << int{c.op} << " off " << c.off << " is64 " << is64 << ": "
                            << x << ", " << y << text_of(a.scalar) << text_of(b.scalar)
                            << text_of(result);
                    }
                }
            }
        }
    }
}

TEST(Range, SmallShiftAmountsAndDivisors) {
    Random random(3);
    for (u32 round = 0; round < test::rounds(50000); ++round) {
        const Sample a(random);
        const u64 low = random.below(80), high = low + random.below(4);
        const Scalar b = Scalar::unsigned_range(low, high);
        for (const test::AluCase& c : test::kAluCases) {
            const bool is64 = random.chance(2);
            const Scalar result = alu(c.op, a.scalar, b, is64, c.off);
            ASSERT_TRUE(result.contains(concrete_alu(c.op, a.first, low, is64, c.off)));
            ASSERT_TRUE(result.contains(concrete_alu(c.op, a.second, high, is64, c.off)));
        }
    }
}

TEST(Range, ConstantsGiveTheExactConstant) {
    Random random(4);
    for (u32 round = 0; round < test::rounds(50000); ++round) {
        const u64 x = random.word<u64>(), y = random.chance(8) ? 0 : random.word<u64>();
        for (const test::AluCase& c : test::kAluCases) {
            for (const bool is64 : {false, true}) {
                const Scalar result =
                    alu(c.op, Scalar::constant(x), Scalar::constant(y), is64, c.off);
                ASSERT_EQ(result, Scalar::constant(concrete_alu(c.op, x, y, is64, c.off)));
            }
        }
    }
}

TEST(Range, NarrowingAndByteOrder) {
    Random random(5);
    for (u32 round = 0; round < test::rounds(50000); ++round) {
        const Sample a(random);
        for (const u64 x : {a.first, a.second}) {
            for (const s16 bits : {s16{8}, s16{16}, s16{32}}) {
                const unsigned width = static_cast<unsigned>(bits);
                const u64 zero_extended = x & ((u64{1} << bits) - 1);
                const u64 sign_extended = concrete_alu<u64>(BPF_MOV, 0, x, true, bits);
                ASSERT_TRUE(a.scalar.zero_extend(width).contains(zero_extended));
                ASSERT_TRUE(a.scalar.sign_extend(width).contains(sign_extended));
                ASSERT_TRUE(alu(BPF_MOV, a.scalar, a.scalar, true, bits).contains(sign_extended));
                ASSERT_TRUE(alu(BPF_MOV, a.scalar, a.scalar, false, bits)
                                .contains(sign_extended & 0xffffffff));
            }
            ASSERT_TRUE(byte_swap(a.scalar, 64).contains(__builtin_bswap64(x)));
            ASSERT_TRUE(byte_swap(a.scalar, 32).contains(__builtin_bswap32(static_cast<u32>(x))));
            ASSERT_TRUE(byte_swap(a.scalar, 16).contains(__builtin_bswap16(static_cast<u16>(x))));
            ASSERT_EQ(a.scalar.zero_extend(64), a.scalar);
            ASSERT_EQ(a.scalar.sign_extend(64), a.scalar);
        }
    }
}

TEST(Range, JumpsKeepThePairsThatTakeThem) {
    Random random(6);
    for (u32 round = 0; round < test::rounds(20000); ++round) {
        const Sample a(random);
        Sample b(random);
        if (random.chance(4)) b = a;
        for (const u8 op : test::kJumpOps) {
            for (const bool is32 : {false, true}) {
                const Taken taken = branch_taken(op, is32, a.scalar, b.scalar);
                const Branches ways = refine(op, is32, a.scalar, b.scalar);
                for (const Branch* way : {&ways.taken, &ways.not_taken}) {
                    if (!way->possible) continue;
                    ASSERT_TRUE(well_formed(way->dst) && well_formed(way->src));
                    ASSERT_TRUE(a.scalar.includes(way->dst) && b.scalar.includes(way->src));
                }
                for (const u64 x : {a.first, a.second}) {
                    for (const u64 y : {b.first, b.second}) {
                        const bool holds = concrete_jump(op, x, y, is32);
                        const Branch& way = holds ? ways.taken : ways.not_taken;
                        ASSERT_NE(taken, holds ? Taken::Never : Taken::Always);
                        ASSERT_TRUE(way.possible && way.dst.contains(x) && way.src.contains(y))
                            << "op " << int{op} << " is32 " << is32 << ": " << x << ", " << y
                            << text_of(a.scalar) << text_of(b.scalar);
                    }
                }
                ASSERT_TRUE(taken != Taken::Never || !ways.taken.possible);
                ASSERT_TRUE(taken != Taken::Always || !ways.not_taken.possible);
            }
        }
    }
}

TEST(Range, JoinHoldsBothAndIncludesIsInclusion) {
    Random random(7);
    int included = 0;
    for (u32 round = 0; round < test::rounds(50000); ++round) {
        const Sample a(random), b(random);
        const Scalar both = a.scalar.join(b.scalar);
        ASSERT_TRUE(well_formed(both));
        ASSERT_TRUE(both.includes(a.scalar) && both.includes(b.scalar));
        for (const u64 x : {a.first, a.second, b.first, b.second}) ASSERT_TRUE(both.contains(x));
        ASSERT_TRUE(a.scalar.includes(a.scalar));
        ASSERT_TRUE(Scalar::unknown().includes(a.scalar));
        if (a.scalar.includes(b.scalar)) {
            ++included;
            ASSERT_TRUE(a.scalar.contains(b.first) && a.scalar.contains(b.second));
        }
        ASSERT_EQ(a.scalar.includes(Scalar::constant(b.first)), a.scalar.contains(b.first));
    }
    EXPECT_GT(included, static_cast<int>(test::rounds(100)));
}

}  // namespace
}  // namespace barebpf
