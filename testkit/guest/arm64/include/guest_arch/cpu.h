// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: what each CPU finds without a call: its area and its interrupt flag.
//
// TPIDR_EL1 (Arm ARM D17.2.141) holds the address of the CPU's area: boot.S sets it before any C++ runs.
// DAIF (C5.2.3): D debug, A SError, I interrupt, F fast interrupt; 1 is masked. Interrupts here are I alone; F
// stays open, because the NMIs of this guest come as FIQ (gic.cc), and so does A. D is masked in traps only.
#pragma once

#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"
#include "testkit/guest/cpu_area.h"

namespace barebpf::guest {

namespace arch {

// What kImageBase is mapped to: the start of RAM of QEMU's virt machine. image.ld agrees.
inline constexpr u64 kImagePhysical = 0x40000000;

inline constexpr u64 kDaifI = u64{1} << 7;  // as DAIF and SPSR_EL1 have it

}  // namespace arch

// What irq_save() returns and irq_restore() takes: DAIF as it was. Only its I counts.
using IrqState = u64;
inline constexpr IrqState kIrqsOn = 0;

ALWAYS_INLINE CpuArea* this_area() {
    CpuArea* area;
    asm("mrs %0, tpidr_el1" : "=r"(area));
    return area;
}

ALWAYS_INLINE u32 this_cpu() {
    return this_area()->id;
}

ALWAYS_INLINE IrqState irq_save() {
    IrqState old;
    asm volatile("mrs %0, daif\n\tmsr daifset, #2" : "=r"(old) : : "memory");
    return old;
}

ALWAYS_INLINE void irq_restore(IrqState old) {
    if (!(old & arch::kDaifI))
        asm volatile("msr daifclr, #2" ::: "memory");
    else
        asm volatile("msr daifset, #2" ::: "memory");
}

ALWAYS_INLINE bool irqs_off() {
    u64 daif;
    asm volatile("mrs %0, daif" : "=r"(daif));
    return (daif & arch::kDaifI) != 0;
}

namespace arch {

// Page table entries that were written are what this CPU's walks find from here on (Arm ARM D8.13.1).
ALWAYS_INLINE void entries_written() {
    asm volatile("dsb ishst\n\tisb" ::: "memory");
}

// This CPU alone forgets what it has cached for these pages.
ALWAYS_INLINE void flush_tlb_here(u64 address, u64 size) {
    constexpr u64 kAll = 64 * 4096;  // from here on the whole TLB
    constexpr u64 kPageNumber = (u64{1} << 44) - 1;
    asm volatile("dsb nshst" ::: "memory");
    if (size < kAll) {
        for (u64 at = address; at < address + size; at += 4096)
            asm volatile("tlbi vaae1, %0" ::"r"((at >> 12) & kPageNumber) : "memory");
    } else {
        asm volatile("tlbi vmalle1" ::: "memory");
    }
    asm volatile("dsb nsh\n\tisb" ::: "memory");
}

}  // namespace arch

}  // namespace barebpf::guest
