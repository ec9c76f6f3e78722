// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Comparisons with what depends on them: conditional jumps and conditional moves.
#include "arch/x86/net/bpf_jit_lower.h"

namespace barebpf::x86 {

static Condition condition_of(u8 code) {
    switch (code) {
        case BPF_JEQ:
        case kJumpNotSet:
            return Condition::Equal;
        case BPF_JGT:
            return Condition::Above;
        case BPF_JGE:
            return Condition::AboveEqual;
        case BPF_JLT:
            return Condition::Below;
        case BPF_JLE:
            return Condition::BelowEqual;
        case BPF_JSGT:
            return Condition::Greater;
        case BPF_JSGE:
            return Condition::GreaterEqual;
        case BPF_JSLT:
            return Condition::Less;
        case BPF_JSLE:
            return Condition::LessEqual;
        default:
            return Condition::NotEqual;  // JNE, JSET
    }
}

static bool is_test(u8 code) {
    return code == BPF_JSET || code == kJumpNotSet;
}

// Whether the flags of the arithmetic just emitted answer a comparison with zero. A 32-bit result is
// zero-extended, so its zero flag holds for 64 bits too; its sign does not.
bool Lowering::flags_tell(const Op& op) const {
    if (flags_reg_ != op.lhs || flags_position_ != out_.position()) return false;
    if (op.code == BPF_JEQ || op.code == BPF_JNE) return flags_wide_ == op.wide || op.wide;
    return (op.code == BPF_JSLT || op.code == BPF_JSGE) && flags_wide_ == op.wide;
}

Condition Lowering::compare_const(const Op& op) {
    Width w = width(op);
    auto imm = static_cast<s32>(op.imm);
    Register reg = x(op.lhs);
    if (is_test(op.code)) {
        if (imm >= 0) w = Width::W32;               // the upper half takes no part
        if (imm >= 0 && imm < 0x80) w = Width::W8;  // nor does the rest
        out_.test(w, reg, imm);
        return condition_of(op.code);
    }
    if (imm == 0) {
        if (!flags_tell(op)) out_.test(w, reg, reg);
        if (op.code == BPF_JSLT) return Condition::Sign;
        if (op.code == BPF_JSGE) return Condition::NotSign;
        return condition_of(op.code);
    }
    out_.cmp(w, reg, imm);
    return condition_of(op.code);
}

Condition Lowering::compare(const Op& op) {
    if (op.kind == Kind::BranchConst) return compare_const(op);
    if (op.kind == Kind::BranchMem)
        out_.cmp(op.size, memory(op.at), static_cast<s32>(op.imm));
    else if (is_test(op.code))
        out_.test(width(op), x(op.lhs), x(op.rhs));
    else
        out_.cmp(width(op), x(op.lhs), x(op.rhs));
    return condition_of(op.code);
}

// The machine joins a comparison and the jump after it; the pair should not cross a line.
Condition Lowering::compare_within_line(const Op& op, u32 jump_length) {
    u32 begin = out_.position();
    Condition condition = compare(op);
    u32 length = out_.position() - begin;
    if (length == 0) {
        keep_within_line(jump_length);
        return condition;
    }
    out_.rewind(begin);
    keep_within_line(length + jump_length);
    return compare(op);
}

void Lowering::branch(const Op& op) {
    if (op.select == Select::No) {
        Condition condition = compare_within_line(op, out_.next_jump_length(true));
        return out_.jump(condition, insn_label(op.target));
    }
    Register value = kScratch;
    if (op.select == Select::FromConst)
        out_.load_constant(kScratch, static_cast<u64>(s64{op.select_const}));
    else if (op.value_wide)
        value = x(op.value);
    else
        out_.mov(Width::W32, kScratch, x(op.value));
    Condition keep = compare(op);
    out_.cmov(negate(keep), Width::W64, x(op.dst), value);
}

}  // namespace barebpf::x86
