// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: the heap.
#pragma once

#include "kernel/lib/types.h"

extern "C" {
void* host_alloc_zeroed(size_t size, bool may_sleep);
void host_free(void* memory, size_t size);
}

namespace barebpf::backend {

struct Heap {
    static void* alloc_zeroed(size_t size, bool may_sleep) {
        return host_alloc_zeroed(size, may_sleep);
    }
    static void free(void* memory, size_t size) { host_free(memory, size); }
};

}  // namespace barebpf::backend
