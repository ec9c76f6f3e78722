// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: the process's heap, with accounting and failure injection (testkit/user/heap.cc).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

struct Heap {
    static void* alloc_zeroed(size_t size, bool may_sleep);
    static void free(void* memory, size_t size);
    static void discard(void* part, size_t size);
};

}  // namespace barebpf::backend
