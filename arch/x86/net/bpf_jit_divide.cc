// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Division and remainder. RFC 9669 4.1: x / 0 is 0, x % 0 is x, INT_MIN / -1 is INT_MIN and
// INT_MIN % -1 is 0; the machine would fault on all of them, so they are decided before.
#include "arch/x86/net/bpf_jit_lower.h"

namespace barebpf::x86 {

// Unsigned, by a constant power of two: a shift or a mask.
bool Lowering::divide_by_power_of_two(const Op& op) {
    u64 divisor = op.wide ? static_cast<u64>(op.imm) : static_cast<u32>(op.imm);
    if (op.kind != Kind::AluConst || op.sign || (divisor & (divisor - 1)) != 0 || divisor == 0)
        return false;
    Op simple = op;
    if (op.code == BPF_DIV) {
        simple.code = BPF_RSH;
        simple.imm = __builtin_ctzll(divisor);
        shift_const(simple);
        return true;
    }
    u64 mask = divisor - 1;
    if (!fits_s32(static_cast<s64>(mask))) return false;
    simple.code = BPF_AND;
    simple.imm = static_cast<s64>(mask);
    alu_const(simple);
    return true;
}

// The divisor is in kScratch; -1 is its own inverse, without the overflow that would fault.
void Lowering::signed_special_cases(const Op& op, Label done) {
    Width w = width(op);
    Label ordinary = out_.local_label();
    out_.cmp(w, kScratch, -1);
    out_.jump(Condition::NotEqual, ordinary);
    if (op.code == BPF_DIV) {
        if (op.dst != op.lhs) out_.mov(w, x(op.dst), x(op.lhs));
        out_.neg(w, x(op.dst));
    } else {
        out_.zero(x(op.dst));
    }
    out_.jump(done);
    out_.bind(ordinary);
}

// rdx:rax / kScratch, with whatever else is live in rax and rdx put aside.
void Lowering::divide_registers(const Op& op) {
    constexpr Register kLow = Register::Rax, kHigh = Register::Rdx;
    Width w = width(op);
    Register dst = x(op.dst);
    bool keep_low = dst != kLow && live_after(op, BPF_REG_0);
    bool keep_high = dst != kHigh && live_after(op, BPF_REG_3);
    if (keep_low) out_.mov(Width::W64, kScratch2, kLow);
    if (keep_high) out_.mov(Width::W64, kScratch3, kHigh);
    if (x(op.lhs) != kLow) out_.mov(w, kLow, x(op.lhs));
    if (!op.sign)
        out_.zero(kHigh);
    else if (op.wide)
        out_.cqo();
    else
        out_.cdq();
    out_.unary(op.sign ? Unary::Idiv : Unary::Div, w, kScratch);
    Register result = op.code == BPF_DIV ? kLow : kHigh;
    if (dst != result) out_.mov(w, dst, result);
    if (keep_low) out_.mov(Width::W64, kLow, kScratch2);
    if (keep_high) out_.mov(Width::W64, kHigh, kScratch3);
}

void Lowering::divide(const Op& op) {
    if (divide_by_power_of_two(op)) return;
    Width w = width(op);
    bool by_const = op.kind == Kind::AluConst;
    Label done = out_.local_label();
    if (by_const && op.imm == 0) {  // the verifier refuses it; an unverified program may have it
        if (op.code == BPF_DIV)
            out_.zero(x(op.dst));
        else
            move(w, op.dst, op.lhs);
        return out_.bind(done);
    }
    if (by_const) {
        out_.load_constant(kScratch, op.wide ? static_cast<u64>(op.imm) : static_cast<u32>(op.imm));
    } else {
        out_.mov(w, kScratch, x(op.rhs));
        Label nonzero = out_.local_label();
        out_.test(w, kScratch, kScratch);
        out_.jump(Condition::NotEqual, nonzero);
        if (op.code == BPF_DIV)
            out_.zero(x(op.dst));
        else
            move(w, op.dst, op.lhs);
        out_.jump(done);
        out_.bind(nonzero);
    }
    if (op.sign && (!by_const || op.imm == -1)) signed_special_cases(op, done);
    divide_registers(op);
    out_.bind(done);
}

}  // namespace barebpf::x86
