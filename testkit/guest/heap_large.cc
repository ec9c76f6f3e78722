// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Large blocks of the heap (testkit/guest/heap.h): pages of their own.
//
//     live      hash of Large, by address; Large itself is a small block
//     retired   ring of freed ones, oldest first: their pages are unmapped but parked (testkit/guest/page_table.h),
//               so that an access faults, and neither frames nor addresses are used again
//
// The oldest leave the ring when it is full or holds too many pages: then every CPU's TLB is flushed, which is
// too slow to do for each block.
#include "testkit/guest/address_space.h"
#include "testkit/guest/frames.h"
#include "testkit/guest/heap.h"
#include "testkit/guest/kernel.h"
#include "testkit/guest/page_table.h"

namespace barebpf::guest::heap::large {

namespace {

struct Large {
    u64 address;
    u64 size;
    Callers allocated_by;
    Callers freed_by;
    Large* next;  // in its bucket

    u64 pages() const { return pages_of(size); }
    bool holds(u64 at) const {
        // The holes around it too.
        return at - (address - kPageBytes) < (pages() + 2) * kPageBytes;
    }
};

constexpr u32 kBuckets = 256;
constexpr u32 kRetired = 192;

backend::RawSpinLock lock;
Large* buckets[kBuckets];
Large retired[kRetired];
u32 retired_count;
u64 retired_pages;
u64 retired_limit;

Large*& bucket_of(u64 address) {
    return buckets[(address / kPageBytes) * 0x9e3779b97f4a7c15 >> 56];
}

BlockReport report_of(const Large& block, bool freed) {
    return {block.address, block.size, freed, &block.allocated_by, &block.freed_by};
}

u8* bytes_of(const Large& block) {
    return reinterpret_cast<u8*>(block.address);
}

void verify(const Large& block) {
    const u8* end = bytes_of(block) + block.size;
    if (find_damage(end, bytes_of(block) + block.pages() * kPageBytes, kRed))
        report("overflow: memory behind a block was written", report_of(block, false));
}

const Large* find_retired(u64 address) {
    for (u32 i = retired_count; i-- > 0;) {
        if (retired[i].address == address) return &retired[i];
    }
    return nullptr;
}

// Takes the block out of the live ones; ends the run if it is none or the size is wrong.
Large* take_out(u64 address, size_t size) {
    Large** link = &bucket_of(address);
    while (*link && (*link)->address != address) link = &(*link)->next;
    Large* block = *link;
    if (!block) {
        if (const Large* before = find_retired(address))
            report("double free", report_of(*before, true));
        report("a free of an address that is no block's", {address, size, false, nullptr, nullptr});
    }
    verify(*block);
    if (block->size != size) {
        say("heap: free() was told ", size, " bytes");
        report("a free with a wrong size", report_of(*block, false));
    }
    *link = block->next;
    return block;
}

// From here on any access of this CPU faults; of another, as soon as its TLB has no room for the page any more.
void park_pages(const Large& block) {
    for (u64 i = 0; i < block.pages(); ++i) page_table::park(block.address + i * kPageBytes);
    arch::flush_tlb_here(block.address, block.pages() * kPageBytes);
}

void release_pages(const Large& block) {
    for (u64 i = 0; i < block.pages(); ++i)
        frames::free(page_table::unmap(block.address + i * kPageBytes));
    address_space::give_back(block.address, block.pages());
}

// Some of the oldest, taken out of the ring; how many.
u32 take_retired(Large* out, u32 most) {
    KernelGuard guard(lock);
    const u32 count = retired_count < most ? retired_count : most;
    for (u32 i = 0; i < count; ++i) {
        out[i] = retired[i];
        retired_pages -= retired[i].pages();
    }
    for (u32 i = count; i < retired_count; ++i) retired[i - count] = retired[i];
    retired_count -= count;
    return count;
}

// Releases some of the oldest, with one flush for all; false: there were none.
bool release_some() {
    Large some[32];
    const u32 count = take_retired(some, sizeof(some) / sizeof(some[0]));
    if (!count) return false;
    arch::flush_tlb(kMappedBase, kMappedSize);
    for (u32 i = 0; i < count; ++i) release_pages(some[i]);
    return true;
}

bool too_many_retired() {
    KernelGuard guard(lock);
    return retired_count == kRetired || retired_pages > retired_limit;
}

void retire(const Large& block) {
    while (too_many_retired()) release_some();
    {
        KernelGuard guard(lock);
        if (retired_count < kRetired) {
            retired[retired_count++] = block;
            retired_pages += block.pages();
            return;
        }
    }
    // Others filled it meanwhile: without a rest, then.
    arch::flush_tlb(block.address, block.pages() * kPageBytes);
    release_pages(block);
}

}  // namespace

void init(u64 quarantine_pages) {
    retired_limit = quarantine_pages;
}

void* alloc_zeroed(size_t size) {
    const Callers callers = callers_here();
    const u64 pages = pages_of(size);
    if (pages >= frames::free_count()) return nullptr;
    auto* block = static_cast<Large*>(small::alloc_zeroed(sizeof(Large)));
    if (!block) return nullptr;
    block->address = address_space::map_new(pages);
    if (!block->address) {
        small::free(block, sizeof(Large));
        return nullptr;
    }
    block->size = size;
    block->allocated_by = callers;
    u8* bytes = bytes_of(*block);
    __builtin_memset(bytes, 0, size);
    __builtin_memset(bytes + size, kRed, pages * kPageBytes - size);
    KernelGuard guard(lock);
    block->next = bucket_of(block->address);
    bucket_of(block->address) = block;
    return bytes;
}

void free(void* memory, size_t size) {
    const Callers callers = callers_here();
    Large* block;
    {
        KernelGuard guard(lock);
        block = take_out(reinterpret_cast<u64>(memory), size);
    }
    block->freed_by = callers;
    park_pages(*block);
    retire(*block);
    small::free(block, sizeof(Large));
}

void drain() {
    while (release_some()) {
    }
}

void check() {
    KernelGuard guard(lock);
    for (Large* first : buckets) {
        for (Large* block = first; block; block = block->next) verify(*block);
    }
}

// Takes no lock: the run is about to end.
bool describe(u64 address) {
    for (u32 i = retired_count; i-- > 0;) {
        if (!retired[i].holds(address)) continue;
        print_line("  the address is in or near");
        print_block(report_of(retired[i], true));
        return true;
    }
    for (Large* first : buckets) {
        for (Large* block = first; block; block = block->next) {
            if (!block->holds(address)) continue;
            print_line("  the address is in or near");
            print_block(report_of(*block, false));
            return true;
        }
    }
    return false;
}

}  // namespace barebpf::guest::heap::large
