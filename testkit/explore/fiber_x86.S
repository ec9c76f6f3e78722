// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Switching of stacks (fiber.cc).
        .text
        .globl  barebpf_fiber_switch
        .hidden barebpf_fiber_switch
        .type   barebpf_fiber_switch, @function
        .p2align 4
barebpf_fiber_switch:                   // (void** save, void* load)
        push    %rbp
        push    %rbx
        push    %r12
        push    %r13
        push    %r14
        push    %r15
        mov     %rsp, (%rdi)
        mov     %rsi, %rsp
        pop     %r15
        pop     %r14
        pop     %r13
        pop     %r12
        pop     %rbx
        pop     %rbp
        ret
        .size   barebpf_fiber_switch, . - barebpf_fiber_switch

        .globl  barebpf_fiber_start
        .hidden barebpf_fiber_start
        .type   barebpf_fiber_start, @function
        .p2align 4
barebpf_fiber_start:                    // rsp is a multiple of 16; r15 function, r14 argument
        .cfi_startproc
        .cfi_undefined rip
        mov     %r14, %rdi
        call    *%r15
        ud2
        .cfi_endproc
        .size   barebpf_fiber_start, . - barebpf_fiber_start

        .section .rodata
        .globl  barebpf_fiber_frame
        .hidden barebpf_fiber_frame
        .p2align 4
barebpf_fiber_frame:                    // 6 registers and the address
        .long   7, 0, 1, 6
        .section .note.GNU-stack, "", @progbits
