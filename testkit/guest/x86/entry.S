// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: the 256 vectors, and how they find a stack.
//
//     hardware ──> landing (IST, 128 bytes, one per kind) ──> trap stack of the kind, or below the interrupted
//                                                            code's own frame if that is on a trap stack already
//
// The CPU pushes what it must save on the stack that the gate's IST field names, whatever is there (SDM vol. 3,
// 6.14.5): a second trap of a kind inside the first would write over the first one's frame. So a landing is
// left within a few instructions, before anything can trap, for a stack chosen by software: code that runs on
// one of this CPU's trap stacks is interrupted below its red zone, anything else at the top of the kind's
// stack. Traps nest to the stacks' depth.
//
// NMIs. The CPU holds back NMIs from one until the next IRET (SDM vol. 3, 6.7.1), whichever trap that IRET
// belongs to: a breakpoint or a fix-up inside an NMI handler would open the door early, so the handler's caller
// opens it at once (traps.cc), and others' chores (chores.cc) reach a CPU that is in an NMI handler. An NMI that comes
// through it finds CPU_IN_NMI set and leaves a note in CPU_NMI_AGAIN: the first one runs its handler again before
// it ends, as the hardware would have delivered it. Then it does the chores, below the stack of what it has
// interrupted; or, if that is on a landing, nothing, because the trap that has just landed there does them.
// An NMI may hit while the interrupted code is on a landing; while it is handled, the gates of the other kinds have
// a second set of landings (traps.cc), so that its own traps do not write over that one.
#include "testkit/guest/x86/assembly.h"

    .code64
    .text

// The landing holds, from its top: SS RSP RFLAGS CS RIP error vector; LAND adds four registers below.
#define LANDED_VECTOR 32
#define LANDED_RSP 72

.macro LAND
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    movq %rsp, %rdx
    andq $-CPU_PAGE_BYTES, %rdx
.endm

landed_irq:
    LAND
    movq CPU_STACK_IRQ(%rdx), %rcx
    jmp choose_stack
landed_fault:
    LAND
    movq CPU_STACK_FAULT(%rdx), %rcx
    jmp choose_stack
landed_debug:
    LAND
    movq CPU_STACK_DEBUG(%rdx), %rcx
    jmp choose_stack
landed_nmi:
    LAND
    movq CPU_STACK_NMI(%rdx), %rcx
    cmpq $0, CPU_IN_NMI(%rdx)
    movq $1, CPU_IN_NMI(%rdx)
    je choose_stack
    movq $1, CPU_NMI_AGAIN(%rdx)
    movq $VECTOR_NMI_INSIDE, LANDED_VECTOR(%rsp)
    xorl %ecx, %ecx
    jmp choose_stack
go_back:
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
    iretq

// rdx: X86Cpu. rcx: top of the kind's stack; 0: only below the interrupted code's frame, or not at all. Each of the
// four tops is compared with the interrupted RSP.
choose_stack:
    movq LANDED_RSP(%rsp), %rax
.irp stack, CPU_STACK_IRQ, CPU_STACK_NMI, CPU_STACK_FAULT, CPU_STACK_DEBUG
    movq \stack(%rdx), %rbx
    subq %rax, %rbx
    decq %rbx
    cmpq $TRAP_STACK_BYTES, %rbx
    jb 1f
.endr
    testq %rcx, %rcx
    jz go_back
    jmp 2f
1:  leaq -RED_ZONE(%rax), %rcx
    andq $-16, %rcx
2:  subq $FRAME_BYTES, %rcx

    movq 0(%rsp), %rax
    movq %rax, FRAME_RDX(%rcx)
    movq 8(%rsp), %rax
    movq %rax, FRAME_RCX(%rcx)
    movq 16(%rsp), %rax
    movq %rax, FRAME_RBX(%rcx)
    movq 24(%rsp), %rax
    movq %rax, FRAME_RAX(%rcx)
