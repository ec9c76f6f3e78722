// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: per-CPU memory.
#pragma once

#include "kernel/lib/types.h"

extern "C" {
void* host_percpu_alloc_zeroed(size_t size);
void host_percpu_free(void* base, size_t size);
void* host_percpu_at(void* base, size_t size, barebpf::u32 cpu);
void* host_percpu_this_cpu(void* base, size_t size);
}

namespace barebpf::backend {

struct PerCpu {
    static void* alloc_zeroed(size_t size) { return host_percpu_alloc_zeroed(size); }
    static void free(void* base, size_t size) { host_percpu_free(base, size); }
    static void* at(void* base, size_t size, u32 cpu) { return host_percpu_at(base, size, cpu); }
    static void* this_cpu(void* base, size_t size) { return host_percpu_this_cpu(base, size); }
};

}  // namespace barebpf::backend
