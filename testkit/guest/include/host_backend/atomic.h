// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: atomics are the compiler's.
#pragma once

#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"
#include "testkit/common/compiler_atomic.h"

namespace barebpf::backend {

ALWAYS_INLINE void spin_hint() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield" ::: "memory");
#endif
}

// Both whole: an interrupt to each other CPU would cost more than it saves.
ALWAYS_INLINE void light_fence() {
    fence(Order::SeqCst);
}
ALWAYS_INLINE void heavy_fence() {
    fence(Order::SeqCst);
}
inline constexpr u32 kBiasAfter = 0;

}  // namespace barebpf::backend
