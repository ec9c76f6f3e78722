// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/guest/address_space.h"

#include "testkit/guest/frames.h"
#include "testkit/guest/kernel.h"
#include "testkit/guest/page_table.h"

namespace barebpf::guest::address_space {

namespace {

// Of addresses: four times the RAM, so that an address rests for a while before it comes back.
constexpr u64 kMaxPages = u64{1} << 20;
constexpr u64 kTimesRam = 4;
static_assert(kMaxPages * kPageBytes <= kMappedSize / 2, "the upper half is the heap's slabs");

backend::RawSpinLock lock;
u64 taken[kMaxPages / 64];
u64 page_count = 0;
u64 hint = 1;  // page 0 is the hole below the first range

bool is_taken(u64 page) {
    return (taken[page / 64] >> (page % 64)) & 1;
}

void mark(u64 first, u64 count, bool value) {
    for (u64 page = first; page < first + count; ++page) {
        const u64 bit = u64{1} << (page % 64);
        taken[page / 64] = value ? taken[page / 64] | bit : taken[page / 64] & ~bit;
    }
}

// The first of count free pages in a row in [from, page_count); 0: none.
u64 find(u64 from, u64 count) {
    u64 start = from;
    for (u64 page = from; page < page_count; ++page) {
        if (page % 64 == 0 && taken[page / 64] == ~u64{0}) {
            page += 63;
            start = page + 1;
        } else if (is_taken(page)) {
            start = page + 1;
        } else if (page + 1 - start == count) {
            return start;
        }
    }
    return 0;
}

}  // namespace

void init(u64 ram_pages) {
    page_count = ram_pages * kTimesRam < kMaxPages ? ram_pages * kTimesRam : kMaxPages;
}

u64 take(u64 pages) {
    if (!pages || pages >= page_count) return 0;
    KernelGuard guard(lock);
    u64 start = find(hint, pages + 1);
    if (!start) start = find(1, pages + 1);
    if (!start) return 0;
    mark(start, pages + 1, true);
    hint = start + pages + 1;
    return kMappedBase + start * kPageBytes;
}

void give_back(u64 address, u64 pages) {
    KernelGuard guard(lock);
    mark((address - kMappedBase) / kPageBytes, pages + 1, false);
}

u64 map_frames(const u32* frames, u64 count, Access access) {
    const u64 address = take(count);
    if (!address) return 0;
    for (u64 i = 0; i < count; ++i) {
        if (page_table::map(address + i * kPageBytes, u64{frames[i]} * kPageBytes, access))
            continue;
        unmap_range(address, count);
        return 0;
    }
    return address;
}

void unmap_range(u64 address, u64 count) {
    for (u64 i = 0; i < count; ++i) page_table::unmap(address + i * kPageBytes);
    arch::flush_tlb(address, count * kPageBytes);
    give_back(address, count);
}

u64 map_new(u64 pages) {
    const u64 address = take(pages);
    if (!address) return 0;
    for (u64 i = 0; i < pages; ++i) {
        const u64 frame = frames::alloc();
        if (frame != kNoPage && page_table::map(address + i * kPageBytes, frame, Access::ReadWrite))
            continue;
        if (frame != kNoPage) frames::free(frame);
        unmap_and_free(address, pages);
        return 0;
    }
    return address;
}

void unmap_and_free(u64 address, u64 pages) {
    for (u64 i = 0; i < pages; ++i) page_table::park(address + i * kPageBytes);
    arch::flush_tlb(address, pages * kPageBytes);
    for (u64 i = 0; i < pages; ++i) {
        const u64 frame = page_table::unmap(address + i * kPageBytes);
        if (frame != kNoPage) frames::free(frame);
    }
    give_back(address, pages);
}

}  // namespace barebpf::guest::address_space
