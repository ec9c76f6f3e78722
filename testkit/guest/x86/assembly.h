// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: numbers that the assembly files share with the C++ files, which check them (descriptors.cc).
#pragma once

// Segment selectors of every descriptor table, the boot one too (descriptors.cc, boot.S).
#define SELECTOR_CODE64 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_CODE32 0x18
#define SELECTOR_TASK 0x20

// The image: linked at BASE + physical address.
#define IMAGE_BASE 0xffffffff80000000
#define IMAGE_PHYSICAL 0x100000

// One page below 1 MiB that a CPU starts in, in real mode: boot.S copies the start code there.
#define TRAMPOLINE 0x8000

#define BOOT_STACK_BYTES 0x20000
#define TRAP_STACK_BYTES 0x8000
#define RED_ZONE 128

#define VECTOR_DEBUG 1
#define VECTOR_NMI 2
#define VECTOR_BREAKPOINT 3
#define VECTOR_DOUBLE_FAULT 8
#define VECTOR_FIRST_IRQ 32
#define VECTOR_NMI_INSIDE 256  // not the hardware's: an NMI while another is being handled

// Offsets in X86Cpu (x86.h), which fills a page of its own.
#define CPU_STACK_IRQ 0
#define CPU_STACK_NMI 8
#define CPU_STACK_FAULT 16
#define CPU_STACK_DEBUG 24
#define CPU_IN_NMI 32
#define CPU_NMI_AGAIN 40
#define CPU_PAGE_BYTES 4096

// Offsets in Frame.
#define FRAME_RAX 512
#define FRAME_RBX 520
#define FRAME_RCX 528
#define FRAME_RDX 536
#define FRAME_RSI 544
#define FRAME_RDI 552
#define FRAME_RBP 560
#define FRAME_R8 568
#define FRAME_VECTOR 632
#define FRAME_ERROR 640
#define FRAME_RIP 648
#define FRAME_CS 656
#define FRAME_RFLAGS 664
#define FRAME_RSP 672
#define FRAME_SS 680
#define FRAME_BYTES 688

// What a started CPU is told: offsets in Starting (start.cc).
#define STARTING_AREA 0
#define STARTING_ROOT 8
#define STARTING_STACK 16

// Where the debug exit and the first serial port are.
#define PORT_EXIT 0xf4
#define PORT_SERIAL 0x3f8
