// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: from the first instruction to C++, on the boot CPU and on those that it starts.
//
//     boot CPU: PVH entry, 32 bits, paging off ──┐
//                                                ├─> paging on (boot tables), 64 bits, image addresses ─> C++
//     others: start code at TRAMPOLINE, 16 bits ─┘
//
// QEMU's -kernel boots an ELF that has the Xen note "physical entry point" (type 18): 32-bit protected mode with
// flat segments, paging and interrupts off, EBX = physical address of hvm_start_info (Xen's
// docs/misc/pvh.pandoc and public/arch-x86/hvm/start_info.h). The image is loaded at its physical addresses.
//
// Long mode: CR4.PAE, CR3, EFER.LME, CR0.PG in this order, then a far jump into a 64-bit segment (SDM vol. 3,
// 9.8.5). The boot tables: 4 GiB in pages of 2 MiB at 0 and at kDirectBase, the first GiB at IMAGE_BASE.
// A CPU that gets a start-up IPI begins in real mode at CS = vector << 8, IP = 0 (SDM vol. 3, 8.4.3).
#include "testkit/guest/x86/assembly.h"

#define PHYSICAL(symbol) ((symbol) - IMAGE_BASE)

#define CR0_BOOT 0x80010033  // PG, WP, NE, ET, MP, PE
#define CR4_BOOT 0x620       // PAE, OSFXSR, OSXMMEXCPT
#define EFER 0xc0000080
#define EFER_BOOT 0x900  // LME, NXE

#define PAGE_TABLE 0x3    // present, writable
#define PAGE_LARGE 0x83   // and of 2 MiB

#define START_MAGIC 0x336ec578
#define START_MEMMAP 40          // offsets in hvm_start_info
#define START_MEMMAP_ENTRIES 48
#define MEMMAP_BYTES 24  // base, size (8 bytes each), type (1: RAM)

// SeaBIOS works at the end of RAM until it starts us: with less than this behind the image it may have written
// over it.
#define FIRMWARE_BYTES 0x100000

    .section .note.pvh, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad PHYSICAL(guest_x86_start)

    .section .text.boot, "ax"
    .code32
    .globl guest_x86_start
guest_x86_start:
    cli
    cld
    movl $PHYSICAL(boot_stack_end), %esp
    movl %ebx, %ebp  // hvm_start_info
    call check_memory
    call clear_bss
    call make_tables
    call copy_trampoline
    movl $PHYSICAL(boot_main), %edi

// Common to all CPUs. edi: physical address of the 64-bit code to go on with.
enter_long_mode:
    movl $CR4_BOOT, %eax
    movl %eax, %cr4
    movl $PHYSICAL(boot_pml4), %eax
    movl %eax, %cr3
    movl $EFER, %ecx
    rdmsr
    orl $EFER_BOOT, %eax
    wrmsr
    movl $CR0_BOOT, %eax
    movl %eax, %cr0
    lgdt PHYSICAL(boot_gdt_pointer)
    ljmp $SELECTOR_CODE64, $PHYSICAL(to_image)

// The image must lie in RAM as a whole, or nothing that follows would be there. Uses only registers until then.
check_memory:
    cmpl $START_MAGIC, (%ebp)
    jne 4f
    movl START_MEMMAP(%ebp), %esi
    movl START_MEMMAP_ENTRIES(%ebp), %ecx
1:  testl %ecx, %ecx
    jz 3f
    cmpl $1, 16(%esi)
    jne 2f
    cmpl $0, 4(%esi)  // at 4 GiB or above
    jne 2f
    cmpl $IMAGE_PHYSICAL, (%esi)
    ja 2f
    cmpl $0, 12(%esi)  // 4 GiB or more
    jne 5f
    movl (%esi), %eax
    addl 8(%esi), %eax
    jc 5f
    cmpl $PHYSICAL(guest_image_end + FIRMWARE_BYTES), %eax
    jae 5f
2:  addl $MEMMAP_BYTES, %esi
    decl %ecx
    jmp 1b
3:  movl $PHYSICAL(no_memory), %esi
    jmp boot_failed
4:  movl $PHYSICAL(no_magic), %esi
    jmp boot_failed
5:  ret

// esi: text. Prints it (16550: data at the port itself, bit 5 of port + 5: may send) and ends QEMU.
boot_failed:
    movw $(PORT_SERIAL + 5), %dx
1:  inb %dx, %al
    testb $0x20, %al
    jz 1b
    movb (%esi), %al
    incl %esi
    testb %al, %al
    jz 2f
    movw $PORT_SERIAL, %dx
    outb %al, %dx
    jmp boot_failed
