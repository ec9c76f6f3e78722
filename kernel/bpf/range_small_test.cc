// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The scalar domain on words of 8 bits with halves of 4. Scalars are drawn at random, but all of the
// words that they stand for are tried: so this sees every value that a function loses, and can tell
// how many it adds.
#include <vector>

#include "kernel/bpf/range_alu_impl.h"
#include "kernel/bpf/range_jmp_impl.h"
#include "kernel/bpf/range_oracle_test.h"
#include "kernel/bpf/small_words_test.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using Small = BasicScalar<u8>;
using test::Random;
using test::u4;

std::vector<u8> words_of(const Small& scalar) {
    std::vector<u8> words;
    for (unsigned word = 0; word < 256; ++word) {
        if (scalar.contains(static_cast<u8>(word))) words.push_back(static_cast<u8>(word));
    }
    return words;
}

Small random_unsynced(Random& random) {
    const u8 word = random.word<u8>();
    return test::random_unsynced<u8>(random, word, random.chance(4) ? word : random.word<u8>());
}

Small random_scalar(Random& random) {
    Small made = random_unsynced(random);
    EXPECT_TRUE(made.sync());
    return made;
}

// The least scalar with all words that were added: what an exact function returns.
class Hull {
public:
    void add(u8 word) {
        const Small one = Small::constant(word);
        if (empty_) hull_ = one;
        hull_ = unsynced_join(one);
        empty_ = false;
    }
    bool empty() const { return empty_; }
    const Small& scalar() const { return hull_; }

private:
    Small unsynced_join(const Small& one) const {
        Small made = hull_;
        made.set_all(hull_.all().join(one.all()));
        Slice<u4> low = hull_.low().join(one.low());
        low.var = made.var_off.low();
        made.set_low(low);
        return made;
    }

    Small hull_ = Small::unknown();
    bool empty_ = true;
};

TEST(SmallRange, SyncKeepsExactlyTheSameWords) {
    Random random(1);
    u32 tight = 0;
    const u32 rounds = test::rounds(20000);
    for (u32 round = 0; round < rounds; ++round) {
        const Small before = random_unsynced(random);
        Small after = before;
        ASSERT_TRUE(after.sync());
        ASSERT_TRUE(test::well_formed(after));
        ASSERT_EQ(words_of(before), words_of(after));
        Hull hull;
        for (const u8 word : words_of(before)) hull.add(word);
        ASSERT_TRUE(after.includes(hull.scalar()));
        tight += after == hull.scalar();
        Small again = after;
        ASSERT_TRUE(again.sync());
        ASSERT_TRUE(again == after);
    }
    EXPECT_GT(tight, rounds * 91 / 100);  // the rest are off by what only a search would find
}

TEST(SmallRange, SyncFindsContradictions) {
    Random random(2);
    int empty = 0, found = 0;
    for (u32 round = 0; round < test::rounds(50000); ++round) {
        const Small a = random_scalar(random), b = random_scalar(random);
        if (!a.var_off.overlaps(b.var_off)) continue;
        Small both = a;
        Slice<u8> all = a.all();
        all.meet(b.all());
        both.set_all(all);
        Slice<u4> low = both.low();
        low.meet(b.low());
        both.set_low(low);
        bool any = false;
        for (const u8 word : words_of(a)) any |= b.contains(word);
        const bool synced = both.sync();
        ASSERT_TRUE(synced || !any);
        empty += !any;
        found += !synced;
    }
    EXPECT_GT(empty, static_cast<int>(test::rounds(5000)));
    EXPECT_GE(found, empty * 99 / 100);
}

// How much larger than the truth the results of one operation are.
struct Excess {
    u64 words = 0, exact_words = 0;
    void add(const Small& result, const Hull& hull) {
        words += words_of(result).size();
        exact_words += words_of(hull.scalar()).size();
    }
    double ratio() const { return static_cast<double>(words) / static_cast<double>(exact_words); }
};

void check_alu(Random& random, u8 op, s16 off, bool is64, Excess& excess) {
    const Small a = random_scalar(random), b = random_scalar(random);
    const Small result = alu(op, a, b, is64, off);
    ASSERT_TRUE(test::well_formed(result));
    const std::vector<u8> words_of_b = words_of(b);
    Hull hull;
    for (const u8 x : words_of(a)) {
        for (const u8 y : words_of_b) {
            const u8 word = test::concrete_alu<u8>(op, x, y, is64, off);
            ASSERT_TRUE(result.contains(word)) << "op " << int{op} << " off " << off << " is64 "
                                               << is64 << ": " << int{x} << ", " << int{y};
            hull.add(word);
        }
    }
    excess.add(result, hull);
}

// `most_excess` is a little above what was measured (1.0 is exact), so that a loss of precision is seen.
void check_alu_often(u8 op, s16 off, double most_excess) {
    for (const bool is64 : {false, true}) {
        Random random(3);
        Excess excess;
        for (u32 round = 0; round < 150; ++round) {
            check_alu(random, op, off, is64, excess);
            if (testing::Test::HasFatalFailure()) return;
        }
        EXPECT_LE(excess.ratio(), most_excess)
            << "op " << int{op} << " off " << off << " is64 " << is64;
    }
}

