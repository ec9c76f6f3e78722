// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Instructions that came after Linux 6.1 (RFC 9669's v4 and later). They are outside bpf.h's guard
// and yield to definitions that are there, so that they exist even if an older system header came
// first. Include "uapi/linux/bpf.h" rather than this part.
//
// Those that needed no new code:
//
//     sdiv, smod    BPF_DIV, BPF_MOD with off = 1
//     movsx         BPF_MOV | BPF_X with off = 8, 16 or (class ALU64) 32
//     bswap         BPF_ALU64 | BPF_END with imm = 16, 32 or 64
//     gotol         BPF_JMP32 | BPF_JA, the distance in imm
#ifndef BAREBPF_UAPI_BPF_NEWER_H
#define BAREBPF_UAPI_BPF_NEWER_H

// Mode: a load that sign-extends 1, 2 or 4 bytes to 8.
#ifndef BPF_MEMSX
#define BPF_MEMSX 0x80
#endif

// imm of BPF_STX | BPF_ATOMIC: an ordered load into dst_reg, an ordered store of src_reg.
#ifndef BPF_LOAD_ACQ
#define BPF_LOAD_ACQ 0x100
#endif
#ifndef BPF_STORE_REL
#define BPF_STORE_REL 0x110
#endif

// A jump whose condition src_reg selects. may_goto leaves a loop when its budget is used up.
#ifndef BPF_JCOND
#define BPF_JCOND 0xe0
#endif
#ifndef BPF_MAY_GOTO
#define BPF_MAY_GOTO 0
#endif

#endif  // BAREBPF_UAPI_BPF_NEWER_H
