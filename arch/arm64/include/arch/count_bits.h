// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The number of set bits in one instruction: here only vector registers have one, which the core leaves alone.
#pragma once

#include "kernel/lib/annotations.h"
#include "kernel/lib/count_bits.h"

namespace barebpf::arch {

inline bool can_count_bits() {
    return false;
}

ALWAYS_INLINE u32 count_bits(u32 x) {
    return count_bits32(x);
}

}  // namespace barebpf::arch
