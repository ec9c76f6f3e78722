// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The one place that touches memory which may fault: see usercopy.cc and arch_x86.S.
//
//   bool barebpf_user_copy(void* to, const void* from, size_t size)
//     x0, x1, x2 -> w0: 1 copied, 0 a fault
//
// Leaf code without a frame: a fault anywhere between _begin and _end returns from _fault.

        .text
        .globl  barebpf_user_copy
        .hidden barebpf_user_copy
        .globl  barebpf_user_copy_begin
        .hidden barebpf_user_copy_begin
        .globl  barebpf_user_copy_end
        .hidden barebpf_user_copy_end
        .globl  barebpf_user_copy_fault
        .hidden barebpf_user_copy_fault
        .type   barebpf_user_copy, %function
        .p2align 5
barebpf_user_copy:
        .cfi_startproc
barebpf_user_copy_begin:
        cmp     x2, #16
        b.hs    .Llarge
        tbnz    x2, #3, .Leight
        tbnz    x2, #2, .Lfour
        cbz     x2, .Ldone
        // 1 to 3: first, middle, last byte
        lsr     x3, x2, #1
        sub     x4, x2, #1
        ldrb    w5, [x1]
        ldrb    w6, [x1, x3]
        ldrb    w7, [x1, x4]
        strb    w5, [x0]
        strb    w6, [x0, x3]
        strb    w7, [x0, x4]
        b       .Ldone
.Lfour:
        sub     x4, x2, #4
        ldr     w5, [x1]
        ldr     w6, [x1, x4]
        str     w5, [x0]
        str     w6, [x0, x4]
        b       .Ldone
.Leight:
        sub     x4, x2, #8
        ldr     x5, [x1]
        ldr     x6, [x1, x4]
        str     x5, [x0]
        str     x6, [x0, x4]
        b       .Ldone
.Llarge:
        sub     x4, x2, #16
        ldr     q1, [x1, x4]
        mov     x3, #0
.Lloop:
        ldr     q0, [x1, x3]
        str     q0, [x0, x3]
        add     x3, x3, #16
        cmp     x3, x4
        b.lo    .Lloop
        str     q1, [x0, x4]
.Ldone:
        mov     w0, #1
        ret
barebpf_user_copy_end:
barebpf_user_copy_fault:
        mov     w0, #0
        ret
        .cfi_endproc
        .size   barebpf_user_copy, . - barebpf_user_copy

        .section .note.GNU-stack, "", %progbits
