// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What programs rely on the verifier to know: the patterns that compilers emit around an access, and
// the form in which the log shows them.
#include "kernel/bpf/range.h"
#include "testkit/test.h"
#include "uapi/linux/bpf.h"

namespace barebpf {
namespace {

Scalar k(s64 value) {
    return Scalar::constant(static_cast<u64>(value));
}

Scalar alu64(u8 op, const Scalar& dst, const Scalar& src) {
    return alu(op, dst, src, true);
}
Scalar alu32(u8 op, const Scalar& dst, const Scalar& src) {
    return alu(op, dst, src, false);
}

// `scalar` after `if scalar OP limit` with that outcome.
Scalar after(const Scalar& scalar, u8 op, const Scalar& limit, bool holds, bool is32 = false) {
    Scalar dst = scalar, src = limit;
    EXPECT_TRUE(assume(op, is32, holds, dst, src));
    return dst;
}

void expect_log(const char* expected, const Scalar& scalar, u32 id = 0) {
    char memory[256];
    TextBuffer out(memory);
    print_scalar(out, scalar, id);
    EXPECT_STREQ(out.c_str(), expected);
}

void expect_unsigned(const Scalar& scalar, u64 min, u64 max) {
    EXPECT_EQ(scalar.umin, min);
    EXPECT_EQ(scalar.umax, max);
}

void expect_signed(const Scalar& scalar, s64 min, s64 max) {
    EXPECT_EQ(scalar.smin, min);
    EXPECT_EQ(scalar.smax, max);
}

TEST(RangeLog, ShowsWhatDiffersFromTheRest) {
    expect_log("42", k(42));
    expect_log("-1", k(-1));
    expect_log("scalar()", Scalar::unknown());
    expect_log("scalar(id=7)", Scalar::unknown(), 7);
    expect_log("scalar(umax=255,var_off=(0x0; 0xff))", Scalar::unknown().zero_extend(8));
    expect_log("scalar(umax=4294967295,var_off=(0x0; 0xffffffff))",
               Scalar::unknown().zero_extend(32));
    expect_log("scalar(id=3,umax=9,var_off=(0x0; 0xf))",
               after(Scalar::unknown(), BPF_JLT, k(10), true), 3);
    expect_log("scalar(umin=10)", after(Scalar::unknown(), BPF_JLT, k(10), false));
    expect_log("scalar(smin=-128,smax=127)", Scalar::unknown().sign_extend(8));
    expect_log("scalar(smin=-5,smax=5)", Scalar::signed_range(-5, 5));
    expect_log(
        "scalar(smax=0,umax=9223372036854775808,var_off=(0x0; "
        "0x8000000000000000),s32_min=0,u32_max=0)",
        Scalar::of_tnum({0, u64{1} << 63}));
    Scalar w32 = after(Scalar::unknown(), BPF_JLT, k(16), true, true);
    expect_log(
        "scalar(smax=9223372032559808527,umax=18446744069414584335,"
        "var_off=(0x0; 0xffffffff0000000f),s32_min=0,s32_max=15,u32_max=15)",
        w32);
}

TEST(RangeLog, FieldsFollowThoseOfAPointer) {
    char memory[128];
    TextBuffer out(memory);
    out.print("pkt(id=1,off=14,r=0");
    print_scalar_fields(out, Scalar::unknown().zero_extend(8), true);
    out.append(')');
    EXPECT_STREQ(out.c_str(), "pkt(id=1,off=14,r=0,umax=255,var_off=(0x0; 0xff))");
    out.clear();
    print_scalar_fields(out, Scalar::unknown(), true);
    EXPECT_STREQ(out.c_str(), "");
}

TEST(RangePrecision, MasksBoundAnIndex) {
    const Scalar index = alu64(BPF_AND, Scalar::unknown(), k(0xff));
    expect_unsigned(index, 0, 255);
    expect_signed(index, 0, 255);
    EXPECT_TRUE((index.var_off == Tnum{0, 0xff}));
    EXPECT_EQ(index, alu32(BPF_AND, Scalar::unknown(), k(0xff)));
    EXPECT_TRUE((alu64(BPF_LSH, index, k(3)).var_off == Tnum{0, 0x7f8}));
    expect_unsigned(alu64(BPF_LSH, index, k(3)), 0, 2040);
    expect_unsigned(alu64(BPF_RSH, index, k(4)), 0, 15);
    expect_unsigned(alu64(BPF_ADD, index, k(14)), 14, 269);
    expect_unsigned(alu64(BPF_MUL, index, k(12)), 0, 3060);
    EXPECT_TRUE(alu64(BPF_MUL, index, k(12)).var_off.is_aligned(4));
}

TEST(RangePrecision, ComparisonsBoundAnIndex) {
    const Scalar below = after(Scalar::unknown(), BPF_JLT, k(10), true);
    expect_unsigned(below, 0, 9);
    EXPECT_TRUE((below.var_off == Tnum{0, 15}));
    EXPECT_EQ(below.u32_max, 9u);
    EXPECT_EQ(below, after(Scalar::unknown(), BPF_JGT, k(9), false));
    EXPECT_EQ(below, after(Scalar::unknown(), BPF_JGE, k(10), false));
    EXPECT_EQ(below, after(Scalar::unknown(), BPF_JLE, k(9), true));
    // Signed checks from both sides say the same.
    const Scalar not_negative = after(Scalar::unknown(), BPF_JSLT, k(0), false);
    expect_unsigned(not_negative, 0, ~u64{0} >> 1);
    EXPECT_EQ(below, after(not_negative, BPF_JSGT, k(9), false));
    // An upper bound that excludes nothing but a lower one leaves the signed range open.
    expect_signed(after(Scalar::unknown(), BPF_JSLT, k(10), true), kSignedMinOf<u64>, 9);
}

TEST(RangePrecision, EqualityMakesAConstantAndInequalityTrimsEnds) {
    EXPECT_EQ(after(Scalar::unknown(), BPF_JEQ, k(7), true), k(7));
    EXPECT_EQ(after(Scalar::unknown(), BPF_JNE, k(7), false), k(7));
    expect_unsigned(after(Scalar::unsigned_range(0, 9), BPF_JNE, k(0), true), 1, 9);
    expect_unsigned(after(Scalar::unsigned_range(0, 9), BPF_JEQ, k(9), false), 0, 8);
    EXPECT_EQ(after(Scalar::unsigned_range(3, 4), BPF_JEQ, k(3), false), k(4));
    // Two ranges that are equal share what each knows.
    expect_unsigned(
        after(Scalar::unsigned_range(3, 20), BPF_JEQ, Scalar::unsigned_range(10, 40), true), 10,
        20);
}

TEST(RangePrecision, Jset) {
    EXPECT_TRUE((after(Scalar::unknown(), BPF_JSET, k(8), true).var_off == Tnum{8, ~u64{8}}));
    EXPECT_TRUE(
        (after(Scalar::unknown(), BPF_JSET, k(0xf0), false).var_off == Tnum{0, ~u64{0xf0}}));
    EXPECT_EQ(branch_taken(BPF_JSET, false, k(6), k(1)), Taken::Never);
    EXPECT_EQ(branch_taken(BPF_JSET, false, Scalar::of_tnum({8, 3}), k(8)), Taken::Always);
    EXPECT_EQ(branch_taken(BPF_JSET, true, Scalar::of_tnum({u64{8} << 32, 0}), k(-1)),
              Taken::Never);
}

TEST(RangePrecision, NarrowChecksAndLoadsBoundTheWholeRegister) {
    // w1 = w2 zero-extends; a 32-bit check then bounds all of it.
    const Scalar zero_extended = alu32(BPF_MOV, Scalar::unknown(), Scalar::unknown());
    expect_unsigned(after(zero_extended, BPF_JLT, k(100), true, true), 0, 99);
    // A 64-bit check bounds the lower half, if nothing is above it.
    EXPECT_EQ(after(zero_extended, BPF_JLT, k(100), true).s32_max, 99);
    // A 32-bit signed check, then sign extension.
    Scalar checked = after(Scalar::unknown(), BPF_JSGT, k(100), false, true);
    checked = after(checked, BPF_JSLT, k(-100), false, true);
    expect_signed(checked.sign_extend(32), -100, 100);
    expect_signed(alu(BPF_MOV, k(0), checked, true, 32), -100, 100);
    // The older way: shift up, then arithmetically down.
    const Scalar shifted =
        alu64(BPF_ARSH, alu64(BPF_LSH, Scalar::signed_range(-7, 7), k(32)), k(32));
    expect_signed(shifted, -7, 7);
    expect_signed(alu(BPF_MOV, k(0), Scalar::unknown(), true, 8), -128, 127);
    expect_signed(alu(BPF_MOV, k(0), Scalar::unknown(), true, 16), -32768, 32767);
    expect_unsigned(byte_swap(Scalar::unknown(), 16), 0, 0xffff);
    expect_unsigned(byte_swap(Scalar::unknown().zero_extend(8), 16), 0, 0xff00);
    EXPECT_EQ(byte_swap(k(0x1234), 16), k(0x3412));
}

TEST(RangePrecision, SignMasksSelectWithoutABranch) {
    // r s>>= 63 is 0 or -1; and-ing it with a constant is 0 or the constant.
    const Scalar sign = alu64(BPF_ARSH, Scalar::unknown(), k(63));
    expect_signed(sign, -1, 0);
    expect_unsigned(alu64(BPF_AND, sign, k(13)), 0, 13);
    expect_signed(alu64(BPF_AND, sign, k(-13)), -16, 0);
    EXPECT_FALSE(alu64(BPF_AND, sign, k(-13)).contains(static_cast<u64>(-12)));
    const Scalar half_sign = alu32(BPF_ARSH, Scalar::unknown(), k(31));
    EXPECT_EQ(half_sign.s32_min, -1);
    EXPECT_EQ(half_sign.s32_max, 0);
    expect_unsigned(alu64(BPF_AND, half_sign, k(15)), 0, 15);
    // Sign bits that are copies of each other survive exclusive or.
    expect_signed(alu64(BPF_XOR, Scalar::signed_range(-8, 7), Scalar::signed_range(-3, 5)), -8, 7);
    expect_signed(alu64(BPF_OR, Scalar::signed_range(-8, -1), Scalar::unknown()), -8, -1);
}

TEST(RangePrecision, SumsAndDifferences) {
    const Scalar a = Scalar::unsigned_range(10, 20), b = Scalar::unsigned_range(3, 5);
    expect_unsigned(alu64(BPF_ADD, a, b), 13, 25);
    expect_unsigned(alu64(BPF_SUB, a, b), 5, 17);
    expect_signed(alu64(BPF_SUB, b, a), -17, -5);
    // Differences that wrap for certain are still one interval.
    expect_unsigned(alu64(BPF_SUB, b, a), ~u64{0} - 16, ~u64{0} - 4);
    expect_signed(alu64(BPF_NEG, a, a), -20, -10);
    EXPECT_EQ(alu32(BPF_SUB, b, a).u32_min, static_cast<u32>(-17));
    // One that may wrap loses the unsigned bounds only.
    const Scalar around_zero = alu64(BPF_SUB, Scalar::unsigned_range(0, 5), b);
    expect_signed(around_zero, -5, 2);
    expect_unsigned(around_zero, 0, ~u64{0});
    // Back again: (x - 5) + 5.
    expect_unsigned(alu64(BPF_ADD, alu64(BPF_SUB, Scalar::unsigned_range(0, 5), k(5)), k(5)), 0, 5);
}

TEST(RangePrecision, BitwiseBounds) {
    const Scalar a = Scalar::unsigned_range(0, 9), b = Scalar::unsigned_range(4, 18);
    expect_unsigned(alu64(BPF_OR, a, b), 4, 27);
    expect_unsigned(alu64(BPF_AND, a, b), 0, 9);
    expect_unsigned(alu64(BPF_XOR, a, b), 0, 27);
    expect_unsigned(alu64(BPF_OR, a, k(64)), 64, 73);
}

TEST(RangePrecision, ProductsQuotientsRemainders) {
    const Scalar a = Scalar::unsigned_range(10, 99), sa = Scalar::signed_range(-20, 50);
    expect_unsigned(alu64(BPF_MUL, a, Scalar::unsigned_range(2, 3)), 20, 297);
    expect_signed(alu64(BPF_MUL, sa, k(-3)), -150, 60);
    expect_unsigned(alu64(BPF_DIV, a, k(10)), 1, 9);
    expect_unsigned(alu64(BPF_DIV, a, Scalar::unknown()), 0, 99);
    expect_unsigned(alu64(BPF_MOD, Scalar::unknown(), k(10)), 0, 9);
    expect_unsigned(alu32(BPF_MOD, Scalar::unknown(), k(10)), 0, 9);
    expect_unsigned(alu64(BPF_MOD, a, k(100)), 10, 99);
    expect_unsigned(alu64(BPF_MOD, Scalar::unknown(), k(16)), 0, 15);
    expect_signed(alu(BPF_DIV, sa, k(5), true, 1), -4, 10);
    expect_signed(alu(BPF_DIV, sa, k(-5), true, 1), -10, 4);
    expect_signed(alu(BPF_MOD, Scalar::unknown(), k(-10), true, 1), -9, 9);
    expect_signed(alu(BPF_MOD, sa, k(60), true, 1), -20, 50);
}

TEST(RangePrecision, DivisionByZeroAndOverflowAreDefined) {
    const s64 lowest = kSignedMinOf<u64>;
    EXPECT_EQ(alu64(BPF_DIV, k(7), k(0)), k(0));
    EXPECT_EQ(alu64(BPF_MOD, k(7), k(0)), k(7));
    EXPECT_EQ(alu(BPF_DIV, k(lowest), k(-1), true, 1), k(lowest));
    EXPECT_EQ(alu(BPF_MOD, k(lowest), k(-1), true, 1), k(0));
    EXPECT_EQ(alu32(BPF_MOD, k(-7), k(0)), k(0xfffffff9));
}

TEST(RangePrecision, ShiftAmountsAreMasked) {
    EXPECT_EQ(alu64(BPF_LSH, k(1), k(65)), k(2));
    EXPECT_EQ(alu32(BPF_LSH, k(1), k(33)), k(2));
    EXPECT_EQ(alu32(BPF_ARSH, k(-2), k(1)), k(0xffffffff));
    expect_unsigned(alu64(BPF_RSH, Scalar::unsigned_range(0, 100), Scalar::unknown()), 0, 100);
    expect_unsigned(alu64(BPF_RSH, Scalar::unsigned_range(64, 100), Scalar::unsigned_range(2, 3)),
                    8, 25);
    expect_unsigned(alu64(BPF_LSH, Scalar::unsigned_range(1, 3), Scalar::unsigned_range(0, 4)), 1,
                    48);
    expect_signed(alu64(BPF_ARSH, Scalar::signed_range(-100, 50), Scalar::unsigned_range(1, 2)),
                  -50, 25);
}

TEST(RangePrecision, BranchesThatCannotBeTaken) {
    const Scalar low = Scalar::unsigned_range(0, 9), high = Scalar::unsigned_range(10, 20);
    EXPECT_EQ(branch_taken(BPF_JLT, false, low, high), Taken::Always);
    EXPECT_EQ(branch_taken(BPF_JGE, false, low, high), Taken::Never);
    EXPECT_EQ(branch_taken(BPF_JEQ, false, low, high), Taken::Never);
    EXPECT_EQ(branch_taken(BPF_JNE, true, low, high), Taken::Always);
    EXPECT_EQ(branch_taken(BPF_JSLE, true, low, high), Taken::Always);
    EXPECT_EQ(branch_taken(BPF_JLE, false, low, Scalar::unsigned_range(9, 20)), Taken::Always);
    EXPECT_EQ(branch_taken(BPF_JLT, false, low, Scalar::unsigned_range(9, 20)), Taken::Unknown);
    EXPECT_EQ(branch_taken(BPF_JSGT, false, k(-1), k(0)), Taken::Never);
    EXPECT_EQ(branch_taken(BPF_JGT, false, k(-1), k(0)), Taken::Always);
    // Odd numbers are not even, whatever their bounds.
    EXPECT_EQ(branch_taken(BPF_JEQ, false, Scalar::of_tnum({1, ~u64{1}}), k(8)), Taken::Never);
    Scalar dst = low, src = high;
    EXPECT_FALSE(assume(BPF_JGT, false, true, dst, src));
    const Branches ways = refine(BPF_JEQ, false, low, high);
    EXPECT_FALSE(ways.taken.possible);
    EXPECT_TRUE(ways.not_taken.possible);
}

TEST(RangePrecision, BoundsAreRoundedToMembers) {
    // A multiple of 8 below 100 is at most 96; one above 100 is at least 104.
    const Scalar multiple = alu64(BPF_LSH, Scalar::unknown(), k(3));
    expect_unsigned(after(multiple, BPF_JLT, k(100), true), 0, 96);
    EXPECT_EQ(after(multiple, BPF_JGT, k(100), true).umin, 104u);
    // A range with one member is that member.
    EXPECT_EQ(after(after(multiple, BPF_JLT, k(10), true), BPF_JGT, k(3), true), k(8));
}

TEST(RangePrecision, PruningComparesRanges) {
    EXPECT_TRUE(Scalar::unsigned_range(0, 20).includes(Scalar::unsigned_range(3, 15)));
    EXPECT_FALSE(Scalar::unsigned_range(3, 15).includes(Scalar::unsigned_range(0, 20)));
    EXPECT_FALSE(Scalar::of_tnum({0, 0xf8}).includes(Scalar::unsigned_range(8, 9)));
    EXPECT_TRUE(Scalar::unknown().includes(k(5)));
    EXPECT_FALSE(k(5).includes(Scalar::unknown()));
    expect_unsigned(k(4).join(k(9)), 4, 9);
}

TEST(RangePrecision, UnknownOperationsAreUnknown) {
    EXPECT_EQ(alu64(0xd0, k(1), k(2)), Scalar::unknown());
    EXPECT_EQ(alu64(0x01, k(1), k(2)), Scalar::unknown());
    EXPECT_EQ(branch_taken(0xe0, false, k(1), k(1)), Taken::Unknown);
}

}  // namespace
}  // namespace barebpf
