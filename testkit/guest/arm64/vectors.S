// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: what the CPU enters on an exception, and the way back.
//
//     kind            stack                                                    handler
//     synchronous     where it is, if on a trap stack; AREA_TRAP_SYNC from     guest_trap_sync
//                     the CPU's own stack; AREA_TRAP_LAST if SP is bad
//     interrupt       AREA_TRAP_IRQ                                            guest_trap_irq
//     FIQ             AREA_TRAP_FIQ                                            guest_trap_fiq
//     anything else   as synchronous                                           guest_trap_other
//
// AAPCS64 has no red zone, so going on below SP is always right as long as SP is. A stack that overflows runs
// into the hole below it; the fault then finds SP within no stack and goes to the last one.
//
// Hardware facts: 16 entries of 128 bytes, the second four for an exception from the current level with SP_EL1
// (Arm ARM D1.4.2, VBAR_EL1 D17.2.146); entry masks D, A, I and F (D1.3.4). Until the registers are saved,
// x0, x1 and SP rest in TPIDRRO_EL0, TPIDR_EL0 and SP_EL0, which nothing else uses here.
#include "machine.inc"

.macro entry_begin
    msr tpidrro_el0, x0
    msr tpidr_el0, x1
    mov x0, sp
    msr sp_el0, x0
    mrs x0, tpidr_el1
.endm