TEST(SmallRange, Sums) {
    check_alu_often(BPF_ADD, 0, 1.05);
    check_alu_often(BPF_SUB, 0, 1.05);
    check_alu_often(BPF_NEG, 0, 1.06);
}

TEST(SmallRange, Products) {
    check_alu_often(BPF_MUL, 0, 1.17);
}

TEST(SmallRange, Quotients) {
    check_alu_often(BPF_DIV, 0, 1.53);
    check_alu_often(BPF_DIV, 1, 1.99);
    check_alu_often(BPF_MOD, 0, 1.43);
    check_alu_often(BPF_MOD, 1, 1.18);
}

TEST(SmallRange, Bits) {
    check_alu_often(BPF_AND, 0, 1.18);
    check_alu_often(BPF_OR, 0, 1.1);
    check_alu_often(BPF_XOR, 0, 1.23);
}

TEST(SmallRange, Shifts) {
    check_alu_often(BPF_LSH, 0, 1.69);
    check_alu_often(BPF_RSH, 0, 1.6);
    check_alu_often(BPF_ARSH, 0, 1.28);
}

TEST(SmallRange, Moves) {
    for (s16 off = 0; off < 8; ++off) check_alu_often(BPF_MOV, off, 1.16);
}

TEST(SmallRange, NarrowingKeepsEveryWord) {
    Random random(4);
    for (u32 round = 0; round < test::rounds(10000); ++round) {
        const Small a = random_scalar(random);
        for (unsigned bits = 1; bits <= 8; ++bits) {
            const Small zero = a.zero_extend(bits), sign = a.sign_extend(bits);
            for (const u8 x : words_of(a)) {
                ASSERT_TRUE(zero.contains(static_cast<u8>(x & ((1 << bits) - 1))));
                ASSERT_TRUE(sign.contains(
                    bits == 8 ? x
                              : test::concrete_word<u8>(BPF_MOV, 0, x, static_cast<s16>(bits))));
            }
        }
    }
}

struct Pairs {
    bool any = false;
    Hull dst, src;
    void add(u8 x, u8 y) {
        any = true;
        dst.add(x);
        src.add(y);
    }
};

void check_way(const Small& a, const Small& b, u8 op, bool is32, bool holds, const Pairs& pairs,
               Excess& excess) {
    Small dst = a, src = b;
    if (!assume(op, is32, holds, dst, src)) {
        ASSERT_FALSE(pairs.any);
        return;
    }
    ASSERT_TRUE(test::well_formed(dst) && test::well_formed(src));
    ASSERT_TRUE(a.includes(dst) && b.includes(src));
    if (!pairs.any) return;
    ASSERT_TRUE(dst.includes(pairs.dst.scalar()) && src.includes(pairs.src.scalar()))
        << "op " << int{op} << " is32 " << is32 << " holds " << holds;
    excess.add(dst, pairs.dst);
    excess.add(src, pairs.src);
}

void check_jump(const Small& a, const Small& b, u8 op, bool is32, Excess& excess) {
    Pairs taken, not_taken;
    const std::vector<u8> words_of_b = words_of(b);
    for (const u8 x : words_of(a)) {
        for (const u8 y : words_of_b) {
            (test::concrete_jump<u8>(op, x, y, is32) ? taken : not_taken).add(x, y);
        }
    }
    const Taken answer = branch_taken(op, is32, a, b);
    ASSERT_TRUE(answer != Taken::Never || !taken.any);
    ASSERT_TRUE(answer != Taken::Always || !not_taken.any);
    check_way(a, b, op, is32, true, taken, excess);
    check_way(a, b, op, is32, false, not_taken, excess);
}

TEST(SmallRange, JumpsKeepExactlyThePairsThatTakeThem) {
    Random random(5);
    for (const u8 op : test::kJumpOps) {
        Excess excess;
        for (u32 round = 0; round < 300; ++round) {
            const Small a = random_scalar(random);
            const Small b =
                random.chance(3) ? Small::constant(random.word<u8>()) : random_scalar(random);
            check_jump(a, b, op, round & 1, excess);
            if (testing::Test::HasFatalFailure()) return;
        }
        EXPECT_LE(excess.ratio(), op == BPF_JSET ? 1.05 : 1.01) << "op " << int{op};
    }
}

TEST(SmallRange, JoinIsTheLeastUpperBoundAndIncludesIsInclusion) {
    Random random(6);
    for (u32 round = 0; round < test::rounds(10000); ++round) {
        const Small a = random_scalar(random), b = random_scalar(random);
        const Small both = a.join(b);
        ASSERT_TRUE(both.includes(a) && both.includes(b));
        for (const u8 word : words_of(a)) ASSERT_TRUE(both.contains(word));
        for (const u8 word : words_of(b)) {
            ASSERT_TRUE(both.contains(word));
            ASSERT_TRUE(!a.includes(b) || a.contains(word));
        }
    }
}

}  // namespace
}  // namespace barebpf
