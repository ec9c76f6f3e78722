// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Asks for a cache line that will be written (SDM vol. 2, PREFETCHW; nothing happens on processors without it).
#pragma once

#include "kernel/lib/annotations.h"

namespace barebpf::arch {

ALWAYS_INLINE void prefetch_to_write(const void* address) {
    asm volatile("prefetchw %0" : : "m"(*static_cast<const char*>(address)));
}

}  // namespace barebpf::arch
