// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What is an instruction: opcodes that exist, fields that must be zero, registers that exist. The
// verifier starts with it; who runs a program unverified does no less.
//
// Only the encoding is judged here, each instruction by itself (and the two halves of a 64-bit load
// together). Where jumps go and what a call may call is the verifier's.
#pragma once

#include "kernel/lib/result.h"
#include "kernel/lib/text.h"
#include "uapi/linux/bpf.h"

namespace barebpf {

// Inval with a line (with its newline, in Linux's words) in why; *slots is 2 for a 64-bit load,
// else 1. left: instructions from insn to the end of the program, at least 1.
Result<void> decode_insn(const bpf_insn* insn, u32 left, u32* slots, TextBuffer& why);

// All of a program. *at: the instruction that was refused.
Result<void> decode_program(const bpf_insn* insns, u32 count, u32* at, TextBuffer& why);

// -- facts about valid instructions, for everybody who walks over them --
constexpr bool is_ld_imm64(const bpf_insn& insn) {
    return insn.code == (BPF_LD | BPF_IMM | BPF_DW);
}
constexpr bool is_jump_class(const bpf_insn& insn) {
    return BPF_CLASS(insn.code) == BPF_JMP || BPF_CLASS(insn.code) == BPF_JMP32;
}
constexpr bool is_helper_call(const bpf_insn& insn) {
    return insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == 0;
}
constexpr bool is_subprog_call(const bpf_insn& insn) {
    return insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == BPF_PSEUDO_CALL;
}
constexpr bool is_subprog_address(const bpf_insn& insn) {
    return is_ld_imm64(insn) && insn.src_reg == BPF_PSEUDO_FUNC;
}
constexpr bool is_exit(const bpf_insn& insn) {
    return insn.code == (BPF_JMP | BPF_EXIT);
}
constexpr bool is_may_goto(const bpf_insn& insn) {
    return insn.code == (BPF_JMP | BPF_JCOND);
}
// goto and gotol.
constexpr bool is_goto(const bpf_insn& insn) {
    return insn.code == (BPF_JMP | BPF_JA) || insn.code == (BPF_JMP32 | BPF_JA);
}
// A jump with two ways to go on: conditions and may_goto.
constexpr bool is_branch(const bpf_insn& insn) {
    return is_jump_class(insn) && !is_goto(insn) && !is_exit(insn) && BPF_OP(insn.code) != BPF_CALL;
}
// Of a jump at `index`: where it goes if taken. May be anywhere before it is checked.
constexpr s64 jump_target(const bpf_insn& insn, u32 index) {
    const s64 distance = insn.code == (BPF_JMP32 | BPF_JA) ? insn.imm : insn.off;
    return s64{index} + 1 + distance;
}
// Bytes that a load or store moves: BPF_B, H, W, DW.
constexpr u32 access_bytes(u8 code) {
    switch (BPF_SIZE(code)) {
        case BPF_B:
            return 1;
        case BPF_H:
            return 2;
        case BPF_W:
            return 4;
        default:
            return 8;
    }
}

}  // namespace barebpf
