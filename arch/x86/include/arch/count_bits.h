// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The number of set bits in one instruction, which not every machine has (SDM vol. 2, POPCNT).
#pragma once

#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"

namespace barebpf::arch {

inline bool can_count_bits() {
    u32 eax = 1, ebx, ecx = 0, edx;
    asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return (ecx >> 23 & 1) != 0;
}

// Only where can_count_bits().
ALWAYS_INLINE u32 count_bits(u32 x) {
    asm("popcnt %0, %0" : "+r"(x) : : "cc");
    return x;
}

}  // namespace barebpf::arch