.irp word, 0, 8, 16, 24, 32, 40, 48  // vector, error, RIP, CS, RFLAGS, RSP, SS
    movq LANDED_VECTOR+\word(%rsp), %rax
    movq %rax, FRAME_VECTOR+\word(%rcx)
.endr
    movq %rcx, %rsp  // the landing is free

    movq %rsi, FRAME_RSI(%rsp)
    movq %rdi, FRAME_RDI(%rsp)
    movq %rbp, FRAME_RBP(%rsp)
    movq %r8, FRAME_R8+0(%rsp)
    movq %r9, FRAME_R8+8(%rsp)
    movq %r10, FRAME_R8+16(%rsp)
    movq %r11, FRAME_R8+24(%rsp)
    movq %r12, FRAME_R8+32(%rsp)
    movq %r13, FRAME_R8+40(%rsp)
    movq %r14, FRAME_R8+48(%rsp)
    movq %r15, FRAME_R8+56(%rsp)
    fxsave64 (%rsp)
    cld

    // A frame for whoever walks frame pointers: the interrupted instruction called us.
    movq %rsp, %rdi
    pushq FRAME_RIP(%rsp)
    pushq %rbp
    movq %rsp, %rbp
    call guest_x86_trap

    addq $16, %rsp
    fxrstor64 (%rsp)
    movq FRAME_R8+56(%rsp), %r15
    movq FRAME_R8+48(%rsp), %r14
    movq FRAME_R8+40(%rsp), %r13
    movq FRAME_R8+32(%rsp), %r12
    movq FRAME_R8+24(%rsp), %r11
    movq FRAME_R8+16(%rsp), %r10
    movq FRAME_R8+8(%rsp), %r9
    movq FRAME_R8+0(%rsp), %r8
    movq FRAME_RBP(%rsp), %rbp
    movq FRAME_RDI(%rsp), %rdi
    movq FRAME_RSI(%rsp), %rsi
    movq FRAME_RDX(%rsp), %rdx
    movq FRAME_RCX(%rsp), %rcx
    movq FRAME_RBX(%rsp), %rbx
    movq FRAME_RAX(%rsp), %rax
    addq $FRAME_RIP, %rsp
    iretq

// The gates: 16 bytes each. Vectors 8, 10 to 14, 17, 21, 29 and 30 come with an error code (SDM vol. 3, 6.15).
    .balign 16
    .globl guest_x86_vectors
guest_x86_vectors:
.set vector, 0
.rept 256
    .balign 16
    .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
    pushq $0
    .endif
    pushq $vector
    .if vector == VECTOR_NMI
    jmp landed_nmi
    .elseif vector == VECTOR_DEBUG || vector == VECTOR_BREAKPOINT
    jmp landed_debug
    .elseif vector < VECTOR_FIRST_IRQ
    jmp landed_fault
    .else
    jmp landed_irq
    .endif
    .set vector, vector + 1
.endr

// bool guest_x86_copy(void* to, const void* from, size_t size). A fault at an address of [begin, end) goes on at
// the third address (traps.cc): the fix-up table has one line for the whole routine.
    .globl guest_x86_copy
    .type guest_x86_copy, @function
guest_x86_copy:
    movq %rdx, %rcx
    shrq $3, %rcx
    jz 2f
1:  movq (%rsi), %rax
    movq %rax, (%rdi)
    addq $8, %rsi
    addq $8, %rdi
    decq %rcx
    jnz 1b
2:  andl $7, %edx
    jz 4f
3:  movb (%rsi), %al
    movb %al, (%rdi)
    incq %rsi
    incq %rdi
    decl %edx
    jnz 3b
4:  movl $1, %eax
    ret
copy_end:
copy_failed:
    xorl %eax, %eax
    ret
    .size guest_x86_copy, . - guest_x86_copy

    .section .rodata.guest_fixups, "a"
    .balign 8
    .globl guest_x86_fixups_begin, guest_x86_fixups_end
guest_x86_fixups_begin:
    .quad guest_x86_copy, copy_end, copy_failed
guest_x86_fixups_end:

    .section .note.GNU-stack, "", @progbits
