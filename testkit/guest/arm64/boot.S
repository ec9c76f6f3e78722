// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: from the first instruction to C++, on the boot CPU and on each CPU that PSCI starts.
//
//     EL2 or EL1, MMU off, physical addresses ──> EL1 ──> tables on, still low ──> high addresses, stack, C++
//
// The boot tables are constants of the image (blocks of 1 GiB, so one table for each level):
//     low half  (TTBR0)   one to one: devices read and write, RAM read and execute: only for going through
//     high half (TTBR1)   RAM at kDirectBase, the image at kImageBase, both with every right
// The final tables replace the high half; the low half then stays off (TCR_EL1.EPD0).
//
// Hardware facts: entry at the ELF's entry point with MMU and caches off at the highest level that the machine
// has without a firmware, EL2 or EL1 (QEMU docs, virt); descriptors Arm ARM D8.3, TCR_EL1 D17.2.131,
// MAIR_EL1 D17.2.97, SCTLR_EL1 D17.2.118, HCR_EL2 D17.2.48; CPU_ON enters at a physical address with the
// context in x0, at the caller's level (PSCI 1.1, 6.4).
#include "machine.inc"

#define BLOCK 0x1             // a block of 1 GiB at level 1
#define TABLE 0x3
#define ACCESSED (1 << 10)
#define INNER_SHARE (3 << 8)
#define READ_ONLY (1 << 7)
#define DEVICE (1 << 2)       // MAIR attribute 1
#define NO_EXECUTE (3 << 53)  // at either level
#define USER_NO_EXECUTE (1 << 54)

#define MAIR 0x04ff  // 0: normal, write-back; 1: device, nGnRE
// 48 bits in each half, pages of 4 KiB, walks cached and inner shareable, 36 physical bits.
#define TCR ((16 << 0) | (1 << 8) | (1 << 10) | (3 << 12) | (16 << 16) | (1 << 24) | (1 << 26) | \
             (3 << 28) | (2 << 30) | (1 << 32))
#define TCR_EPD0 (1 << 7)
// The bits that are to be one; then MMU, caches, stack alignment checks.
#define SCTLR (0x30d00800 | (1 << 0) | (1 << 2) | (1 << 3) | (1 << 12))
#define SCTLR_WXN (1 << 19)

    .section .text.boot, "ax"

    .globl guest_start
guest_start:
    msr daifset, #15
    mrs x0, CurrentEL
    cmp x0, #(3 << 2)
    b.eq secure
    mrs x0, id_aa64isar0_el1
    ubfx x0, x0, #20, #4  // atomic instructions (FEAT_LSE), which all of the image is compiled for
    cbz x0, old_cpu
    bl to_el1
    adr x0, small_vectors
    msr vbar_el1, x0
    isb
    // Is there memory for all of the image? If not, the store traps or the load gives something else.
    ldr x0, =guest_image_end - IMAGE_OFFSET - 8
    mov x1, #0x5a5a
    str x1, [x0]
    ldr x2, [x0]
    cmp x1, x2
    b.ne too_small
    str xzr, [x0]

    ldr x1, =high_tables - IMAGE_OFFSET
    bl tables_on
    ldr x0, =boot_high
    br x0
