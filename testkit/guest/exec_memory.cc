// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Executable memory: pages of the `programs` window, handed out in granules of 64 bytes.
//
//     window   [page][page][    ][page]...     a page is mapped, read and execute, while one of its granules is
//                                              taken (and a few idle ones stay); what is free holds traps
//     taken    one word for each page: a bit for each granule
//     alias    the pages of a program once more, read and write, in the `mapped` area: from reserve() to publish()
//
// In the direct map the pages are read-only. No address is ever writable and executable. Neighbours in the same
// page are not disturbed: the alias shows them, and the writer keeps to its own bytes.
#include "kernel/lib/bits.h"
#include "testkit/guest/address_space.h"
#include "testkit/guest/frames.h"
#include "testkit/guest/image.h"
#include "testkit/guest/kernel.h"
#include "testkit/guest/page_table.h"

namespace barebpf::guest {

namespace {

constexpr u32 kGranule = 64;
constexpr u32 kGranulesOfPage = kPageBytes / kGranule;
constexpr u32 kWindowPages = kProgramSize / kPageBytes;
constexpr u64 kWindowGranules = u64{kWindowPages} * kGranulesOfPage;
constexpr u32 kMaxIdle = 64;

// Of taken[], and of who maps and unmaps pages of the window.
backend::RawSpinLock lock;
u64 taken[kWindowPages];
bool mapped[kWindowPages];
u32 idle_pages;  // mapped, nothing taken

u64 granules_of(u32 size) {
    return (u64{size} + kGranule - 1) / kGranule;
}

bool is_taken(u64 granule) {
    return (taken[granule / kGranulesOfPage] >> (granule % kGranulesOfPage)) & 1;
}

// The first of count free granules in a row; kWindowGranules: none.
u64 find(u64 count) {
    u64 start = 0;
    for (u64 granule = 0; granule < kWindowGranules; ++granule) {
        const u64 word = taken[granule / kGranulesOfPage];
        if (granule % kGranulesOfPage == 0 && word == ~u64{0}) {
            granule += kGranulesOfPage - 1;
            start = granule + 1;
        } else if (granule % kGranulesOfPage == 0 && word == 0) {
            granule += kGranulesOfPage - 1;
            if (granule + 1 - start >= count) return start;
        } else if (is_taken(granule)) {
            start = granule + 1;
        } else if (granule + 1 - start == count) {
            return start;
        }
    }
    return kWindowGranules;
}

void fill_with_traps(u8* where, size_t size) {
#if defined(__x86_64__)
    __builtin_memset(where, 0xcc, size);  // int3
#elif defined(__aarch64__)
    const u32 brk = 0xd4200000;  // brk #0
    for (size_t i = 0; i + 4 <= size; i += 4) __builtin_memcpy(where + i, &brk, 4);
#endif
}

u64 address_of(u32 page) {
    return kProgramBase + u64{page} * kPageBytes;
}

// With the lock held. False: no memory.
bool make_page(u32 page) {
    if (mapped[page]) {
        if (!taken[page]) --idle_pages;
        return true;
    }
    const u64 frame = frames::alloc();
    if (frame == kNoPage) return false;
    fill_with_traps(static_cast<u8*>(direct(frame)), kPageBytes);
    page_table::set_direct(frame, Access::Read);
    if (!page_table::map(address_of(page), frame, Access::ReadExecute)) {
        page_table::set_direct(frame, Access::ReadWrite);
        frames::free(frame);
        return false;
    }
    mapped[page] = true;
    return true;
}

struct Freed {
    u64 frames[kMaxIdle];
    u32 count = 0;
};

// The bits of [start, start + count) in this page.
u64 bits_in(u32 page, u64 start, u64 count) {
    const u64 first = u64{page} * kGranulesOfPage;
    const u64 from = start > first ? start - first : 0;
    const u64 end =
        start + count - first < kGranulesOfPage ? start + count - first : kGranulesOfPage;
    const u64 below_end = end == kGranulesOfPage ? ~u64{0} : (u64{1} << end) - 1;
    return below_end & ~((u64{1} << from) - 1);
}

u32 page_of(u64 granule) {
    return static_cast<u32>(granule / kGranulesOfPage);
}

// With the lock held. Pages that nobody needs are unmapped; who calls frees their frames after a flush, and
// calls again while it says true.
bool drop(u64 start, u64 count, Freed* freed) {
    for (u32 page = page_of(start); page <= page_of(start + count - 1); ++page) {
        const u64 bits = bits_in(page, start, count) & taken[page];
        taken[page] &= ~bits;
        if (taken[page] || !mapped[page] || !bits) continue;
        if (idle_pages < kMaxIdle) {
            ++idle_pages;
            continue;
        }
        if (freed->count == kMaxIdle) {
            taken[page] |= bits;
            return true;
        }
        mapped[page] = false;
        freed->frames[freed->count++] = page_table::unmap(address_of(page));
    }
    return false;
}

void drop_all(u64 start, u64 count) {
    for (bool more = true; more;) {
        Freed freed;
        {
            KernelGuard guard(lock);
            more = drop(start, count, &freed);
        }
        if (!freed.count) continue;
        arch::flush_tlb(kDirectBase, ~kDirectBase);
        for (u32 i = 0; i < freed.count; ++i) frames::free(freed.frames[i]);
    }
}

// Takes count granules whose pages are there. kWindowGranules: none, or no memory.
u64 take(u64 count) {
    u64 start;
    u64 done = 0;
    {
        KernelGuard guard(lock);
        start = find(count);
        if (start == kWindowGranules) return start;
        const u32 last = page_of(start + count - 1);
        bool ok = true;
        for (u32 page = page_of(start); page <= last && ok; ++page) {
            ok = make_page(page);
            if (!ok) break;
            const u64 bits = bits_in(page, start, count);
            taken[page] |= bits;
            done += count_bits(bits);
        }
        if (ok) return start;
    }
    if (done) drop_all(start, done);
    return kWindowGranules;
}

// A writable address of [exec, exec + size); null: no memory.
u8* map_alias(const u8* exec, u32 size) {
    const u64 first = reinterpret_cast<u64>(exec) & ~(kPageBytes - 1);
    const u64 offset = reinterpret_cast<u64>(exec) - first;
    const u64 pages = pages_of(offset + size);
    const u64 alias = address_space::take(pages);
    if (!alias) return nullptr;
    for (u64 i = 0; i < pages; ++i) {
        const u64 frame = page_table::frame_at(first + i * kPageBytes);
        if (page_table::map(alias + i * kPageBytes, frame, Access::ReadWrite)) continue;
        address_space::unmap_range(alias, pages);
        return nullptr;
    }
    return reinterpret_cast<u8*>(alias + offset);
}

void unmap_alias(const u8* write, u32 size) {
    const u64 first = reinterpret_cast<u64>(write) & ~(kPageBytes - 1);
    const u64 offset = reinterpret_cast<u64>(write) - first;
    address_space::unmap_range(first, pages_of(offset + size));
}

u64 granule_of(const u8* exec) {
    return (reinterpret_cast<u64>(exec) - kProgramBase) / kGranule;
}

bool fits(s64 displacement) {
    return displacement == static_cast<s32>(displacement);
}

}  // namespace

}  // namespace barebpf::guest

