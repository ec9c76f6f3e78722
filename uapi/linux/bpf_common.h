// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What classic and extended BPF share: how the first byte of an instruction divides into class,
// size, mode, operation and source.
#ifndef __LINUX_BPF_COMMON_H__
#define __LINUX_BPF_COMMON_H__

// Class: the low three bits.
#define BPF_CLASS(code) ((code)&0x07)
#define BPF_LD 0x00
#define BPF_LDX 0x01
#define BPF_ST 0x02
#define BPF_STX 0x03
#define BPF_ALU 0x04
#define BPF_JMP 0x05
#define BPF_RET 0x06   // classic only; extended BPF has JMP32 here
#define BPF_MISC 0x07  // classic only; extended BPF has ALU64 here

// Loads and stores: width and addressing mode.
#define BPF_SIZE(code) ((code)&0x18)
#define BPF_W 0x00  // 4 bytes
#define BPF_H 0x08  // 2 bytes
#define BPF_B 0x10  // 1 byte
#define BPF_MODE(code) ((code)&0xe0)
#define BPF_IMM 0x00
#define BPF_ABS 0x20
#define BPF_IND 0x40
#define BPF_MEM 0x60
#define BPF_LEN 0x80  // classic only
#define BPF_MSH 0xa0  // classic only

// Arithmetic and jumps: the operation.
#define BPF_OP(code) ((code)&0xf0)
#define BPF_ADD 0x00
#define BPF_SUB 0x10
#define BPF_MUL 0x20
#define BPF_DIV 0x30
#define BPF_OR 0x40
#define BPF_AND 0x50
#define BPF_LSH 0x60
#define BPF_RSH 0x70
#define BPF_NEG 0x80
#define BPF_MOD 0x90
#define BPF_XOR 0xa0

#define BPF_JA 0x00
#define BPF_JEQ 0x10
#define BPF_JGT 0x20
#define BPF_JGE 0x30
#define BPF_JSET 0x40

// Second operand: the immediate (K) or the source register (X).
#define BPF_SRC(code) ((code)&0x08)
#define BPF_K 0x00
#define BPF_X 0x08

// Longest classic program, and longest extended one of an unprivileged user.
#ifndef BPF_MAXINSNS
#define BPF_MAXINSNS 4096
#endif

#endif  // __LINUX_BPF_COMMON_H__
