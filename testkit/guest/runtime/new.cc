// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// operator new and delete of tests, over the guest's heap, red zones and poison included; not a part of what
// live_memory() counts. Running out of memory ends the run. Context: any but NMI.
#include <new>

#include "testkit/guest/arch.h"
#include "testkit/guest/heap.h"

namespace {

// In front of each object. The heap's blocks are aligned to 16 bytes, larger ones (its contract with
// kernel/host/alloc.h) to 64 from 64 bytes on and to a page from a page on.
struct alignas(16) Header {
    size_t size;    // of the block
    size_t offset;  // of the object in it
};

void* allocate(size_t size, size_t alignment) {
    const size_t offset = alignment > sizeof(Header) ? alignment : sizeof(Header);
    const size_t whole = size + offset;
    void* block = whole < size ? nullptr : barebpf::guest::heap::alloc_zeroed(whole);
    if (!block) barebpf::guest::fail("no memory for operator new, bytes:", size);
    char* object = static_cast<char*>(block) + offset;
    if (reinterpret_cast<uintptr_t>(object) % alignment)
        barebpf::guest::fail("operator new cannot align to", alignment);
    reinterpret_cast<Header*>(object)[-1] = {whole, offset};
    return object;
}

void release(void* object) {
    if (!object) return;
    const Header header = static_cast<Header*>(object)[-1];
    barebpf::guest::heap::free(static_cast<char*>(object) - header.offset, header.size);
}

constexpr size_t kPlain = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

}  // namespace

void* operator new(size_t size) {
    return allocate(size, kPlain);
}
void* operator new[](size_t size) {
    return allocate(size, kPlain);
}
void* operator new(size_t size, std::align_val_t alignment) {
    return allocate(size, static_cast<size_t>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
    return allocate(size, static_cast<size_t>(alignment));
}
void* operator new(size_t size, const std::nothrow_t&) noexcept {
    return allocate(size, kPlain);
}
void* operator new[](size_t size, const std::nothrow_t&) noexcept {
    return allocate(size, kPlain);
}

void operator delete(void* object) noexcept {
    release(object);
}
void operator delete[](void* object) noexcept {
    release(object);
}
void operator delete(void* object, size_t) noexcept {
    release(object);
}
void operator delete[](void* object, size_t) noexcept {
    release(object);
}
void operator delete(void* object, std::align_val_t) noexcept {
    release(object);
}
void operator delete[](void* object, std::align_val_t) noexcept {
    release(object);
}
void operator delete(void* object, size_t, std::align_val_t) noexcept {
    release(object);
}
void operator delete[](void* object, size_t, std::align_val_t) noexcept {
    release(object);
}
void operator delete(void* object, const std::nothrow_t&) noexcept {
    release(object);
}
void operator delete[](void* object, const std::nothrow_t&) noexcept {
    release(object);
}
