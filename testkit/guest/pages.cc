// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Pages of the host contract: frames, and mappings of them in any order, as often as one likes.
#include "testkit/guest/address_space.h"
#include "testkit/guest/frames.h"
#include "testkit/guest/heap.h"
#include "testkit/guest/kernel.h"

namespace barebpf::backend {

namespace {

using guest::kNoPage;
static_assert(sizeof(Page) == sizeof(u32), "a list of pages is a list of frame numbers");

void free_frames(const Page* pages, u32 count) {
    for (u32 i = 0; i < count; ++i) guest::frames::free(u64{pages[i].frame} * kPageSize);
}

bool take_frames(Page* pages, u32 count) {
    for (u32 i = 0; i < count; ++i) {
        const u64 frame = guest::frames::alloc_zeroed();
        if (frame == kNoPage) {
            free_frames(pages, i);
            return false;
        }
        pages[i].frame = static_cast<u32>(frame / kPageSize);
    }
    return true;
}

}  // namespace

bool Pages::alloc_zeroed(Page* pages, u32 count) {
    if (!guest::allocation_allowed() || !count) return false;
    if (count > guest::frames::free_count() || !take_frames(pages, count)) {
        guest::heap::shrink();
        if (count > guest::frames::free_count() || !take_frames(pages, count)) return false;
    }
    guest::account(static_cast<s64>(count * kPageSize), 1);
    return true;
}

void Pages::free(Page* pages, u32 count) {
    if (!count) return;
    free_frames(pages, count);
    guest::account(-static_cast<s64>(count * kPageSize), -1);
}

void* Pages::map(const Page* pages, u32 count) {
    if (!guest::allocation_allowed() || !count) return nullptr;
    return reinterpret_cast<void*>(
        guest::address_space::map_frames(&pages[0].frame, count, guest::Access::ReadWrite));
}

void Pages::unmap(void* address, u32 count) {
    guest::address_space::unmap_range(reinterpret_cast<u64>(address), count);
}

}  // namespace barebpf::backend
