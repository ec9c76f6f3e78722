// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/decode.h"

namespace barebpf {

namespace {

template <class... Parts>
Errno refuse(TextBuffer& why, const Parts&... parts) {
    why.print(parts..., '\n');
    return Errno::Inval;
}

Errno reserved(TextBuffer& why, const char* what) {
    return refuse(why, what, " uses reserved fields");
}

Errno unknown_opcode(const bpf_insn& insn, TextBuffer& why) {
    return refuse(why, "unknown opcode ", HexDigits{insn.code, 2});
}

Result<void> decode_mov(const bpf_insn& insn, TextBuffer& why) {
    if (BPF_SRC(insn.code) == BPF_K) {
        if (insn.src_reg || insn.off) return reserved(why, "BPF_MOV");
        return {};
    }
    const bool is64 = BPF_CLASS(insn.code) == BPF_ALU64;
    const bool extends = insn.off == 8 || insn.off == 16 || (insn.off == 32 && is64);
    if (insn.imm || (insn.off && !extends)) return reserved(why, "BPF_MOV");
    return {};
}

Result<void> decode_end(const bpf_insn& insn, TextBuffer& why) {
    const bool swap = BPF_CLASS(insn.code) == BPF_ALU64;
    if (insn.src_reg || insn.off || (swap && BPF_SRC(insn.code) != BPF_TO_LE))
        return reserved(why, "BPF_END");
    if (insn.imm != 16 && insn.imm != 32 && insn.imm != 64) return reserved(why, "BPF_END");
    return {};
}

Result<void> decode_alu(const bpf_insn& insn, TextBuffer& why) {
    const u8 op = BPF_OP(insn.code);
    if (op == BPF_NEG) {
        if (BPF_SRC(insn.code) != BPF_K || insn.src_reg || insn.off || insn.imm)
            return reserved(why, "BPF_NEG");
        return {};
    }
    if (op == BPF_END) return decode_end(insn, why);
    if (op == BPF_MOV) return decode_mov(insn, why);
    if (op > BPF_END) return unknown_opcode(insn, why);

    const bool divides = op == BPF_DIV || op == BPF_MOD;
    const bool off_ok = insn.off == 0 || (insn.off == 1 && divides);
    if (BPF_SRC(insn.code) == BPF_X) {
        if (insn.imm || !off_ok) return reserved(why, "BPF_ALU");
        return {};
    }
    if (insn.src_reg || !off_ok) return reserved(why, "BPF_ALU");
    if (divides && insn.imm == 0) return refuse(why, "div by zero");
    if (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH) {
        const s32 width = BPF_CLASS(insn.code) == BPF_ALU64 ? 64 : 32;
        if (insn.imm < 0 || insn.imm >= width) return refuse(why, "invalid shift ", insn.imm);
    }
    return {};
}

Result<void> decode_call(const bpf_insn& insn, TextBuffer& why) {
    if (BPF_SRC(insn.code) != BPF_K || BPF_CLASS(insn.code) == BPF_JMP32 || insn.dst_reg ||
        insn.src_reg > BPF_PSEUDO_KFUNC_CALL || (insn.off && insn.src_reg != BPF_PSEUDO_KFUNC_CALL))
        return reserved(why, "BPF_CALL");
    return {};
}

Result<void> decode_jump(const bpf_insn& insn, TextBuffer& why) {
    const bool is32 = BPF_CLASS(insn.code) == BPF_JMP32;
    const bool has_src = BPF_SRC(insn.code) == BPF_X;
    switch (BPF_OP(insn.code)) {
        case BPF_CALL:
            if (is32 || has_src) return unknown_opcode(insn, why);
            return decode_call(insn, why);
        case BPF_EXIT:
            if (is32 || has_src) return unknown_opcode(insn, why);
            if (insn.imm || insn.src_reg || insn.dst_reg || insn.off)
                return reserved(why, "BPF_EXIT");
            return {};
        case BPF_JA:
            if (has_src) return unknown_opcode(insn, why);
            if (insn.src_reg || insn.dst_reg || (is32 ? insn.off != 0 : insn.imm != 0))
                return reserved(why, "BPF_JA");
            return {};
        case BPF_JCOND:
            if (is32 || has_src) return unknown_opcode(insn, why);
            if (insn.src_reg != BPF_MAY_GOTO || insn.dst_reg || insn.imm)
                return refuse(why, "invalid may_goto imm ", insn.imm);
            return {};
        case 0xf0:
            return unknown_opcode(insn, why);
        default:
            if (has_src ? insn.imm != 0 : insn.src_reg != 0) return reserved(why, "BPF_JMP");
            return {};
    }
}

Result<void> decode_load(const bpf_insn& insn, TextBuffer& why) {
    const u8 mode = BPF_MODE(insn.code);
    if (mode != BPF_MEM && mode != BPF_MEMSX) return reserved(why, "BPF_LDX");
    if (mode == BPF_MEMSX && BPF_SIZE(insn.code) == BPF_DW) return unknown_opcode(insn, why);
    if (insn.imm) return reserved(why, "BPF_LDX");
    return {};
}

bool atomic_op_exists(s32 op) {
    switch (op) {
        case BPF_ADD:
        case BPF_ADD | BPF_FETCH:
        case BPF_AND:
        case BPF_AND | BPF_FETCH:
        case BPF_OR:
        case BPF_OR | BPF_FETCH:
        case BPF_XOR:
        case BPF_XOR | BPF_FETCH:
        case BPF_XCHG:
        case BPF_CMPXCHG:
        case BPF_LOAD_ACQ:
        case BPF_STORE_REL:
            return true;
        default:
            return false;
    }
}

Result<void> decode_store(const bpf_insn& insn, TextBuffer& why) {
    const u8 mode = BPF_MODE(insn.code);
    if (BPF_CLASS(insn.code) == BPF_ST) {
        if (mode != BPF_MEM || insn.src_reg) return reserved(why, "BPF_ST");
        return {};
    }
    if (mode == BPF_MEM) {
        if (insn.imm) return reserved(why, "BPF_STX");
        return {};
    }
    if (mode != BPF_ATOMIC) return unknown_opcode(insn, why);
    if (!atomic_op_exists(insn.imm))
        return refuse(why, "BPF_ATOMIC uses invalid atomic opcode ",
                      HexDigits{static_cast<u32>(insn.imm), 2});
    const bool plain = insn.imm == BPF_LOAD_ACQ || insn.imm == BPF_STORE_REL;
    if (!plain && access_bytes(insn.code) < 4) return refuse(why, "invalid atomic operand size");
    return {};
}

Result<void> decode_ld(const bpf_insn* insn, u32 left, u32* slots, TextBuffer& why) {
    const u8 mode = BPF_MODE(insn->code);
    if (mode == BPF_ABS || mode == BPF_IND) {
        if (BPF_SIZE(insn->code) == BPF_DW) return unknown_opcode(*insn, why);
        if (insn->dst_reg || insn->off || (mode == BPF_ABS && insn->src_reg))
            return reserved(why, "BPF_LD_[ABS|IND]");
        return {};
    }
    if (!is_ld_imm64(*insn)) return unknown_opcode(*insn, why);
    if (left < 2 || insn[1].code || insn[1].dst_reg || insn[1].src_reg || insn[1].off)
        return refuse(why, "invalid bpf_ld_imm64 insn");
    *slots = 2;
    if (insn->off) return reserved(why, "BPF_LD_IMM64");
    const bool whole = insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg == BPF_PSEUDO_MAP_IDX;
    if (insn->src_reg > BPF_PSEUDO_MAP_IDX_VALUE || (whole && insn[1].imm))
        return refuse(why, "unrecognized bpf_ld_imm64 insn");
    return {};
}

}  // namespace

Result<void> decode_insn(const bpf_insn* insn, u32 left, u32* slots, TextBuffer& why) {
    *slots = 1;
    if (insn->dst_reg >= MAX_BPF_REG) return refuse(why, 'R', insn->dst_reg + 0, " is invalid");
    if (insn->src_reg >= MAX_BPF_REG) return refuse(why, 'R', insn->src_reg + 0, " is invalid");
    switch (BPF_CLASS(insn->code)) {
        case BPF_LD:
            return decode_ld(insn, left, slots, why);
        case BPF_LDX:
            return decode_load(*insn, why);
        case BPF_ST:
        case BPF_STX:
            return decode_store(*insn, why);
        case BPF_JMP:
        case BPF_JMP32:
            return decode_jump(*insn, why);
        default:
            return decode_alu(*insn, why);
    }
}

Result<void> decode_program(const bpf_insn* insns, u32 count, u32* at, TextBuffer& why) {
    u32 slots;
    for (u32 i = 0; i < count; i += slots) {
        *at = i;
        TRY(decode_insn(insns + i, count - i, &slots, why));
    }
    return {};
}

}  // namespace barebpf
