// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: a page is an offset in one memfd, so that it can be mapped many times, by clients
// too (testkit/user/pages.cc).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

inline constexpr size_t kPageSize = 4096;

struct Page {
    u32 index;  // in pages of kPageSize
};

struct Pages {
    static bool alloc_zeroed(Page* pages, u32 count);
    static void free(Page* pages, u32 count);
    static void* map(const Page* pages, u32 count);
    static void unmap(void* address, u32 count);
};

}  // namespace barebpf::backend
