// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Facts about registers along a block, and what follows from them for single Ops: operands taken
// from where they were copied from, moves and masks that change nothing.
#include "arch/x86/net/bpf_jit_fuse.h"

namespace barebpf::x86 {

static u8 bit_length(u64 value) {
    return value == 0 ? u8{0} : static_cast<u8>(64 - __builtin_clzll(value));
}

static u8 smaller(u8 a, u8 b) {
    return a < b ? a : b;
}

static u8 larger(u8 a, u8 b) {
    return a > b ? a : b;
}

static u8 bits_of(Width width) {
    return static_cast<u8>(bytes(width) * 8);
}

void Fuser::forget() {
    for (Fact& fact : facts_) fact = Fact{};
}

void Fuser::define(Reg reg, u32 i) {
    for (Fact& fact : facts_)
        if (fact.copy_of == reg) fact.copy_of = kNoReg;
    facts_[reg] = Fact{};
    facts_[reg].last_def = i;
}

// How many bits an arithmetic result can have, from those of its operands.
u8 Fuser::alu_bits(const Op& op) const {
    u8 full = op.wide ? 64 : 32;
    u8 left = smaller(known_bits(op.lhs), full);
    bool is_const = op.kind == Kind::AluConst;
    u8 right = is_const ? smaller(bit_length(static_cast<u64>(op.imm)), full)
                        : smaller(known_bits(op.rhs), full);
    switch (op.code) {
        case BPF_AND:
            return smaller(left, right);
        case BPF_OR:
        case BPF_XOR:
            return larger(left, right);
        case BPF_RSH:
            return !is_const ? left : left > op.imm ? static_cast<u8>(left - op.imm) : u8{0};
        case BPF_LSH:
            return is_const ? static_cast<u8>(left + op.imm > full ? full : left + op.imm) : full;
        case BPF_DIV:
        case BPF_MOD:
            return op.sign ? full : left;
        case BPF_ADD:
            return larger(left, right) < full ? static_cast<u8>(larger(left, right) + 1) : full;
        default:
            return full;
    }
}

u8 Fuser::result_bits(const Op& op) const {
    switch (op.kind) {
        case Kind::Mov:
            return smaller(known_bits(op.lhs), op.wide ? 64 : 32);
        case Kind::MovConst:
            return bit_length(static_cast<u64>(op.imm));
        case Kind::Extend:
            if (!op.sign) return smaller(bits_of(op.size), known_bits(op.lhs));
            return op.wide ? 64 : 32;
        case Kind::Alu:
        case Kind::AluConst:
            return alu_bits(op);
        case Kind::Swap:
            return bits_of(op.size);
        case Kind::Neg:
        case Kind::Rotate:
        case Kind::Lea:
            return op.wide ? 64 : 32;
        case Kind::Load:
            return op.sign ? u8{64} : bits_of(op.size);
        case Kind::CpuId:
            return 32;
        case Kind::Atomic:
        case Kind::AluMem:
            return bits_of(op.size);
        default:
            return 64;
    }
}

void Fuser::record(u32 i, const Op& op) {
    RegSet written = defs(op);
    if (written == 0) return;
    u8 bits = result_bits(op);
    for (Reg reg = 0; reg < kRegs; reg++)
        if (written & reg_bit(reg)) define(reg, i);
    if ((written & (written - 1)) != 0) return;  // a call: nothing is known of R0 to R5
    auto reg = static_cast<Reg>(__builtin_ctz(written));
    facts_[reg].bits = bits;
    if (op.kind == Kind::Mov && op.lhs != op.dst) {
        facts_[reg].copy_of = op.lhs;
        facts_[reg].copy_wide = op.wide;
    }
}

// Where the value of a register came from, if that still holds it.
Reg Fuser::original(Reg reg, bool wide) const {
    if (reg == kNoReg) return reg;
    const Fact& fact = facts_[reg];
    if (fact.copy_of == kNoReg || (wide && !fact.copy_wide)) return reg;
    return fact.copy_of;
}

void Fuser::use_originals(Op& op) {
    op.at.base = original(op.at.base, true);
    op.at.index = original(op.at.index, true);
    if (op.select == Select::FromReg) op.value = original(op.value, op.value_wide);
    switch (op.kind) {
        case Kind::Mov:
        case Kind::Alu:
        case Kind::Branch:
            op.lhs = original(op.lhs, op.wide);
            op.rhs = original(op.rhs, op.wide);
            break;
        case Kind::AluConst:
        case Kind::Neg:
        case Kind::Rotate:
        case Kind::BranchConst:
            op.lhs = original(op.lhs, op.wide);
            break;
        case Kind::Extend:
        case Kind::Swap:
            op.lhs = original(op.lhs, op.size == Width::W64);
            break;
        case Kind::Store:
            op.rhs = original(op.rhs, op.size == Width::W64);
            break;
        default:
            break;
    }
}

static bool is_low_mask(s64 imm) {
    return imm > 0 && (imm & (imm + 1)) == 0;
}

// An unsigned division of 32-bit values gives the same in 32 bits, where it is much faster.
void Fuser::narrow_division(Op& op) {
    bool divides = (op.kind == Kind::Alu || op.kind == Kind::AluConst) &&
                   (op.code == BPF_DIV || op.code == BPF_MOD);
    if (!divides || op.sign || known_bits(op.lhs) > 32) return;
    if (op.kind == Kind::AluConst ? op.imm >= 0 : known_bits(op.rhs) <= 32) op.wide = false;
}

// A comparison whose answer the known bits give: of a masked index with the map's size.
bool Fuser::never_taken(const Op& op) const {
    if (op.select != Select::No) return false;
    const u8 full = op.wide ? 64 : 32;
    const u8 bits = smaller(known_bits(op.lhs), full);
    if (bits == 64) return false;
    const u64 most = (u64{1} << bits) - 1;
    const u64 imm = op.wide ? static_cast<u64>(op.imm) : static_cast<u32>(op.imm);
    switch (op.code) {
        case BPF_JEQ:
        case BPF_JGE:
            return imm > most;
        case BPF_JGT:
            return imm >= most;
        case BPF_JSET:
            return (imm & most) == 0;
        default:
            return false;
    }
}

// Masks and extensions as the plainest Op that does the same.
void Fuser::simplify(Op& op) {
    if (op.kind == Kind::AluConst && op.code == BPF_AND && is_low_mask(op.imm)) {
        u8 kept = bit_length(static_cast<u64>(op.imm));
        if (known_bits(op.lhs) <= kept) {
            op.kind = Kind::Mov;
            op.wide = true;
        } else if (kept == 8 || kept == 16) {
            op.kind = Kind::Extend;
            op.sign = false;
            op.size = kept == 8 ? Width::W8 : Width::W16;
        }
    }
    if (op.kind == Kind::Extend && !op.sign && known_bits(op.lhs) <= bits_of(op.size)) {
        op.kind = Kind::Mov;
        op.wide = true;
    }
    if (op.kind == Kind::Extend && !op.sign && op.size == Width::W32) {
        op.kind = Kind::Mov;
        op.wide = false;
    }
    if (op.kind == Kind::Mov && !op.wide && known_bits(op.lhs) <= 32) op.wide = true;
    if (op.kind == Kind::Mov && op.wide && op.dst == op.lhs) op.kind = Kind::Nop;
    if (op.kind == Kind::Swap) op.upper_zero = known_bits(op.lhs) <= 16;
    if (op.select == Select::FromReg && known_bits(op.value) <= 32) op.value_wide = true;
}

void Fuser::step(u32 i) {
    Op& op = unit_.ops[i];
    if (op.leader) {
        forget();
        block_start_ = i;
    }
    if (op.kind == Kind::Nop) return;
    use_originals(op);
    simplify(op);
    narrow_division(op);
    if (op.kind == Kind::Mov && !fuse_move(i)) make_where_moved(i);
    if (op.kind == Kind::Alu && !fuse_rotate(i)) fuse_wider_load(i);
    if (op.kind == Kind::Alu) fuse_load_operand(i);
    if (op.kind == Kind::AluConst) fuse_extension(i);
    if (is_address_op(op)) fuse_address(i);
    if (op.kind == Kind::Load && forward_store(i)) {
        use_originals(op);
        simplify(op);
    }
    if (op.kind == Kind::BranchConst && never_taken(op)) op.kind = Kind::Nop;
    if (op.kind == Kind::BranchConst && !fuse_test(i)) fuse_compare_memory(i);
    record(i, op);
}

void Fuser::run() {
    for (u32 i = 0; i < unit_.count; i++) step(i);
}

void fuse(Unit& unit) {
    Fuser(unit).run();
}

}  // namespace barebpf::x86