boot_high:
    ldr x0, =boot_area
    msr tpidr_el1, x0
    ldr x1, =guest_vectors
    msr vbar_el1, x1
    isb
    ldr x1, [x0, #AREA_STACK_TOP]
    mov sp, x1
    mov x29, xzr
    mov x30, xzr
    ldr x0, =0x40000000  // the device tree, if there is one
    b guest_main

// x0: the CPU's area, at its virtual address.
    .globl guest_secondary_start
guest_secondary_start:
    msr daifset, #15
    mov x19, x0
    bl to_el1
    ldr x1, =guest_secondary_root - IMAGE_OFFSET
    ldr x1, [x1]
    bl tables_on
    ldr x0, =secondary_high
    br x0
secondary_high:
    ldr x0, =TCR | TCR_EPD0
    msr tcr_el1, x0
    ldr x0, =SCTLR | SCTLR_WXN
    msr sctlr_el1, x0
    ldr x0, =guest_vectors
    msr vbar_el1, x0
    msr tpidr_el1, x19
    isb
    tlbi vmalle1
    dsb nsh
    isb
    ldr x0, [x19, #AREA_STACK_TOP]
    mov sp, x0
    mov x29, xzr
    mov x30, xzr
    mov x0, x19
    b guest_secondary_main

// To EL1 with EL2 out of the way: no traps, timers open, the GIC's registers usable. Changes x0 to x2.
to_el1:
    mrs x0, CurrentEL
    cmp x0, #(1 << 2)
    b.eq 1f
    mov x0, #(1 << 31)  // HCR_EL2.RW: EL1 is AArch64; nothing else is routed or trapped
    msr hcr_el2, x0
    mov x0, #3          // CNTHCTL_EL2: counter and timer
    msr cnthctl_el2, x0
    msr cntvoff_el2, xzr
    mrs x0, midr_el1
    msr vpidr_el2, x0
    mrs x0, mpidr_el1
    msr vmpidr_el2, x0
    mov x0, #0x33ff     // CPTR_EL2: the bits that are one; floating point does not trap
    msr cptr_el2, x0
    msr hstr_el2, xzr
    msr mdcr_el2, xzr
    mrs x0, id_aa64pfr0_el1
    ubfx x0, x0, #24, #4
    cbz x0, 2f
    mrs x0, s3_4_c12_c9_5  // ICC_SRE_EL2: system registers, for EL1 as well
    mov x1, #9
    orr x0, x0, x1
    msr s3_4_c12_c9_5, x0
    isb
    msr s3_4_c12_c11_0, xzr  // ICH_HCR_EL2: no virtual interrupts
2:  mov x0, #0x3c5      // SPSR_EL2: EL1 with its own stack pointer, everything masked
    msr spsr_el2, x0
    msr elr_el2, x30
    ldr x0, =0x30d00800
    msr sctlr_el1, x0
    eret
1:  ret

// x1: the table of the high half. Returns to the same physical address. Changes x0.
tables_on:
    mov x0, #(3 << 20)  // CPACR_EL1.FPEN: floating point and vectors
    msr cpacr_el1, x0
    ldr x0, =MAIR
    msr mair_el1, x0
    ldr x0, =TCR
    msr tcr_el1, x0
    ldr x0, =low_tables - IMAGE_OFFSET
    msr ttbr0_el1, x0
    msr ttbr1_el1, x1
    isb
    tlbi vmalle1
    ic iallu
    dsb nsh
    isb
    ldr x0, =SCTLR
    msr sctlr_el1, x0
    isb
    ret

// void guest_switch_tables(u64 root): the high half is root's from here on, the low half nothing, and nothing
// that is writable can be executed (SCTLR_EL1.WXN). A mapping may not change its size under the CPU (Arm ARM
// D8.13.1, break before make), so this goes through the one to one map with the high half empty.
    .globl guest_switch_tables
guest_switch_tables:
    mrs x9, daif
    msr daifset, #15
    ldr x1, =low_tables - IMAGE_OFFSET
    msr ttbr0_el1, x1
    ldr x1, =TCR
    msr tcr_el1, x1
    isb
    ldr x2, =empty_table - IMAGE_OFFSET
    ldr x3, =3f
    ldr x4, =TCR | TCR_EPD0
    ldr x5, =SCTLR | SCTLR_WXN
    ldr x1, =4f - IMAGE_OFFSET
    br x1
4:  msr ttbr1_el1, x2
    isb
    tlbi vmalle1
    dsb nsh
    isb
    msr ttbr1_el1, x0
    isb
    br x3
3:  msr tcr_el1, x4
    msr sctlr_el1, x5
    isb
    tlbi vmalle1
    dsb nsh
    isb
    msr daif, x9
    ret

// void call_on_stack(u64 top, void (*function)())
    .globl _ZN7barebpf5guest4arch13call_on_stackEmPFvvE
_ZN7barebpf5guest4arch13call_on_stackEmPFvvE:
    mov sp, x0
    mov x29, xzr
    mov x30, xzr
    br x1

// Before there is anything else: says why and ends, by the console's and the semihosting's first means.
secure:
    adr x1, secure_text
    b refuse
old_cpu:
    adr x1, old_cpu_text
    b refuse
too_small:
    adr x1, too_small_text
refuse:
    mov x2, #0x09000000
1:  ldrb w0, [x1], #1
    cbz w0, 2f
    str w0, [x2]
    b 1b
2:  mov x0, #0x18  // SYS_EXIT
    adr x1, exit_block
    hlt #0xf000
3:  wfi
    b 3b
    .balign 8
exit_block:
    .quad 0x20026, 1
secure_text:
    .asciz "guest: FAIL this machine starts at EL3, which is for firmware: use -M virt,secure=off\n"
old_cpu_text:
    .asciz "guest: FAIL this CPU has no atomic instructions (ARMv8.1): use -cpu cortex-a76\n"
too_small_text:
    .asciz "guest: FAIL there is not enough memory for the image: give the machine more (-m)\n"
    .balign 4
    .ltorg

    .balign 2048
small_vectors:
    .rept 16
    b too_small
    .balign 128
    .endr

    .section .rodata.tables, "a"
    .balign 4096
    .globl guest_patch_tables
low_tables:
    .quad low_level1 - IMAGE_OFFSET + TABLE
    .zero 4096 - 8
low_level1:
    .quad 0x00000000 + BLOCK + ACCESSED + DEVICE + NO_EXECUTE
    .quad 0x40000000 + BLOCK + ACCESSED + INNER_SHARE + READ_ONLY + USER_NO_EXECUTE
    .zero 4096 - 16
high_tables:
    .zero 256 * 8
    .quad direct_level1 - IMAGE_OFFSET + TABLE
    .zero 254 * 8
    .quad image_level1 - IMAGE_OFFSET + TABLE
direct_level1:
    .quad 0x00000000 + BLOCK + ACCESSED + DEVICE + NO_EXECUTE
    .quad 0x40000000 + BLOCK + ACCESSED + INNER_SHARE + USER_NO_EXECUTE
    .quad 0x80000000 + BLOCK + ACCESSED + INNER_SHARE + USER_NO_EXECUTE
    .quad 0xc0000000 + BLOCK + ACCESSED + INNER_SHARE + USER_NO_EXECUTE
    .zero 4096 - 32
image_level1:
    .zero 510 * 8
    .quad 0x40000000 + BLOCK + ACCESSED + INNER_SHARE + USER_NO_EXECUTE
    .zero 8
// The window for patching code (pages.cc): RAM one to one, read and write, never executed.
guest_patch_tables:
    .quad patch_level1 - IMAGE_OFFSET + TABLE
    .zero 4096 - 8
patch_level1:
    .zero 8
    .quad 0x40000000 + BLOCK + ACCESSED + INNER_SHARE + NO_EXECUTE
    .zero 4096 - 16
empty_table:
    .zero 4096

// What this_area() is until the boot CPU has its own (testkit/guest/cpu_area.h).
    .data
    .balign 64
boot_area:
    .quad boot_area
    .zero AREA_STACK_TOP - 8
    .quad boot_stack_top
    .quad boot_trap_top, boot_trap_top, boot_trap_top, boot_trap_top
    .zero AREA_BYTES - AREA_TRAP_LAST - 8

    .bss
    .balign 4096
    .zero 32 << 10
boot_trap_top:
    .zero 64 << 10
boot_stack_top:

    .section .note.GNU-stack, "", %progbits
