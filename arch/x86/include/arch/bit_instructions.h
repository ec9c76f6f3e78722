// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Set bits and a shift in one instruction each, which not every machine has (SDM vol. 2, POPCNT, SHRX).
#pragma once

#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"

namespace barebpf::arch {

inline bool has_bit_instructions() {
    u32 eax = 0, ebx, ecx = 0, edx;
    asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    if (eax < 7) return false;
    eax = 1, ecx = 0;
    asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    const bool popcnt = ecx >> 23 & 1;
    eax = 7, ecx = 0;
    asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return popcnt && (ebx >> 8 & 1);
}

// Only where has_bit_instructions(). As PortableBits of kernel/lib/count_bits.h.
struct BitInstructions {
    static ALWAYS_INLINE u64 add_count(u64 to, u64 x) {
        asm("popcnt %1, %1\n\tadd %1, %0" : "+r"(to), "+r"(x) : : "cc");
        return to;
    }
    static ALWAYS_INLINE u64 shift_right32(u32 x, u32 by) {
        u64 shifted;
        asm("shrx %2, %1, %k0" : "=r"(shifted) : "rm"(x), "r"(by));
        return shifted;
    }
};

}  // namespace barebpf::arch
