// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Arithmetic, moves, shifts and byte swaps. 32-bit instructions of the machine clear the upper half
// of their result, exactly as BPF's 32-bit class wants it: no Op needs an extension of its own.
#include "arch/x86/net/bpf_jit_lower.h"

namespace barebpf::x86 {

void Lowering::move(Width width, Reg dst, Reg src) {
    if (dst == src && width == Width::W64) return;
    out_.mov(width, x(dst), x(src));
}

void Lowering::move_const(const Op& op) {
    if (const Frame::Kept* there = kept(op.imm)) return out_.mov(Width::W64, x(op.dst), there->reg);
    out_.load_constant(x(op.dst), static_cast<u64>(op.imm));
}

static Alu alu_of(u8 code) {
    switch (code) {
        case BPF_ADD:
            return Alu::Add;
        case BPF_SUB:
            return Alu::Sub;
        case BPF_OR:
            return Alu::Or;
        case BPF_AND:
            return Alu::And;
        default:
            return Alu::Xor;
    }
}

// dst = lhs op rhs in either order; for an addition into a third register, lea.
void Lowering::commutative(const Op& op) {
    Width w = width(op);
    Reg other = op.rhs;
    if (op.dst == op.rhs) {
        other = op.lhs;
    } else if (op.dst != op.lhs) {
        if (op.code == BPF_ADD)
            return out_.lea(w, x(op.dst), Memory(x(op.lhs), x(op.rhs), Scale::X1));
        out_.mov(w, x(op.dst), x(op.lhs));
    }
    if (op.code == BPF_MUL) return out_.imul(w, x(op.dst), x(other));
    out_.alu(alu_of(op.code), w, x(op.dst), x(other));
    set_flags(op);
}

// For a comparison with zero that may follow.
void Lowering::set_flags(const Op& op) {
    flags_reg_ = op.dst;
    flags_wide_ = op.wide;
    flags_position_ = out_.position();
}

void Lowering::subtract(const Op& op) {
    Width w = width(op);
    if (op.lhs == op.rhs) return out_.zero(x(op.dst));
    if (op.dst == op.rhs) {
        out_.neg(w, x(op.dst));
        out_.add(w, x(op.dst), x(op.lhs));
        return set_flags(op);
    }
    if (op.dst != op.lhs) out_.mov(w, x(op.dst), x(op.lhs));
    out_.sub(w, x(op.dst), x(op.rhs));
    set_flags(op);
}

void Lowering::alu_memory(const Op& op) {
    out_.alu(alu_of(op.code), op.size, x(op.dst), memory(op.at));
    set_flags(op);
}

void Lowering::alu(const Op& op) {
    switch (op.code) {
        case BPF_ADD:
        case BPF_MUL:
        case BPF_OR:
        case BPF_AND:
        case BPF_XOR:
            return commutative(op);
        case BPF_SUB:
            return subtract(op);
        case BPF_DIV:
        case BPF_MOD:
            return divide(op);
        default:
            return shift(op);
    }
}

void Lowering::add_const(const Op& op, s64 value) {
    Width w = width(op);
    if (!fits_s32(value)) {  // minus INT_MIN
        move(Width::W64, op.dst, op.lhs);
        return out_.sub(w, x(op.dst), static_cast<s32>(op.imm));
    }
    auto imm = static_cast<s32>(value);
    if (op.dst != op.lhs) return out_.lea(w, x(op.dst), Memory(x(op.lhs), imm));
    if (imm == 128)
        out_.sub(w, x(op.dst), -128);  // which has a byte form
    else
        out_.add(w, x(op.dst), imm);
    set_flags(op);
}

// Powers of two by shifting; 3, 5 and 9 by an address. Others by the three-operand multiplication.
bool Lowering::multiply_const(const Op& op) {
    Width w = width(op);
    Register dst = x(op.dst), src = x(op.lhs);
    if (op.imm == 0) {
        out_.zero(dst);
        return true;
    }
    for (u32 n = 1; n <= 3; n++) {
        if (op.imm != (1 << n) + 1) continue;
        out_.lea(w, dst, Memory(src, src, static_cast<Scale>(n)));
        return true;
    }
    if (op.imm > 0 && (op.imm & (op.imm - 1)) == 0) {
        Op shifted = op;
        shifted.code = BPF_LSH;
        shifted.imm = __builtin_ctzll(static_cast<u64>(op.imm));
        shift_const(shifted);
        return true;
    }
    return false;
}

void Lowering::alu_const(const Op& op) {
    Width w = width(op);
    auto imm = static_cast<s32>(op.imm);
    switch (op.code) {
        case BPF_ADD:
            return add_const(op, op.imm);
        case BPF_SUB:
            return add_const(op, -op.imm);
        case BPF_MUL:
            if (!multiply_const(op)) out_.imul(w, x(op.dst), x(op.lhs), imm);
            return;
        case BPF_DIV:
        case BPF_MOD:
            return divide(op);
        case BPF_LSH:
        case BPF_RSH:
        case BPF_ARSH:
            return shift_const(op);
        default:
            break;
    }
    // A non-negative mask clears the upper half anyway: the shorter 32-bit form does the same.
    if (op.code == BPF_AND && imm >= 0) w = Width::W32;
    if (op.dst != op.lhs) out_.mov(w, x(op.dst), x(op.lhs));
    if (op.code == BPF_XOR && imm == -1) return out_.not_(w, x(op.dst));
    out_.alu(alu_of(op.code), w, x(op.dst), imm);
    set_flags(op);
}

static Shift shift_of(u8 code) {
    return code == BPF_LSH ? Shift::Shl : code == BPF_RSH ? Shift::Shr : Shift::Sar;
}

void Lowering::shift_const(const Op& op) {
    Width w = width(op);
    u32 count = static_cast<u32>(op.imm) & (op.wide ? 63 : 31);
    if (count == 0) return move(w, op.dst, op.lhs);
    if (op.dst != op.lhs && op.code == BPF_LSH && count <= 3) {
        if (count == 1) return out_.lea(w, x(op.dst), Memory(x(op.lhs), x(op.lhs), Scale::X1));
        return out_.lea(w, x(op.dst), Memory::index_only(x(op.lhs), static_cast<Scale>(count)));
    }
    if (op.dst != op.lhs) out_.mov(w, x(op.dst), x(op.lhs));
    out_.shift(shift_of(op.code), w, x(op.dst), count);
}

// Without BMI2 the count must be in cl, which is R4.
void Lowering::shift(const Op& op) {
    Width w = width(op);
    Shift operation = shift_of(op.code);
    if (options_.bmi2) return out_.shiftx(operation, w, x(op.dst), x(op.lhs), x(op.rhs));
    Register dst = x(op.dst);
    constexpr Register kCount = Register::Rcx;
    if (x(op.rhs) == kCount && dst != kCount) {
        if (op.dst != op.lhs) out_.mov(w, dst, x(op.lhs));
        return out_.shift_cl(operation, w, dst);
    }
    out_.mov(w, kScratch, x(op.lhs));
    if (dst == kCount) {
        out_.mov(Width::W32, kCount, x(op.rhs));
        out_.shift_cl(operation, w, kScratch);
        return out_.mov(w, dst, kScratch);
    }
    if (dst != x(op.rhs)) {
        out_.xchg(Width::W64, kCount, x(op.rhs));
        out_.mov(w, dst, x(op.lhs) == kCount || x(op.lhs) == x(op.rhs) ? kScratch : x(op.lhs));
        out_.shift_cl(operation, w, dst);
        return out_.xchg(Width::W64, kCount, x(op.rhs));
    }
    // dst is the count itself: it may be clobbered, so it keeps rcx meanwhile.
    out_.xchg(Width::W64, kCount, dst);
    out_.shift_cl(operation, w, kScratch);
    out_.mov(Width::W64, kCount, dst);
    out_.mov(w, dst, kScratch);
}

void Lowering::extend(const Op& op) {
    if (op.sign) return out_.movsx(width(op), x(op.dst), op.size, x(op.lhs));
    if (op.size == Width::W64) return move(Width::W64, op.dst, op.lhs);
    out_.movzx(x(op.dst), op.size, x(op.lhs));
}

void Lowering::swap(const Op& op) {
    Width w = op.size == Width::W64 ? Width::W64 : Width::W32;
    if (op.dst != op.lhs) out_.mov(w, x(op.dst), x(op.lhs));
    if (op.size != Width::W16) return out_.bswap(w, x(op.dst));
    out_.rol(Width::W16, x(op.dst), 8);
    if (!op.upper_zero) out_.movzx(x(op.dst), Width::W16, x(op.dst));
}

void Lowering::rotate(const Op& op) {
    Width w = width(op);
    auto count = static_cast<u32>(op.imm);
    if (op.dst != op.lhs && options_.bmi2)
        return out_.rorx(w, x(op.dst), x(op.lhs), (op.wide ? 64 : 32) - count);
    if (op.dst != op.lhs) out_.mov(w, x(op.dst), x(op.lhs));
    out_.rol(w, x(op.dst), count);
}

// The mask is all ones where the top bits of the number and of limit - number are both clear, which is
// where number <= limit. It takes the place of a branch, so that a mispredicting CPU adds nothing either.
void Lowering::masked_offset(const Op& op) {
    const Register number = kScratch2, mask = kScratch;
    out_.mov(Width::W64, number, x(op.rhs));
    out_.load_constant(mask, static_cast<u64>(op.imm));
    out_.sub(Width::W64, mask, number);
    out_.or_(Width::W64, mask, number);
    out_.not_(Width::W64, mask);
    out_.sar(Width::W64, mask, 63);
    out_.and_(Width::W64, number, mask);
    if (op.dst != op.lhs) out_.mov(Width::W64, x(op.dst), x(op.lhs));
    out_.alu(op.code == BPF_SUB ? Alu::Sub : Alu::Add, Width::W64, x(op.dst), number);
}

}  // namespace barebpf::x86
