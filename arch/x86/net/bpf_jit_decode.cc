// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BPF instructions (RFC 9669, and the kernel's additions) to Ops, and the clean-up of branches.
#include "arch/x86/net/bpf_jit_ir.h"

namespace barebpf::x86 {

static Width memory_width(u8 code) {
    switch (BPF_SIZE(code)) {
        case BPF_B:
            return Width::W8;
        case BPF_H:
            return Width::W16;
        case BPF_W:
            return Width::W32;
        default:
            return Width::W64;
    }
}

static Width width_of_bits(s32 bits) {
    return bits == 8 ? Width::W8 : bits == 16 ? Width::W16 : bits == 32 ? Width::W32 : Width::W64;
}

// RFC 9669 4.1: MOV; with an offset it sign-extends from that many bits.
static void decode_mov(const bpf_insn& insn, Op& op) {
    if (BPF_SRC(insn.code) == BPF_K) {
        op.kind = Kind::MovConst;
        op.imm = op.wide ? s64{insn.imm} : s64{static_cast<u32>(insn.imm)};
        return;
    }
    op.lhs = insn.src_reg;
    op.kind = Kind::Mov;
    if (insn.off != 0) {
        op.kind = Kind::Extend;
        op.sign = true;
        op.size = width_of_bits(insn.off);
    }
}

// RFC 9669 4.2: byte swaps. To little-endian only truncates here.
static void decode_end(const bpf_insn& insn, Op& op) {
    op.lhs = op.dst;
    op.size = width_of_bits(insn.imm);
    bool swap = op.wide || BPF_SRC(insn.code) == BPF_TO_BE;
    op.kind = swap ? Kind::Swap : Kind::Extend;
    op.wide = true;
}

static void decode_alu(const bpf_insn& insn, Op& op) {
    op.dst = insn.dst_reg;
    op.wide = BPF_CLASS(insn.code) == BPF_ALU64;
    op.code = BPF_OP(insn.code);
    if (op.code == BPF_MOV) return decode_mov(insn, op);
    if (op.code == BPF_END) return decode_end(insn, op);
    op.lhs = op.dst;
    if (op.code == BPF_NEG) {
        op.kind = Kind::Neg;
        return;
    }
    op.sign = (op.code == BPF_DIV || op.code == BPF_MOD) && insn.off == 1;
    if (BPF_SRC(insn.code) == BPF_X) {
        op.kind = Kind::Alu;
        op.rhs = insn.src_reg;
    } else {
        op.kind = Kind::AluConst;
        op.imm = insn.imm;
    }
}

static bool decode_load(const bpf_insn& insn, Op& op) {
    if (BPF_MODE(insn.code) != BPF_MEM && BPF_MODE(insn.code) != BPF_MEMSX) return false;
    op.kind = Kind::Load;
    op.dst = insn.dst_reg;
    op.size = memory_width(insn.code);
    op.sign = BPF_MODE(insn.code) == BPF_MEMSX;
    op.at = {insn.src_reg, kNoReg, 0, insn.off};
    return true;
}

static bool decode_store(const bpf_insn& insn, Op& op) {
    op.size = memory_width(insn.code);
    op.at = {insn.dst_reg, kNoReg, 0, insn.off};
    if (BPF_CLASS(insn.code) == BPF_ST) {
        op.kind = Kind::StoreConst;
        op.imm = insn.imm;
        return BPF_MODE(insn.code) == BPF_MEM;
    }
    op.kind = Kind::Store;
    op.rhs = insn.src_reg;
    if (BPF_MODE(insn.code) == BPF_MEM) return true;
    if (BPF_MODE(insn.code) != BPF_ATOMIC) return false;
    op.ordered = true;
    if (insn.imm == BPF_STORE_REL) return true;
    if (insn.imm == BPF_LOAD_ACQ) {
        op.kind = Kind::Load;
        op.dst = insn.dst_reg;
        op.rhs = kNoReg;
        op.at.base = insn.src_reg;
        return true;
    }
    op.kind = Kind::Atomic;
    op.imm = insn.imm;
    op.wide = op.size == Width::W64;
    return op.size == Width::W32 || op.size == Width::W64;
}

static bool decode_call(const bpf_insn& insn, u32 i, Op& op) {
    op.imm = insn.imm;
    if (insn.src_reg == BPF_PSEUDO_CALL) {
        op.kind = Kind::CallSubprog;
        op.target = i + 1 + static_cast<u32>(insn.imm);
        return true;
    }
    op.kind = Kind::CallHelper;
    return insn.src_reg == 0;
}

static bool decode_jump(const bpf_insn& insn, u32 i, Op& op) {
    u8 code = BPF_OP(insn.code);
    op.wide = BPF_CLASS(insn.code) == BPF_JMP;
    op.code = code;
    op.target = i + 1 + static_cast<u32>(s32{insn.off});
    switch (code) {
        case BPF_JA:
            op.kind = Kind::Jump;
            if (!op.wide) op.target = i + 1 + static_cast<u32>(insn.imm);  // gotol
            return true;
        case BPF_CALL:
            return op.wide && decode_call(insn, i, op);
        case BPF_EXIT:
            op.kind = Kind::Exit;
            return op.wide;
        case BPF_TAIL_CALL:
            op.kind = Kind::TailCall;
            return op.wide;
        case BPF_JCOND:
            return false;  // may_goto is gone after the fix-ups
        default:
            break;
    }
    op.lhs = insn.dst_reg;
    if (BPF_SRC(insn.code) == BPF_X) {
        op.kind = Kind::Branch;
        op.rhs = insn.src_reg;
    } else {
        op.kind = Kind::BranchConst;
        op.imm = insn.imm;
    }
    return true;
}

// BPF_LD holds only the 64-bit immediate by now.
static bool decode_imm64(const bpf_insn* insn, u32 i, u32 left, Op& op) {
    if (insn->code != (BPF_LD | BPF_IMM | BPF_DW) || left < 2) return false;
    op.dst = insn->dst_reg;
    if (insn->src_reg == BPF_PSEUDO_FUNC) {
        op.kind = Kind::FuncAddress;
        op.target = i + 1 + static_cast<u32>(insn->imm);
        return true;
    }
    op.kind = Kind::MovConst;
    op.imm = static_cast<s64>(u64{static_cast<u32>(insn[0].imm)} |
                              u64{static_cast<u32>(insn[1].imm)} << 32);
    return true;
}

// The opcodes of prog.h that no program is loaded with.
static bool decode_internal(const bpf_insn& insn, Op& op) {
    switch (insn.code) {
        case BPF_NOSPEC:
            op.kind = Kind::Fence;
            return true;
        case BPF_CPU_ID:
            op.kind = Kind::CpuId;
            op.dst = insn.dst_reg;
            return host::cpu_id_place().base != host::CpuIdBase::None;
        case BPF_MASKED_OFFSET:
            op.kind = Kind::MaskedOffset;
            op.code = insn.off & kMaskedSubtract ? BPF_SUB : BPF_ADD;
            op.dst = insn.dst_reg;
            op.lhs = insn.off & kMaskedNumberIsDst ? insn.src_reg : insn.dst_reg;
            op.rhs = insn.off & kMaskedNumberIsDst ? insn.dst_reg : insn.src_reg;
            op.imm = s64{static_cast<u32>(insn.imm)};
            return true;
        default:
            return false;
    }
}

static bool is_internal(u8 code) {
    return BPF_CLASS(code) == BPF_ST && BPF_MODE(code) == BPF_MODE(BPF_NOSPEC);
}

static bool decode_one(const bpf_insn* insn, u32 i, u32 left, Op& op) {
    if (is_internal(insn->code)) return decode_internal(*insn, op);
    switch (BPF_CLASS(insn->code)) {
        case BPF_ALU:
        case BPF_ALU64:
            decode_alu(*insn, op);
            return true;
        case BPF_LDX:
            return decode_load(*insn, op);
        case BPF_ST:
        case BPF_STX:
            return decode_store(*insn, op);
        case BPF_JMP:
        case BPF_JMP32:
            return decode_jump(*insn, i, op);
        default:
            return decode_imm64(insn, i, left, op);
    }
}

static bool has_target(const Op& op) {
    return op.kind == Kind::Jump || op.kind == Kind::CallSubprog || op.kind == Kind::FuncAddress ||
           (is_branch(op) && op.select == Select::No);
}

static void find_leaders(Unit& unit) {
    for (u32 i = 0; i < unit.count; i++) unit.ops[i].leader = false;
    for (u32 i = 0; i < unit.count; i++)
        if (has_target(unit.ops[i])) unit.ops[unit.ops[i].target].leader = true;
    for (const SubprogInfo& subprog : unit.prog->subprogs)
        if (subprog.start < unit.count) unit.ops[subprog.start].leader = true;
}

static bool is_subprog_start(const Unit& unit, u32 insn) {
    for (const SubprogInfo& subprog : unit.prog->subprogs)
        if (subprog.start == insn) return true;
    return false;
}

// What the checks before us guarantee, and what the passes index tables by.
static bool is_sane(const Unit& unit, const bpf_insn& insn, const Op& op) {
    if (insn.dst_reg >= kRegs || insn.src_reg >= kRegs) return false;
    if (has_target(op) && op.target >= unit.count) return false;
    bool names_subprog = op.kind == Kind::CallSubprog || op.kind == Kind::FuncAddress;
    return !names_subprog || is_subprog_start(unit, op.target);
}

Result<void> decode(Unit& unit) {
    const bpf_insn* insns = unit.prog->insns.data();
    for (u32 i = 0; i < unit.count; i++) {
        Op& op = unit.ops[i];
        if (!decode_one(insns + i, i, unit.count - i, op)) return Errno::NotSupp;
        if (!is_sane(unit, insns[i], op)) return Errno::Inval;
        if (BPF_CLASS(insns[i].code) == BPF_LD) i++;
    }
    find_leaders(unit);
    return {};
}

static u8 opposite(u8 code) {
    switch (code) {
        case BPF_JEQ:
            return BPF_JNE;
        case BPF_JNE:
            return BPF_JEQ;
        case BPF_JGT:
            return BPF_JLE;
        case BPF_JLE:
            return BPF_JGT;
        case BPF_JGE:
            return BPF_JLT;
        case BPF_JLT:
            return BPF_JGE;
        case BPF_JSGT:
            return BPF_JSLE;
        case BPF_JSLE:
            return BPF_JSGT;
        case BPF_JSGE:
            return BPF_JSLT;
        case BPF_JSLT:
            return BPF_JSGE;
        case BPF_JSET:
            return kJumpNotSet;
        default:
            return BPF_JSET;
    }
}

// "if c goto over; goto far; over:" becomes "if not c goto far".
static bool invert_over_jump(Unit& unit, u32 i) {
    Op& branch = unit.ops[i];
    Op& jump = unit.ops[i + 1];
    if (jump.kind != Kind::Jump || jump.leader || branch.target != i + 2) return false;
    branch.code = opposite(branch.code);
    branch.target = jump.target;
    jump.kind = Kind::Nop;
    return true;
}

// "if c goto over; dst = x; over:" becomes a conditional move: what a compiler made a branch of
// because BPF has no select is seldom predictable.
static bool branch_to_select(Unit& unit, u32 i) {
    Op& branch = unit.ops[i];
    Op& move = unit.ops[i + 1];
    if (move.leader || branch.target != i + 2) return false;
    bool from_const = move.kind == Kind::MovConst && fits_s32(move.imm);
    if (!from_const && move.kind != Kind::Mov) return false;
    branch.select = from_const ? Select::FromConst : Select::FromReg;
    branch.dst = move.dst;
    branch.value = move.lhs;
    branch.value_wide = move.wide;
    branch.select_const = static_cast<s32>(move.imm);
    move.kind = Kind::Nop;
    return true;
}

void simplify_branches(Unit& unit) {
    bool changed = false;
    for (u32 i = 0; i + 2 < unit.count; i++) {
        Op& op = unit.ops[i];
        if (op.kind != Kind::Branch && op.kind != Kind::BranchConst) continue;
        if (op.target == i + 2 && (invert_over_jump(unit, i) || branch_to_select(unit, i)))
            changed = true;
    }
    if (changed) find_leaders(unit);
}

}  // namespace barebpf::x86
