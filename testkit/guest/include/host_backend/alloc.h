// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: the heap with red zones and a quarantine (testkit/guest/heap.h), accounting and failure
// injection (testkit/guest/accounting.cc).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

struct Heap {
    static void* alloc_zeroed(size_t size, bool may_sleep);
    static void free(void* memory, size_t size);
};

}  // namespace barebpf::backend
