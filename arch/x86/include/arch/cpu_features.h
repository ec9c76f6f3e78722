// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What this machine can do (SDM vol. 2, CPUID).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::arch {

struct CpuFeatures {
    bool bmi2 = false;        // shlx, shrx, sarx, rorx
    bool slow_lines = false;  // jumps that cross or end a line of 32 bytes may cost more
};

inline CpuFeatures cpu_features() {
    auto cpuid = [](u32 leaf, u32* ebx) {
        u32 eax = leaf, ecx = 0, edx;
        asm volatile("cpuid" : "+a"(eax), "=b"(*ebx), "+c"(ecx), "=d"(edx));
        return eax;
    };
    constexpr u32 kIntel = 0x756e6547;  // "Genu"
    CpuFeatures features;
    u32 ebx;
    const u32 leaves = cpuid(0, &ebx);
    features.slow_lines = ebx == kIntel;
    if (leaves < 7) return features;
    cpuid(7, &ebx);
    features.bmi2 = (ebx >> 8 & 1) != 0;
    return features;
}

}  // namespace barebpf::arch
