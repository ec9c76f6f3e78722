// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: atomics are the compiler's.
#pragma once

#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"
#include "testkit/common/compiler_atomic.h"

namespace barebpf::backend {

ALWAYS_INLINE void spin_hint() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb" ::: "memory");
#endif
}

// Until the kernel has promised to interrupt this process's other threads (fence.cc): then both halves are whole fences.
// Written before there is a second thread.
extern bool whole_fences __attribute__((visibility("hidden")));

ALWAYS_INLINE void light_fence() {
    if (UNLIKELY(whole_fences)) fence(Order::SeqCst);
    asm volatile("" ::: "memory");
}
void heavy_fence();
// The heavy one is a system call of a few microseconds, which a handler of a signal may make as well.
inline constexpr u32 kBiasAfter = 8192;

}  // namespace barebpf::backend
