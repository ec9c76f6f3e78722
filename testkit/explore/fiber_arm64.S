// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Switching of stacks (fiber.cc).
        .text
        .globl  barebpf_fiber_switch
        .hidden barebpf_fiber_switch
        .type   barebpf_fiber_switch, %function
        .p2align 4
barebpf_fiber_switch:                   // (void** save, void* load)
        sub     sp, sp, #160
        stp     x19, x20, [sp]
        stp     x21, x22, [sp, #16]
        stp     x23, x24, [sp, #32]
        stp     x25, x26, [sp, #48]
        stp     x27, x28, [sp, #64]
        stp     x29, x30, [sp, #80]
        stp     d8, d9, [sp, #96]
        stp     d10, d11, [sp, #112]
        stp     d12, d13, [sp, #128]
        stp     d14, d15, [sp, #144]
        mov     x2, sp
        str     x2, [x0]
        mov     sp, x1
        ldp     x19, x20, [sp]
        ldp     x21, x22, [sp, #16]
        ldp     x23, x24, [sp, #32]
        ldp     x25, x26, [sp, #48]
        ldp     x27, x28, [sp, #64]
        ldp     x29, x30, [sp, #80]
        ldp     d8, d9, [sp, #96]
        ldp     d10, d11, [sp, #112]
        ldp     d12, d13, [sp, #128]
        ldp     d14, d15, [sp, #144]
        add     sp, sp, #160
        ret
        .size   barebpf_fiber_switch, . - barebpf_fiber_switch

        .globl  barebpf_fiber_start
        .hidden barebpf_fiber_start
        .type   barebpf_fiber_start, %function
        .p2align 4
barebpf_fiber_start:                    // x19 function, x20 argument
        mov     x0, x20
        blr     x19
        brk     #0
        .size   barebpf_fiber_start, . - barebpf_fiber_start

        .section .rodata
        .globl  barebpf_fiber_frame
        .hidden barebpf_fiber_frame
        .p2align 4
barebpf_fiber_frame:                    // 20 registers; the address is x30, the 12th
        .long   20, 0, 1, 11
        .section .note.GNU-stack, "", %progbits
