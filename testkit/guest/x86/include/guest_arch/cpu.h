// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: this CPU's area and its interrupt flag, inline.
//
// The GS base of each CPU points to its CpuArea for good (there is no user mode, so no SWAPGS): SDM vol. 3,
// 3.4.4. Code does not move between CPUs, so the compiler may keep what these return.
#pragma once

#include "kernel/lib/annotations.h"
#include "testkit/guest/cpu_area.h"

namespace barebpf::guest {

namespace arch {
inline constexpr u64 kImagePhysical = 0;  // physical address of what kImageBase is mapped to
}

inline constexpr u64 kInterruptFlag = 1 << 9;  // RFLAGS.IF

ALWAYS_INLINE CpuArea* this_area() {
    CpuArea* area;
    asm("movq %%gs:0, %0" : "=r"(area));
    return area;
}

ALWAYS_INLINE u32 this_cpu() {
    u32 id;
    asm("movl %%gs:8, %0" : "=r"(id));
    return id;
}

inline constexpr u64 kIrqsOn = kInterruptFlag;  // what irq_save() returns where they were on

// Interrupts off; returns the flags as they were.
ALWAYS_INLINE u64 irq_save() {
    u64 flags;
    asm volatile("pushfq\n\tpopq %0\n\tcli" : "=r"(flags)::"memory");
    return flags;
}

// Not by POPF, which would bring back a trap flag that has been cleared meanwhile.
ALWAYS_INLINE void irq_restore(u64 flags) {
    if (flags & kInterruptFlag) {
        asm volatile("sti" ::: "memory");
    } else {
        asm volatile("cli" ::: "memory");
    }
}

ALWAYS_INLINE bool irqs_off() {
    u64 flags;
    asm volatile("pushfq\n\tpopq %0" : "=r"(flags)::"memory");
    return (flags & kInterruptFlag) == 0;
}

namespace arch {

// Page table entries that were written are what this CPU goes by: it orders them with its walks by itself
// (SDM vol. 3, 4.10.2).
ALWAYS_INLINE void entries_written() {}

// This CPU alone forgets what it has cached for these pages.
ALWAYS_INLINE void flush_tlb_here(u64 address, u64 size) {
    constexpr u64 kAll = 64 * 4096;  // from here on the whole TLB: there are no global pages
    if (size < kAll) {
        for (u64 at = address; at < address + size; at += 4096)
            asm volatile("invlpg (%0)" ::"r"(at) : "memory");
    } else {
        u64 root;
        asm volatile("movq %%cr3, %0\n\tmovq %0, %%cr3" : "=&r"(root)::"memory");
    }
}

}  // namespace arch

}  // namespace barebpf::guest