namespace barebpf::backend {

using guest::kWindowGranules;

bool ExecMemory::reserve(u32 size, u8** exec, u8** write) {
    if (!size || size > guest::kProgramSize || !guest::allocation_allowed()) return false;
    if (guest::pages_of(size) > guest::frames::free_count()) return false;
    const u64 count = guest::granules_of(size);
    const u64 start = guest::take(count);
    if (start == kWindowGranules) return false;
    u8* code = reinterpret_cast<u8*>(guest::kProgramBase + start * guest::kGranule);
    u8* alias = guest::map_alias(code, size);
    if (!alias) {
        guest::drop_all(start, count);
        return false;
    }
    *exec = code;
    *write = alias;
    guest::account(size, 1);
    return true;
}

bool ExecMemory::publish(u8* exec, u8* write, u32 size) {
    guest::unmap_alias(write, size);
    guest::arch::sync_code(exec, size);
    return true;
}

void ExecMemory::free(u8* exec, u8* write, u32 size) {
    u8* alias = write ? write : guest::map_alias(exec, size);
    // Without memory for the alias the old code stays, unreachable, until it is overwritten.
    if (alias) {
        guest::fill_with_traps(alias, size);
        guest::unmap_alias(alias, size);
        guest::arch::sync_code(exec, size);
    }
    guest::drop_all(guest::granule_of(exec), guest::granules_of(size));
    guest::account(-static_cast<s64>(size), -1);
}

bool ExecMemory::reachable(const void* address) {
    // From any byte of the window, whichever end is farther.
    const u64 from_begin = reinterpret_cast<u64>(address) - guest::kProgramBase;
    const u64 from_end = from_begin - guest::kProgramSize;
    return guest::fits(static_cast<s64>(from_begin)) && guest::fits(static_cast<s64>(from_end));
}

}  // namespace barebpf::backend
