// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: per-CPU memory is one block, a copy for each CPU slot, each on its own cache lines.
#pragma once

#include <host_backend/cpu.h>

namespace barebpf::backend {

struct PerCpu {
    // Two cache lines: processors fetch them in pairs (Intel's optimization manual: the spatial prefetcher), and the
    // other of a pair would be another CPU's.
    static constexpr size_t kLine = 128;
    static ALWAYS_INLINE size_t stride(size_t size) { return (size + kLine - 1) & ~(kLine - 1); }

    static void* alloc_zeroed(size_t size);
    static void free(void* base, size_t size);
    static ALWAYS_INLINE void* at(void* base, size_t size, u32 cpu) {
        return static_cast<char*>(base) + stride(size) * cpu;
    }
    static ALWAYS_INLINE void* this_cpu(void* base, size_t size) {
        return at(base, size, Cpu::id());
    }
};

}  // namespace barebpf::backend
