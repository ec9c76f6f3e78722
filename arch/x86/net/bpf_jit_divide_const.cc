// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Unsigned division by a constant, as a multiplication by its reciprocal. T. Granlund,
// P. L. Montgomery, "Division by Invariant Integers using Multiplication", PLDI 1994.
//
// For W-bit x and a divisor d that is no power of two, let M = floor(2^(W+s) / d) + 1. If
// M * d - 2^(W+s) <= 2^s, then x / d = (x * M) >> (W+s) for every x. With s = ceil(log2 d) that always
// holds, but M may then have W+1 bits; a smaller s often serves with W.
#include "arch/x86/net/bpf_jit_lower.h"

namespace barebpf::x86 {

struct Reciprocal {
    u64 multiplier;  // the low 64 bits of M
    u32 shift;       // s
    bool has_carry;  // M has a 65th bit
};

static Reciprocal reciprocal64(u64 divisor) {
    u32 log_up = 64 - static_cast<u32>(__builtin_clzll(divisor - 1));
    u64 quotient = ~u64{0} / divisor, rest = ~u64{0} % divisor + 1;  // of 2^64; rest < divisor
    for (u32 s = 0; s < log_up; s++) {
        if (divisor - rest <= u64{1} << s) return {quotient + 1, s, false};
        rest *= 2;
        quotient = quotient * 2 + (rest >= divisor);
        if (rest >= divisor) rest -= divisor;
    }
    return {quotient + 1, log_up, true};
}

// For 32-bit x with a multiplier of 32 bits; false if there is none.
static bool reciprocal32(u64 divisor, Reciprocal* out) {
    for (u32 s = 0; s < 31; s++) {
        u64 power = u64{1} << (32 + s);
        u64 multiplier = power / divisor + 1;
        if (!fits_u32(multiplier)) return false;
        if (multiplier * divisor - power > u64{1} << s) continue;
        *out = {multiplier, s, false};
        return true;
    }
    return false;
}

// 32 bits: r10 = x; r11 = x * M >> (32 + s); no other register takes part.
bool Lowering::divide_narrow_by_const(const Op& op, u64 divisor) {
    Reciprocal by;
    if (!reciprocal32(divisor, &by)) return false;
    constexpr Register kQuotient = kScratch, kDividend = kScratch2;
    out_.mov(Width::W32, kDividend, x(op.lhs));
    out_.mov(Width::W32, kQuotient, static_cast<s32>(by.multiplier));
    out_.imul(Width::W64, kQuotient, kDividend);
    out_.shr(Width::W64, kQuotient, 32 + by.shift);
    if (op.code == BPF_MOD) {
        out_.imul(Width::W32, kQuotient, kQuotient, static_cast<s32>(divisor));
        out_.sub(Width::W32, kDividend, kQuotient);
    }
    out_.mov(Width::W32, x(op.dst), op.code == BPF_MOD ? kDividend : kQuotient);
    return true;
}

// rdx = high half of x * M. With a 65th bit the sum x + rdx may carry: its half is taken as
// (x - rdx) / 2 + rdx.
Register Lowering::multiply_high(const Op& op, u64 divisor) {
    constexpr Register kLow = Register::Rax, kHigh = Register::Rdx;
    // Any 32-bit x is served by 2^64 / d alone.
    Reciprocal by = op.wide ? reciprocal64(divisor) : Reciprocal{~u64{0} / divisor + 1, 0, false};
    out_.mov(width(op), kScratch, x(op.lhs));
    out_.load_constant(kLow, by.multiplier);
    out_.mul(Width::W64, kScratch);
    if (!by.has_carry) {
        if (by.shift != 0) out_.shr(Width::W64, kHigh, by.shift);
        return kHigh;
    }
    out_.mov(Width::W64, kLow, kScratch);
    out_.sub(Width::W64, kLow, kHigh);
    out_.shr(Width::W64, kLow, 1);
    out_.add(Width::W64, kLow, kHigh);
    if (by.shift > 1) out_.shr(Width::W64, kLow, by.shift - 1);
    return kLow;
}

// Only divisors that are positive as BPF's 32-bit immediate; the others are as rare as they look.
bool Lowering::divide_by_const(const Op& op) {
    if (op.kind != Kind::AluConst || op.sign || op.imm < 3) return false;
    auto divisor = static_cast<u64>(op.imm);
    if (!op.wide && divide_narrow_by_const(op, divisor)) return true;
    keep_low_and_high(op);
    Register quotient = multiply_high(op, divisor);
    Width w = width(op);
    if (op.code == BPF_MOD) {
        out_.imul(w, quotient, quotient, static_cast<s32>(divisor));
        out_.sub(w, kScratch, quotient);
        quotient = kScratch;
    }
    if (x(op.dst) != quotient || !op.wide) out_.mov(w, x(op.dst), quotient);
    restore_low_and_high(op);
    return true;
}

}  // namespace barebpf::x86
