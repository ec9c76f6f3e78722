// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The extended instruction: format, registers, and the codes that bpf_common.h does not have.
// Include "uapi/linux/bpf.h" rather than this part.
#ifndef BAREBPF_UAPI_BPF_INSN_H
#define BAREBPF_UAPI_BPF_INSN_H

#include "uapi/linux/barebpf/types.h"
#include "uapi/linux/bpf_common.h"

// Classes that take the place of classic RET and MISC.
#define BPF_JMP32 0x06
#define BPF_ALU64 0x07

// Width and mode of loads and stores.
#define BPF_DW 0x18
#define BPF_ATOMIC 0xc0
#define BPF_XADD 0xc0  // older name of BPF_ATOMIC

// Arithmetic.
#define BPF_MOV 0xb0
#define BPF_ARSH 0xc0

// Byte order: the source bit selects the target order; in class ALU64 it must be clear and the
// swap is unconditional. imm is the width: 16, 32 or 64.
#define BPF_END 0xd0
#define BPF_TO_LE 0x00
#define BPF_TO_BE 0x08
#define BPF_FROM_LE BPF_TO_LE
#define BPF_FROM_BE BPF_TO_BE

// Jumps.
#define BPF_JNE 0x50
#define BPF_JSGT 0x60
#define BPF_JSGE 0x70
#define BPF_CALL 0x80
#define BPF_EXIT 0x90
#define BPF_JLT 0xa0
#define BPF_JLE 0xb0
#define BPF_JSLT 0xc0
#define BPF_JSLE 0xd0

// imm of an atomic instruction; BPF_ADD, AND, OR and XOR may carry BPF_FETCH too.
#define BPF_FETCH 0x01
#define BPF_XCHG (0xe0 | BPF_FETCH)
#define BPF_CMPXCHG (0xf0 | BPF_FETCH)

// R0 result, R1-R5 arguments, R6-R9 kept across calls, R10 frame.
enum {
    BPF_REG_0 = 0,
    BPF_REG_1 = 1,
    BPF_REG_2 = 2,
    BPF_REG_3 = 3,
    BPF_REG_4 = 4,
    BPF_REG_5 = 5,
    BPF_REG_6 = 6,
    BPF_REG_7 = 7,
    BPF_REG_8 = 8,
    BPF_REG_9 = 9,
    BPF_REG_10 = 10,

    __MAX_BPF_REG = 11,
};
#define MAX_BPF_REG __MAX_BPF_REG

// The 64-bit load (BPF_LD | BPF_IMM | BPF_DW) takes two of these.
struct bpf_insn {
    __u8 code;
    __u8 dst_reg : 4;
    __u8 src_reg : 4;
    __s16 off;
    __s32 imm;
};
BAREBPF_ABI_SIZE(struct bpf_insn, 8);

// src_reg of a 64-bit load: what imm names. The *_IDX forms index fd_array of the load command.
#define BPF_PSEUDO_MAP_FD 1
#define BPF_PSEUDO_MAP_VALUE 2  // the second half's imm is an offset into the value
#define BPF_PSEUDO_BTF_ID 3
#define BPF_PSEUDO_FUNC 4
#define BPF_PSEUDO_MAP_IDX 5
#define BPF_PSEUDO_MAP_IDX_VALUE 6

// src_reg of a call: zero is a helper by number.
#define BPF_PSEUDO_CALL 1
#define BPF_PSEUDO_KFUNC_CALL 2

#endif  // BAREBPF_UAPI_BPF_INSN_H
