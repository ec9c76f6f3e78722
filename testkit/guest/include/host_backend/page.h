// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: a page is a page of RAM (testkit/guest/pages.cc).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

inline constexpr size_t kPageSize = 4096;

struct Page {
    u32 frame;  // physical address / kPageSize
};

struct Pages {
    static bool alloc_zeroed(Page* pages, u32 count);
    static void free(Page* pages, u32 count);
    static void* map(const Page* pages, u32 count);
    static void unmap(void* address, u32 count);
};

}  // namespace barebpf::backend
