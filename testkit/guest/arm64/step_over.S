// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: where the instruction under each breakpoint is executed instead (debug.cc): a copy, written when
// the breakpoint is set, and the BRK that tells that it is done.

    .text
    .balign 64
    .globl guest_step_over
guest_step_over:
    .rept 4
    nop
    brk #0x6271
    .endr

    .section .note.GNU-stack, "", %progbits
