// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What mmap(2) of a descriptor is in a guest: the object's pages once more, in the `mapped` area. A mapping holds
// a reference of the description, as a process's does.
#include "testkit/guest/address_space.h"
#include "testkit/guest/description.h"
#include "testkit/guest/guest.h"
#include "testkit/guest/heap.h"

namespace barebpf::guest {

namespace {

struct Mapping {
    u64 address;
    u64 pages;
    Description* description;
    host::MmapRequest request;
    Mapping* next;
};

backend::RawSpinLock lock;
Mapping* mappings;

void remember(Mapping* mapping) {
    KernelGuard guard(lock);
    mapping->next = mappings;
    mappings = mapping;
}

Mapping* take(u64 address) {
    KernelGuard guard(lock);
    Mapping** link = &mappings;
    while (*link && (*link)->address != address) link = &(*link)->next;
    Mapping* mapping = *link;
    if (mapping) *link = mapping->next;
    return mapping;
}

// The pages are mapped, or nothing is left of it.
Result<void> place(Mapping* mapping) {
    host::FileObject* object = mapping->description->object;
    const host::FileOps& ops = *object->file_ops;
    const host::MmapPages pages = TRY(ops.mmap(object, mapping->request));
    Errno error = Errno::Inval;
    if (pages.count >= mapping->pages) {
        const Access access = mapping->request.writable ? Access::ReadWrite : Access::Read;
        mapping->address = address_space::map_frames(&pages.pages[0].frame, mapping->pages, access);
        if (mapping->address) return {};
        error = Errno::NoMem;
    }
    if (ops.munmapped) ops.munmapped(object, mapping->request);
    return error;
}

Result<void> check_mode(const Description* description, bool writable) {
    if (!description->object->file_ops->mmap) return Errno::NoDev;
    if (description->mode == host::FileMode::WriteOnly) return Errno::Acces;
    if (writable && description->mode == host::FileMode::ReadOnly) return Errno::Acces;
    return {};
}

Result<void*> map_description(Description* description, const host::MmapRequest& request) {
    TRY(check_mode(description, request.writable));
    auto* mapping = static_cast<Mapping*>(heap::alloc_zeroed(sizeof(Mapping)));
    if (!mapping) return Errno::NoMem;
    mapping->description = description;
    mapping->request = request;
    mapping->pages = request.length / kPageBytes;
    const Result<void> placed = place(mapping);
    if (!placed.ok()) {
        heap::free(mapping, sizeof(Mapping));
        return placed.error();
    }
    remember(mapping);
    return reinterpret_cast<void*>(mapping->address);
}

}  // namespace

Result<void*> mmap_object(int fd, u64 offset, u64 length, bool writable) {
    const u64 whole = pages_of(length) * kPageBytes;
    if (!length || offset % kPageBytes || whole < length) return Errno::Inval;
    host::Cpu::Entry inside;
    Description* description = reference_description(fd);
    if (!description) return Errno::BadF;
    auto result = map_description(description, {offset, whole, writable, true, false});
    if (!result.ok()) put_description(description);
    return result;
}

Result<void> munmap_object(void* address) {
    host::Cpu::Entry inside;
    Mapping* mapping = take(reinterpret_cast<u64>(address));
    if (!mapping) return Errno::Inval;
    address_space::unmap_range(mapping->address, mapping->pages);
    host::FileObject* object = mapping->description->object;
    if (object->file_ops->munmapped) object->file_ops->munmapped(object, mapping->request);
    put_description(mapping->description);
    heap::free(mapping, sizeof(Mapping));
    return {};
}

}  // namespace barebpf::guest