// Branches if SP is within the stack whose top is at [x0, #top], with 1 KiB of room. Changes x1.
.macro if_on_stack top, shift, target
    ldr x1, [x0, #\top]
    sub x1, sp, x1
    neg x1, x1
    add x1, x1, #1024
    lsr x1, x1, #\shift
    cbz x1, \target
.endm

.macro use_stack top
    ldr x1, [x0, #\top]
    mov sp, x1
.endm

// The frame goes below SP.
.macro call_handler handler
    sub sp, sp, #FRAME_BYTES
    str x30, [sp, #FRAME_SP - 8]
    bl save
    mov x0, sp
    bl \handler
    b restore
.endm

    .text
    .balign 64
sync:
    entry_begin
    if_on_stack AREA_TRAP_SYNC, TRAP_STACK_SHIFT, 1f
    if_on_stack AREA_TRAP_IRQ, TRAP_STACK_SHIFT, 1f
    if_on_stack AREA_TRAP_FIQ, TRAP_STACK_SHIFT, 1f
    if_on_stack AREA_TRAP_LAST, TRAP_STACK_SHIFT, 1f
    if_on_stack AREA_STACK_TOP, STACK_SHIFT, 2f
    use_stack AREA_TRAP_LAST
    b 1f
2:  use_stack AREA_TRAP_SYNC
1:  call_handler guest_trap_sync

irq:
    entry_begin
    if_on_stack AREA_TRAP_IRQ, TRAP_STACK_SHIFT, 1f
    use_stack AREA_TRAP_IRQ
1:  call_handler guest_trap_irq

fiq:
    entry_begin
    if_on_stack AREA_TRAP_FIQ, TRAP_STACK_SHIFT, 1f
    use_stack AREA_TRAP_FIQ
1:  call_handler guest_trap_fiq

// From a state that this kernel never is in, or a system error.
other:
    entry_begin
    use_stack AREA_TRAP_LAST
    call_handler guest_trap_other

save:
    stp x2, x3, [sp, #16]
    stp x4, x5, [sp, #32]
    stp x6, x7, [sp, #48]
    stp x8, x9, [sp, #64]
    stp x10, x11, [sp, #80]
    stp x12, x13, [sp, #96]
    stp x14, x15, [sp, #112]
    stp x16, x17, [sp, #128]
    stp x18, x19, [sp, #144]
    stp x20, x21, [sp, #160]
    stp x22, x23, [sp, #176]
    stp x24, x25, [sp, #192]
    stp x26, x27, [sp, #208]
    stp x28, x29, [sp, #224]
    mrs x0, tpidrro_el0
    mrs x1, tpidr_el0
    stp x0, x1, [sp]
    mrs x0, sp_el0
    str x0, [sp, #FRAME_SP]
    mrs x0, elr_el1
    mrs x1, spsr_el1
    stp x0, x1, [sp, #FRAME_PC]
    add x2, sp, #FRAME_SYNDROME
    mrs x3, esr_el1
    mrs x4, far_el1
    stp x3, x4, [x2]
    stp x29, x0, [x2, #FRAME_RECORD - FRAME_SYNDROME]
    add x29, sp, #FRAME_RECORD
    mrs x0, fpsr
    mrs x1, fpcr
    stp x0, x1, [sp, #FRAME_FPSR]
    stp q0, q1, [sp, #FRAME_Q]
    stp q2, q3, [sp, #FRAME_Q + 32]
    stp q4, q5, [sp, #FRAME_Q + 64]
    stp q6, q7, [sp, #FRAME_Q + 96]
    stp q8, q9, [sp, #FRAME_Q + 128]
    stp q10, q11, [sp, #FRAME_Q + 160]
    stp q12, q13, [sp, #FRAME_Q + 192]
    stp q14, q15, [sp, #FRAME_Q + 224]
    stp q16, q17, [sp, #FRAME_Q + 256]
    stp q18, q19, [sp, #FRAME_Q + 288]
    stp q20, q21, [sp, #FRAME_Q + 320]
    stp q22, q23, [sp, #FRAME_Q + 352]
    stp q24, q25, [sp, #FRAME_Q + 384]
    stp q26, q27, [sp, #FRAME_Q + 416]
    stp q28, q29, [sp, #FRAME_Q + 448]
    stp q30, q31, [sp, #FRAME_Q + 480]
    ret

// From the frame at SP back to what it describes.
restore:
    msr daifset, #15
    ldp x0, x1, [sp, #FRAME_PC]
    msr elr_el1, x0
    msr spsr_el1, x1
    ldp x0, x1, [sp, #FRAME_FPSR]
    msr fpsr, x0
    msr fpcr, x1
    ldr x0, [sp, #FRAME_SP]
    msr sp_el0, x0
    ldp q0, q1, [sp, #FRAME_Q]
    ldp q2, q3, [sp, #FRAME_Q + 32]
    ldp q4, q5, [sp, #FRAME_Q + 64]
    ldp q6, q7, [sp, #FRAME_Q + 96]
    ldp q8, q9, [sp, #FRAME_Q + 128]
    ldp q10, q11, [sp, #FRAME_Q + 160]
    ldp q12, q13, [sp, #FRAME_Q + 192]
    ldp q14, q15, [sp, #FRAME_Q + 224]
    ldp q16, q17, [sp, #FRAME_Q + 256]
    ldp q18, q19, [sp, #FRAME_Q + 288]
    ldp q20, q21, [sp, #FRAME_Q + 320]
    ldp q22, q23, [sp, #FRAME_Q + 352]
    ldp q24, q25, [sp, #FRAME_Q + 384]
    ldp q26, q27, [sp, #FRAME_Q + 416]
    ldp q28, q29, [sp, #FRAME_Q + 448]
    ldp q30, q31, [sp, #FRAME_Q + 480]
    ldp x2, x3, [sp, #16]
    ldp x4, x5, [sp, #32]
    ldp x6, x7, [sp, #48]
    ldp x8, x9, [sp, #64]
    ldp x10, x11, [sp, #80]
    ldp x12, x13, [sp, #96]
    ldp x14, x15, [sp, #112]
    ldp x16, x17, [sp, #128]
    ldp x18, x19, [sp, #144]
    ldp x20, x21, [sp, #160]
    ldp x22, x23, [sp, #176]
    ldp x24, x25, [sp, #192]
    ldp x26, x27, [sp, #208]
    ldp x28, x29, [sp, #224]
    ldr x30, [sp, #FRAME_SP - 8]
    ldp x0, x1, [sp]
    msr tpidrro_el0, x0
    mrs x0, sp_el0
    mov sp, x0
    mrs x0, tpidrro_el0
    eret

    .balign 2048
    .globl guest_vectors
guest_vectors:
    .irp target, other, other, other, other, sync, irq, fiq, other, other, other, other, other, other, other, other, other
    b \target
    .balign 128
    .endr

    .section .note.GNU-stack, "", %progbits