2:  movl $1, %eax
    movw $PORT_EXIT, %dx
    outl %eax, %dx
3:  hlt
    jmp 3b

// It is zero only if no firmware has used the memory meanwhile. Its own return address stands in it: it comes back
// by the register that has it.
clear_bss:
    popl %edx
    movl $PHYSICAL(guest_x86_bss_begin), %edi
    movl $PHYSICAL(guest_image_end), %ecx
    subl %edi, %ecx
    shrl $2, %ecx
    xorl %eax, %eax
    rep stosl
    jmp *%edx

make_tables:
    movl $PHYSICAL(boot_low_directories), %edi
    movl $PAGE_LARGE, %eax
    movl $(4 * 512), %ecx
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    decl %ecx
    jnz 1b
    movl $PHYSICAL(boot_low_pointers), %edi
    movl $(PHYSICAL(boot_low_directories) + PAGE_TABLE), %eax
    movl $4, %ecx
1:  movl %eax, (%edi)
    addl $4096, %eax
    addl $8, %edi
    decl %ecx
    jnz 1b
    movl $(PHYSICAL(boot_low_directories) + PAGE_TABLE), PHYSICAL(boot_high_pointers) + 510 * 8
    movl $(PHYSICAL(boot_low_pointers) + PAGE_TABLE), PHYSICAL(boot_pml4) + 0 * 8
    movl $(PHYSICAL(boot_low_pointers) + PAGE_TABLE), PHYSICAL(boot_pml4) + 256 * 8
    movl $(PHYSICAL(boot_high_pointers) + PAGE_TABLE), PHYSICAL(boot_pml4) + 511 * 8
    ret

copy_trampoline:
    movl $PHYSICAL(trampoline), %esi
    movl $TRAMPOLINE, %edi
    movl $(trampoline_end - trampoline), %ecx
    rep movsb
    ret

// A started CPU, in the copy at TRAMPOLINE.
    .code16
trampoline:
    cli
    cld
    lgdtl %cs:(trampoline_gdt - trampoline)
    movl $0x11, %eax  // ET, PE
    movl %eax, %cr0
    ljmpl $SELECTOR_CODE32, $PHYSICAL(started_32)
    .balign 8
trampoline_gdt:
    .word boot_gdt_end - boot_gdt - 1
    .long PHYSICAL(boot_gdt)
trampoline_end:

    .code32
started_32:
    movl $SELECTOR_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $PHYSICAL(started_main), %edi
    jmp enter_long_mode

    .code64
to_image:
    movl $SELECTOR_DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    fninit
    movl %edi, %edi
    movq $IMAGE_BASE, %rax
    addq %rdi, %rax
    jmp *%rax

boot_main:
    lgdt boot_gdt_pointer_high
    movq $boot_stack_end, %rsp
    movl %ebp, %edi
    xorl %ebp, %ebp
    call guest_main
1:  hlt
    jmp 1b

started_main:
    lgdt boot_gdt_pointer_high
    movq guest_x86_starting+STARTING_ROOT, %rax
    movq %rax, %cr3
    movq guest_x86_starting+STARTING_STACK, %rsp
    movq guest_x86_starting+STARTING_AREA, %rdi
    movq $0, guest_x86_starting+STARTING_AREA  // it has come: start_cpu() goes on
    xorl %ebp, %ebp
    call guest_secondary_main
1:  hlt
    jmp 1b

    .section .rodata.boot, "a"
no_memory:
    .asciz "guest: FAIL the memory (-m) does not hold the image itself and 1 MiB more\n"
no_magic:
    .asciz "guest: FAIL no hvm_start_info: not started by QEMU's -kernel\n"

    .data
    .balign 16
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff  // 64-bit code
    .quad 0x00cf93000000ffff  // data
    .quad 0x00cf9b000000ffff  // 32-bit code
boot_gdt_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .quad PHYSICAL(boot_gdt)
boot_gdt_pointer_high:
    .word boot_gdt_end - boot_gdt - 1
    .quad boot_gdt

    .bss
    .balign 4096
    .globl guest_x86_boot_pml4
guest_x86_boot_pml4:
boot_pml4:
    .skip 4096
boot_low_pointers:
    .skip 4096
boot_high_pointers:
    .skip 4096
boot_low_directories:
    .skip 4 * 4096
    .globl boot_stack_begin, boot_stack_end
boot_stack_begin:
    .skip BOOT_STACK_BYTES
boot_stack_end:

    .section .note.GNU-stack, "", @progbits
