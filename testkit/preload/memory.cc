// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Mappings of our descriptors. They are real mappings of the page file (testkit/user/mappings.cc),
// which the kernel protects by the descriptor they were made with; what is added here is the record
// of them, and the rules by which Linux's own mappings of maps differ from those of a file.
#include <sys/mman.h>

#include "testkit/preload/interpose.h"
#include "testkit/preload/world.h"
#include "testkit/user/user.h"

namespace barebpf::preload {

namespace {

constexpr size_t kPageMask = 4095;

bool page_aligned(const void* address) {
    return !(reinterpret_cast<uintptr_t>(address) & kPageMask);
}

// Of one of ours. A mapping of a map never grows, and has no second name.
void* remap_object(void* address, size_t old_length, size_t length, int flags, void* wish) {
    constexpr int kKnown = MREMAP_MAYMOVE | MREMAP_FIXED;
    if (flags & ~kKnown) return reinterpret_cast<void*>(with_errno(-EINVAL));
    if (!old_length || length > old_length) return reinterpret_cast<void*>(with_errno(-EFAULT));
    const bool covers = (flags & MREMAP_FIXED) && page_aligned(wish);
    if (covers) user::munmapped(wish, length);
    const long result = raw_syscall(SYS_mremap, word(address), static_cast<long>(old_length),
                                    static_cast<long>(length), flags, word(wish));
    if (result >= 0) {
        auto* at = reinterpret_cast<char*>(result);
        if (at != address) user::mapping_moved(address, at, length);
        const size_t kept = (length + kPageMask) & ~kPageMask;
        if (old_length > kept)
            user::munmapped(static_cast<char*>(address) + kept, old_length - kept);
    }
    return reinterpret_cast<void*>(with_errno(result));
}

}  // namespace

}  // namespace barebpf::preload

using namespace barebpf;           // NOLINT: the rest is its outer face
using namespace barebpf::preload;  // NOLINT

extern "C" {

void* barebpf_mmap(void* address, size_t length, int prot, int flags, int fd, off_t offset) {
    if (fd >= 0 && !(flags & MAP_ANONYMOUS) && has_world()) {
        if (machine::fd_is_ours(fd))
            return reinterpret_cast<void*>(with_errno(
                user::mmap_object(address, length, prot, flags, fd, static_cast<u64>(offset))));
        if (user::fd_is_inherited(fd))
            return reinterpret_cast<void*>(with_errno(refuse_inherited()));
    }
    if ((flags & MAP_FIXED) && page_aligned(address) && has_world())
        user::munmapped(address, length);
    return reinterpret_cast<void*>(with_errno(
        raw_syscall(SYS_mmap, word(address), static_cast<long>(length), prot, flags, fd, offset)));
}

void* barebpf_mmap64(void* address, size_t length, int prot, int flags, int fd, off_t offset) {
    return barebpf_mmap(address, length, prot, flags, fd, offset);
}

// The record goes first: once the kernel has unmapped the range, another thread may map an object
// of its own there.
int barebpf_munmap(void* address, size_t length) {
    if (length && page_aligned(address) && has_world()) user::munmapped(address, length);
    return static_cast<int>(
        with_errno(raw_syscall(SYS_munmap, word(address), static_cast<long>(length))));
}

void* barebpf_mremap(void* address, size_t old_length, size_t length, int flags, void* wish) {
    if (has_world()) {
        if (user::object_is_mapped(address, old_length ? old_length : 1))
            return remap_object(address, old_length, length, flags, wish);
        if ((flags & MREMAP_FIXED) && page_aligned(wish)) user::munmapped(wish, length);
    }
    return reinterpret_cast<void*>(
        with_errno(raw_syscall(SYS_mremap, word(address), static_cast<long>(old_length),
                               static_cast<long>(length), flags, word(wish))));
}

int barebpf_mprotect(void* address, size_t length, int prot) {
    // A map's pages are never executable. That read-only mappings stay so is the kernel's doing: they
    // were made with a read-only descriptor.
    if ((prot & PROT_EXEC) && has_world() && user::object_is_mapped(address, length))
        return static_cast<int>(with_errno(-EACCES));
    return static_cast<int>(
        with_errno(raw_syscall(SYS_mprotect, word(address), static_cast<long>(length), prot)));
}

}  // extern "C"
