// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Atomic read-modify-writes (RFC 9669 5.3). Locked instructions are full barriers on x86.
#include "arch/x86/net/bpf_jit_lower.h"

namespace barebpf::x86 {

void Lowering::atomic_plain(const Op& op, Alu operation) {
    out_.lock_alu(operation, op.size, memory(op.at), x(op.rhs));
}

// There is no instruction that returns the old value of an AND, OR or XOR: try, compare, repeat.
// cmpxchg compares with rax, which is R0; where R0 is an operand a copy stands for it.
//
//     r10 = rax    r9 = base, if the base is rax    rax = [base]
//     again: r11 = rax op rhs; lock cmpxchg [base], r11; jne again
//     rhs = rax    rax = r10, unless R0 is the result
void Lowering::atomic_fetch_loop(const Op& op, Alu operation) {
    constexpr Register kOld = Register::Rax;
    Register operand = x(op.rhs), base = x(op.at.base);
    bool result_is_r0 = operand == kOld;
    if (base == kOld) {
        out_.mov(Width::W64, kScratch3, base);
        base = kScratch3;
    }
    if (result_is_r0 || live_after(op, BPF_REG_0)) out_.mov(Width::W64, kScratch2, kOld);
    if (result_is_r0) operand = kScratch2;
    Memory where(base, op.at.disp);
    Label again = out_.local_label();
    out_.mov(op.size, kOld, where);
    out_.bind(again);
    out_.mov(op.size, kScratch, kOld);
    out_.alu(operation, op.size, kScratch, operand);
    out_.lock_cmpxchg(op.size, where, kScratch);
    out_.jump(Condition::NotEqual, again);
    if (result_is_r0) {
        if (op.size == Width::W32) out_.mov(Width::W32, kOld, kOld);
        return;
    }
    out_.mov(op.size, x(op.rhs), kOld);
    if (live_after(op, BPF_REG_0)) out_.mov(Width::W64, kOld, kScratch2);
}

void Lowering::atomic(const Op& op) {
    bool result_wanted = live_after(op, op.rhs);
    switch (op.imm) {
        case BPF_ADD | BPF_FETCH:
            if (result_wanted) return out_.lock_xadd(op.size, memory(op.at), x(op.rhs));
            return atomic_plain(op, Alu::Add);
        case BPF_ADD:
            return atomic_plain(op, Alu::Add);
        case BPF_AND | BPF_FETCH:
            if (result_wanted) return atomic_fetch_loop(op, Alu::And);
            return atomic_plain(op, Alu::And);
        case BPF_AND:
            return atomic_plain(op, Alu::And);
        case BPF_OR | BPF_FETCH:
            if (result_wanted) return atomic_fetch_loop(op, Alu::Or);
            return atomic_plain(op, Alu::Or);
        case BPF_OR:
            return atomic_plain(op, Alu::Or);
        case BPF_XOR | BPF_FETCH:
            if (result_wanted) return atomic_fetch_loop(op, Alu::Xor);
            return atomic_plain(op, Alu::Xor);
        case BPF_XOR:
            return atomic_plain(op, Alu::Xor);
        case BPF_XCHG:
            return out_.xchg(op.size, memory(op.at), x(op.rhs));
        case BPF_CMPXCHG:
            out_.lock_cmpxchg(op.size, memory(op.at), x(op.rhs));
            // On success the machine leaves eax as it is, upper half included.
            if (op.size == Width::W32) out_.mov(Width::W32, Register::Rax, Register::Rax);
            return;
        default:
            ok_ = false;
    }
}

}  // namespace barebpf::x86
