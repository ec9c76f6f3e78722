// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Instructions as expressions: what fix-ups, tests and tools write programs with.
//
//     constexpr bpf_insn program[] = {
//         insn::mov_imm(R0, 0),
//         insn::jump_imm(BPF_JEQ, R1, 7, 1),   // if r1 == 7 goto pc+1
//         insn::alu(BPF_ADD, R0, R1),
//         insn::exit(),
//     };
//
// "32" in a name: the 32-bit form. Nothing is checked here (decode.h does).
#pragma once

#include "kernel/lib/types.h"
#include "uapi/linux/bpf.h"

namespace barebpf::insn {

inline constexpr u8 R0 = 0, R1 = 1, R2 = 2, R3 = 3, R4 = 4, R5 = 5, R6 = 6, R7 = 7, R8 = 8, R9 = 9,
                    R10 = 10;

constexpr bpf_insn raw(u8 code, u8 dst, u8 src, s16 off, s32 imm) {
    bpf_insn made{};
    made.code = code;
    made.dst_reg = dst & 15;
    made.src_reg = src & 15;
    made.off = off;
    made.imm = imm;
    return made;
}

// op: BPF_ADD and so on.
constexpr bpf_insn alu(u8 op, u8 dst, u8 src) {
    return raw(u8(BPF_ALU64 | op | BPF_X), dst, src, 0, 0);
}
constexpr bpf_insn alu_imm(u8 op, u8 dst, s32 imm) {
    return raw(u8(BPF_ALU64 | op | BPF_K), dst, 0, 0, imm);
}
constexpr bpf_insn alu32(u8 op, u8 dst, u8 src) {
    return raw(u8(BPF_ALU | op | BPF_X), dst, src, 0, 0);
}
constexpr bpf_insn alu32_imm(u8 op, u8 dst, s32 imm) {
    return raw(u8(BPF_ALU | op | BPF_K), dst, 0, 0, imm);
}
constexpr bpf_insn mov(u8 dst, u8 src) {
    return alu(BPF_MOV, dst, src);
}
constexpr bpf_insn mov_imm(u8 dst, s32 imm) {
    return alu_imm(BPF_MOV, dst, imm);
}
constexpr bpf_insn mov32(u8 dst, u8 src) {
    return alu32(BPF_MOV, dst, src);
}
constexpr bpf_insn mov32_imm(u8 dst, s32 imm) {
    return alu32_imm(BPF_MOV, dst, imm);
}
constexpr bpf_insn add_imm(u8 dst, s32 imm) {
    return alu_imm(BPF_ADD, dst, imm);
}

// size: BPF_B, H, W, DW.
constexpr bpf_insn load(u8 size, u8 dst, u8 src, s16 off) {
    return raw(u8(BPF_LDX | BPF_MEM | size), dst, src, off, 0);
}
constexpr bpf_insn load_signed(u8 size, u8 dst, u8 src, s16 off) {
    return raw(u8(BPF_LDX | BPF_MEMSX | size), dst, src, off, 0);
}
constexpr bpf_insn store(u8 size, u8 dst, s16 off, u8 src) {
    return raw(u8(BPF_STX | BPF_MEM | size), dst, src, off, 0);
}
constexpr bpf_insn store_imm(u8 size, u8 dst, s16 off, s32 imm) {
    return raw(u8(BPF_ST | BPF_MEM | size), dst, 0, off, imm);
}
constexpr bpf_insn atomic(s32 op, u8 size, u8 dst, s16 off, u8 src) {
    return raw(u8(BPF_STX | BPF_ATOMIC | size), dst, src, off, op);
}
constexpr bpf_insn ld_abs(u8 size, s32 off) {
    return raw(u8(BPF_LD | BPF_ABS | size), 0, 0, 0, off);
}
constexpr bpf_insn ld_ind(u8 size, u8 src, s32 off) {
    return raw(u8(BPF_LD | BPF_IND | size), 0, src, 0, off);
}
// The two halves of a 64-bit load. pseudo: BPF_PSEUDO_*.
constexpr bpf_insn ld_low(u8 dst, u8 pseudo, s32 imm) {
    return raw(BPF_LD | BPF_IMM | BPF_DW, dst, pseudo, 0, imm);
}
constexpr bpf_insn ld_high(s32 imm) {
    return raw(0, 0, 0, 0, imm);
}

// op: BPF_JEQ and so on; off: instructions behind the next one.
constexpr bpf_insn jump(u8 op, u8 dst, u8 src, s16 off) {
    return raw(u8(BPF_JMP | op | BPF_X), dst, src, off, 0);
}
constexpr bpf_insn jump_imm(u8 op, u8 dst, s32 imm, s16 off) {
    return raw(u8(BPF_JMP | op | BPF_K), dst, 0, off, imm);
}
constexpr bpf_insn jump32(u8 op, u8 dst, u8 src, s16 off) {
    return raw(u8(BPF_JMP32 | op | BPF_X), dst, src, off, 0);
}
constexpr bpf_insn jump32_imm(u8 op, u8 dst, s32 imm, s16 off) {
    return raw(u8(BPF_JMP32 | op | BPF_K), dst, 0, off, imm);
}
constexpr bpf_insn go(s16 off) {
    return raw(BPF_JMP | BPF_JA, 0, 0, off, 0);
}
constexpr bpf_insn go_long(s32 off) {
    return raw(BPF_JMP32 | BPF_JA, 0, 0, 0, off);
}
constexpr bpf_insn may_goto(s16 off) {
    return raw(BPF_JMP | BPF_JCOND, 0, BPF_MAY_GOTO, off, 0);
}
constexpr bpf_insn call(s32 helper) {
    return raw(BPF_JMP | BPF_CALL, 0, 0, 0, helper);
}
constexpr bpf_insn call_subprog(s32 distance) {
    return raw(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, distance);
}
constexpr bpf_insn exit() {
    return raw(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

}  // namespace barebpf::insn
