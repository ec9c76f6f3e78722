// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Asks for a cache line that will be written (Arm ARM C6.2, PRFM PSTL1KEEP).
#pragma once

#include "kernel/lib/annotations.h"

namespace barebpf::arch {

ALWAYS_INLINE void prefetch_to_write(const void* address) {
    __builtin_prefetch(address, 1);
}

}  // namespace barebpf::arch
