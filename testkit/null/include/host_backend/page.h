// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: pages.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

inline constexpr size_t kPageSize = 4096;

struct Page {
    void* handle;
};

}  // namespace barebpf::backend

extern "C" {
bool host_pages_alloc_zeroed(barebpf::backend::Page* pages, barebpf::u32 count);
void host_pages_free(barebpf::backend::Page* pages, barebpf::u32 count);
void* host_pages_map(const barebpf::backend::Page* pages, barebpf::u32 count);
void host_pages_unmap(void* address, barebpf::u32 count);
}

namespace barebpf::backend {

struct Pages {
    static bool alloc_zeroed(Page* pages, u32 count) {
        return host_pages_alloc_zeroed(pages, count);
    }
    static void free(Page* pages, u32 count) { host_pages_free(pages, count); }
    static void* map(const Page* pages, u32 count) { return host_pages_map(pages, count); }
    static void unmap(void* address, u32 count) { host_pages_unmap(address, count); }
};

}  // namespace barebpf::backend
