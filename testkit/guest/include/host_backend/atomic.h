// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: atomics are the compiler's.
#pragma once

#include "kernel/lib/annotations.h"
#include "testkit/common/compiler_atomic.h"

namespace barebpf::backend {

ALWAYS_INLINE void spin_hint() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield" ::: "memory");
#endif
}

}  // namespace barebpf::backend
