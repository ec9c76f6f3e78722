// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The one place that touches memory which may fault: see usercopy.cc.
//
//   bool barebpf_user_copy(void* to, const void* from, size_t size)
//     rdi, rsi, rdx -> eax: 1 copied, 0 a fault
//
// Between _begin and _end nothing is pushed, so that a fault anywhere returns from _fault.
// Never touches a byte outside [from, from + size) and [to, to + size): the sizes between powers of
// two are two overlapping moves.

        .text
        .globl  barebpf_user_copy
        .hidden barebpf_user_copy
        .globl  barebpf_user_copy_begin
        .hidden barebpf_user_copy_begin
        .globl  barebpf_user_copy_end
        .hidden barebpf_user_copy_end
        .globl  barebpf_user_copy_fault
        .hidden barebpf_user_copy_fault
        .type   barebpf_user_copy, @function
        .p2align 5
barebpf_user_copy:
        .cfi_startproc
barebpf_user_copy_begin:
        cmp     $16, %rdx
        jae     .Llarge
        cmp     $8, %edx
        jae     .Leight
        cmp     $4, %edx
        jae     .Lfour
        test    %edx, %edx
        jz      .Ldone
        // 1 to 3: first, middle, last byte
        movzbl  (%rsi), %eax
        movzbl  -1(%rsi,%rdx), %ecx
        mov     %rdx, %r8
        shr     $1, %r8
        movzbl  (%rsi,%r8), %r9d
        movb    %al, (%rdi)
        movb    %r9b, (%rdi,%r8)
        movb    %cl, -1(%rdi,%rdx)
        jmp     .Ldone
.Lfour:
        movl    (%rsi), %eax
        movl    -4(%rsi,%rdx), %ecx
        movl    %eax, (%rdi)
        movl    %ecx, -4(%rdi,%rdx)
        jmp     .Ldone
.Leight:
        movq    (%rsi), %rax
        movq    -8(%rsi,%rdx), %rcx
        movq    %rax, (%rdi)
        movq    %rcx, -8(%rdi,%rdx)
        jmp     .Ldone
.Llarge:
        cmp     $512, %rdx
        jae     .Lhuge
        // The tail first is read before the loop overwrites nothing of it: the areas are distinct.
        movups  -16(%rsi,%rdx), %xmm1
        lea     -16(%rdx), %rcx
        xor     %eax, %eax
.Lloop:
        movups  (%rsi,%rax), %xmm0
        movups  %xmm0, (%rdi,%rax)
        add     $16, %rax
        cmp     %rcx, %rax
        jb      .Lloop
        movups  %xmm1, (%rdi,%rcx)
        jmp     .Ldone
.Lhuge:
        mov     %rdx, %rcx
        rep movsb
.Ldone:
        mov     $1, %eax
        ret
barebpf_user_copy_end:
barebpf_user_copy_fault:
        xor     %eax, %eax
        ret
        .cfi_endproc
        .size   barebpf_user_copy, . - barebpf_user_copy

        .section .note.GNU-stack, "", @progbits
