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

// What is live in rax and rdx is put aside, except where the result goes.
void Lowering::keep_low_and_high(const Op& op) {
    if (op.dst != BPF_REG_0 && live_after(op, BPF_REG_0))
        out_.mov(Width::W64, kScratch2, Register::Rax);
    if (op.dst != BPF_REG_3 && live_after(op, BPF_REG_3))
        out_.mov(Width::W64, kScratch3, Register::Rdx);
}

void Lowering::restore_low_and_high(const Op& op) {
    if (op.dst != BPF_REG_0 && live_after(op, BPF_REG_0))
        out_.mov(Width::W64, Register::Rax, kScratch2);
    if (op.dst != BPF_REG_3 && live_after(op, BPF_REG_3))
        out_.mov(Width::W64, Register::Rdx, kScratch3);
}

// The 64-bit instruction takes two to three times as long as the 32-bit one, and most operands are
// small: look first. The shift that looks also leaves the zero that the upper half must be.
void Lowering::divide_unsigned_wide(const Op& op) {
    Label large = out_.local_label(), done = out_.local_label();
    out_.mov(Width::W64, Register::Rdx, Register::Rax);
    out_.or_(Width::W64, Register::Rdx, kScratch);
    out_.shr(Width::W64, Register::Rdx, 32);
    out_.jump(Condition::NotEqual, large);
    out_.div(Width::W32, kScratch);
    out_.jump(done);
    out_.bind(large);
    out_.zero(Register::Rdx);
    out_.div(Width::W64, kScratch);
    out_.bind(done);
}

// rdx:rax / kScratch
void Lowering::divide_registers(const Op& op) {
    Width w = width(op);
    keep_low_and_high(op);
    if (x(op.lhs) != Register::Rax) out_.mov(w, Register::Rax, x(op.lhs));
    if (op.sign) {
        op.wide ? out_.cqo() : out_.cdq();
        out_.idiv(w, kScratch);
    } else if (op.wide) {
        divide_unsigned_wide(op);
    } else {
        out_.zero(Register::Rdx);
        out_.div(w, kScratch);
    }
    Register result = op.code == BPF_DIV ? Register::Rax : Register::Rdx;
    if (x(op.dst) != result) out_.mov(w, x(op.dst), result);
    restore_low_and_high(op);
}

void Lowering::divide(const Op& op) {
    if (divide_by_power_of_two(op) || divide_by_const(op)) return;
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
