// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: copying memory that may not be there. Each instruction that may fault has an entry in .fixups:
// where it is, and where to go on after a fault (traps.cc, apply_fixup()).
//
// Hardware facts: an unaligned access to normal memory is allowed (Arm ARM B2.8.2, SCTLR_EL1.A is 0); a failed
// access of any kind at the current level is a data abort with the instruction's address in ELR_EL1
// (D17.2.37, class 0x25).

.macro may_fault landing
    .pushsection .fixups, "a"
    .quad 9999f, \landing
    .popsection
9999:
.endm

    .text
// bool copy_nofault(void* to, const void* from, size_t size)
    .globl _ZN7barebpf5guest4arch12copy_nofaultEPvPKvm
_ZN7barebpf5guest4arch12copy_nofaultEPvPKvm:
    cmp x2, #8
    b.lo 2f
1:  may_fault 4f
    ldr x3, [x1], #8
    may_fault 4f
    str x3, [x0], #8
    sub x2, x2, #8
    cmp x2, #8
    b.hs 1b
2:  cbz x2, 3f
    may_fault 4f
    ldrb w3, [x1], #1
    may_fault 4f
    strb w3, [x0], #1
    sub x2, x2, #1
    b 2b
3:  mov w0, #1
    ret
4:  mov w0, #0
    ret

// void guest_semihosting_exit(const u64 block[2]): QEMU ends, or, if it does not know semihosting, HLT is an
// undefined instruction and this returns ("Semihosting for AArch32 and AArch64", SYS_EXIT 0x18).
    .globl guest_semihosting_exit
guest_semihosting_exit:
    mov x1, x0
    mov w0, #0x18
    may_fault 1f
    hlt #0xf000
1:  ret

// void guest_semihosting_write(const char*): one character (SYS_WRITEC 0x03).
    .globl guest_semihosting_write
guest_semihosting_write:
    mov x1, x0
    mov w0, #3
    may_fault 1f
    hlt #0xf000
1:  ret

    .section .note.GNU-stack, "", %progbits
