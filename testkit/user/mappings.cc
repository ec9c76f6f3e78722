// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Mappings that the client made of our descriptors: real mappings of the page file, and the record
// of which parts of them are left.
//
// A mapping holds a reference of the description, as a kernel's does, and may be unmapped piecemeal:
// it owns one or more ranges, and ends with its last one.
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "testkit/user/description.h"
#include "testkit/user/internal.h"
#include "testkit/user/user.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

namespace barebpf::user {

namespace {

struct Mapping {
    Description* description;
    host::MmapRequest request;
    u32 ranges;
};

struct Range {
    uintptr_t start;
    uintptr_t end;
    Mapping* mapping;
    Range* next;
};

Mutex mutex;
Range* first_range;
Atomic<u32> range_count;

uintptr_t page_up(uintptr_t value) {
    return (value + backend::kPageSize - 1) & ~(backend::kPageSize - 1);
}

bool add_range(uintptr_t start, uintptr_t end, Mapping* mapping) {
    auto* range = static_cast<Range*>(calloc(1, sizeof(Range)));
    if (!range) return false;
    *range = {start, end, mapping, first_range};
    first_range = range;
    ++mapping->ranges;
    range_count.fetch_add(1, Order::Relaxed);
    return true;
}

void end_mapping(Mapping* mapping) {
    host::FileObject* object = mapping->description->object;
    if (object->file_ops->munmapped) object->file_ops->munmapped(object, mapping->request);
    put_description(mapping->description, false);
    ::free(mapping);
}

// Cuts [start, end) out of the range at *link. Returns the mapping if that was its last; the link to
// go on with is *link again when the range is gone.
Mapping* cut(Range** link, uintptr_t start, uintptr_t end) {
    Range* range = *link;
    if (start > range->start && end < range->end) {
        // In the middle. Without memory for the second half the record forgets it, and the object
        // stays until the first half goes.
        add_range(end, range->end, range->mapping);
        range->end = start;
        return nullptr;
    }
    if (start > range->start) {
        range->end = start;
        return nullptr;
    }
    if (end < range->end) {
        range->start = end;
        return nullptr;
    }
    Mapping* mapping = range->mapping;
    *link = range->next;
    ::free(range);
    range_count.fetch_sub(1, Order::Relaxed);
    return --mapping->ranges == 0 ? mapping : nullptr;
}

// One mapping that ended by this unmapping; null: no more.
Mapping* cut_next(uintptr_t start, uintptr_t end) {
    MutexGuard guard(mutex);
    for (Range** link = &first_range; *link;) {
        Range* range = *link;
        if (range->end <= start || range->start >= end) {
            link = &range->next;
            continue;
        }
        if (Mapping* ended = cut(link, start, end)) return ended;
        if (*link == range) link = &range->next;
    }
    return nullptr;
}

void forget_range(void* address, size_t length) {
    const auto start = reinterpret_cast<uintptr_t>(address);
    while (Mapping* ended = cut_next(start, page_up(start + length))) end_mapping(ended);
}

// Where the pages will stand: the application's wish, by mmap's rules.
void* reserve(void* address, size_t length, int flags) {
    const int placing = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE);
    void* at = mmap(address, length, PROT_NONE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | placing, -1, 0);
    return at == MAP_FAILED ? nullptr : at;
}

// The mapping is made and recorded, or nothing is left of it.
long place(Mapping* mapping, const host::MmapPages& pages, void* address, size_t length, int prot,
           int flags) {
    if (flags & MAP_FIXED) forget_range(address, length);
    char* at = static_cast<char*>(reserve(address, length, flags));
    if (!at) return -errno;
    const u32 count = static_cast<u32>(length / backend::kPageSize);
    if (!map_pages_at(at, pages.pages, count, prot, pages.may_write)) {
        const int error = errno;
        munmap(at, length);
        return -error;
    }
    const auto start = reinterpret_cast<uintptr_t>(at);
    MutexGuard guard(mutex);
    if (add_range(start, start + length, mapping)) return static_cast<long>(start);
    munmap(at, length);
    return -ENOMEM;
}

long map_description(Description* description, void* address, size_t length, int prot, int flags,
                     u64 offset) {
    const host::FileOps& ops = *description->object->file_ops;
    if (!ops.mmap) return -ENODEV;
    const bool writable = prot & PROT_WRITE;
    const bool shared = (flags & MAP_TYPE) != MAP_PRIVATE;
    if (description->mode == host::FileMode::WriteOnly) return -EACCES;
    if (writable && shared && description->mode == host::FileMode::ReadOnly) return -EACCES;

    auto* mapping = static_cast<Mapping*>(calloc(1, sizeof(Mapping)));
    if (!mapping) return -ENOMEM;
    mapping->description = description;
    mapping->request = {offset, length, writable, shared, (prot & PROT_EXEC) != 0};
    auto pages = ops.mmap(description->object, mapping->request);
    if (!pages.ok()) {
        ::free(mapping);
        return -to_int(pages.error());
    }
    host::MmapPages granted = pages.value();
    if (description->mode == host::FileMode::ReadOnly) granted.may_write = false;
    long result = size_t{granted.count} * backend::kPageSize < length
                      ? -EINVAL
                      : place(mapping, granted, address, length, prot, flags);
    if (result < 0 && result > -4096) {
        if (ops.munmapped) ops.munmapped(description->object, mapping->request);
        ::free(mapping);
    }
    return result;
}

}  // namespace

long mmap_object(void* address, size_t length, int prot, int flags, int fd, u64 offset) {
    if (!length || offset % backend::kPageSize || page_up(length) < length) return -EINVAL;
    host::Cpu::Entry inside;
    if (inside.nested()) return -EBUSY;
    Description* description = reference_description(fd);
    if (!description) return -EBADF;
    long result = map_description(description, address, page_up(length), prot, flags, offset);
    if (result < 0 && result > -4096) put_description(description, false);
    return result;
}

void munmapped(void* address, size_t length) {
    if (!range_count.load(Order::Relaxed) || !length) return;
    // A signal handler that interrupted the library cannot wait: the record keeps the range, and
    // the object, until something else covers it.
    host::Cpu::Entry inside;
    if (!inside.nested()) forget_range(address, length);
}

bool object_is_mapped(const void* address, size_t length) {
    if (!range_count.load(Order::Relaxed)) return false;
    host::Cpu::Entry inside;
    if (inside.nested()) return false;
    const auto start = reinterpret_cast<uintptr_t>(address);
    MutexGuard guard(mutex);
    for (Range* range = first_range; range; range = range->next) {
        if (range->end > start && range->start < start + length) return true;
    }
    return false;
}

void mapping_moved(void* from, void* to, size_t length) {
    if (!range_count.load(Order::Relaxed)) return;
    host::Cpu::Entry inside;
    if (inside.nested()) return;
    const auto start = reinterpret_cast<uintptr_t>(from);
    const uintptr_t end = page_up(start + length);
    MutexGuard guard(mutex);
    // What reaches beyond the part that moved becomes a range of its own, which stays.
    for (Range* range = first_range; range; range = range->next) {
        if (range->end <= start || range->start >= end) continue;
        if (range->start < start && add_range(range->start, start, range->mapping))
            range->start = start;
        if (range->end > end && add_range(end, range->end, range->mapping)) range->end = end;
        const uintptr_t distance = reinterpret_cast<uintptr_t>(to) - start;
        range->start += distance;
        range->end += distance;
    }
}

void forget_mappings() {
    mutex.forget();
    first_range = nullptr;
    range_count.store(0, Order::Relaxed);
}

}  // namespace barebpf::user
