// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Executable memory.
//
//     arena    [chunk 0][chunk 1]...            one reservation within +-2 GiB of our text
//     chunk    2 MiB of a memfd, mapped read+execute once and for good, filled with traps
//     program  granules of 64 bytes of a chunk
//     alias    the same pages of the memfd, mapped read+write elsewhere while a program is written
//
// No address is ever writable and executable. Neighbours in the same page are not disturbed: the
// alias shows the pages that hold them, and the writer keeps to its own bytes.
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "testkit/user/internal.h"
#include "testkit/user/user.h"

namespace barebpf::user {

namespace {

constexpr size_t kChunk = size_t{2} << 20;
constexpr u32 kMaxChunks = 128;
constexpr size_t kArena = kChunk * kMaxChunks;
constexpr u32 kGranule = 64;
constexpr u32 kGranules = kChunk / kGranule;
constexpr size_t kPage = 4096;
constexpr s64 kReach = s64{2000} << 20;  // what rel32 spans, with room for the text itself

struct Arena {
    Mutex mutex;
    int fd = -1;
    u8* base = nullptr;
    u32 chunks = 0;
};
constinit Arena arena;
u64 taken_granules[kMaxChunks][kGranules / 64];  // of each chunk
u32 free_granules[kMaxChunks];

void fill_with_traps(u8* where, size_t size) {
#if defined(__x86_64__)
    memset(where, 0xcc, size);
#elif defined(__aarch64__)
    const u32 brk = 0xd4200000;  // brk #0
    for (size_t i = 0; i + 4 <= size; i += 4) memcpy(where + i, &brk, 4);
#endif
}

s64 distance(const void* a, const void* b) {
    return static_cast<s64>(reinterpret_cast<uintptr_t>(a) - reinterpret_cast<uintptr_t>(b));
}

bool near(const u8* base) {
    const void* text = reinterpret_cast<const void*>(&fill_with_traps);
    s64 from = distance(base, text);
    s64 to = distance(base + kArena, text);
    return from > -kReach && to < kReach;
}

// Tries places around our text, nearest first; any place at last. In front of the arena is a page
// that can be read: what precedes a function may be looked at (UBSan's check of indirect calls).
u8* map_arena(uintptr_t hint) {
    const int flags =
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (hint ? MAP_FIXED_NOREPLACE : 0);
    void* wish = reinterpret_cast<void*>(hint ? hint - kPage : 0);
    void* at = mmap(wish, kArena + kPage, PROT_NONE, flags, -1, 0);
    if (at == MAP_FAILED) return nullptr;
    u8* base = static_cast<u8*>(at) + kPage;
    if ((!hint || (at == wish && near(base))) && mprotect(at, kPage, PROT_READ) == 0) return base;
    munmap(at, kArena + kPage);
    return nullptr;
}

u8* reserve_arena() {
    const auto text = reinterpret_cast<uintptr_t>(&fill_with_traps) & ~(kChunk - 1);
    for (size_t step = kArena; step < static_cast<size_t>(kReach); step += size_t{64} << 20) {
        if (step > text) break;
        const uintptr_t hints[] = {text - step, text + step - kArena + kChunk * 32};
        for (uintptr_t hint : hints) {
            if (u8* base = map_arena(hint)) return base;
        }
    }
    return map_arena(0);
}

bool open_arena() {
    if (arena.fd < 0) {
        unsigned executable = 0x10;  // MFD_EXEC, which kernels before 6.3 do not know
        int fd = memfd_create("barebpf-jit", MFD_CLOEXEC | executable);
        if (fd < 0) fd = memfd_create("barebpf-jit", MFD_CLOEXEC);
        if (fd < 0) return false;
        arena.fd = hide_descriptor(fd);
    }
    if (!arena.base) arena.base = reserve_arena();
    return arena.base != nullptr;
}

// A writable mapping of [offset, offset + size) of the file; the pages around it come along.
u8* map_alias(size_t offset, size_t size) {
    const size_t first = offset & ~(kPage - 1);
    const size_t end = (offset + size + kPage - 1) & ~(kPage - 1);
    void* at = mmap(nullptr, end - first, PROT_READ | PROT_WRITE, MAP_SHARED, arena.fd,
                    static_cast<off_t>(first));
    return at == MAP_FAILED ? nullptr : static_cast<u8*>(at) + (offset - first);
}

void unmap_alias(u8* alias, size_t size) {
    auto first = reinterpret_cast<uintptr_t>(alias) & ~(kPage - 1);
    auto end = (reinterpret_cast<uintptr_t>(alias) + size + kPage - 1) & ~(kPage - 1);
    munmap(reinterpret_cast<void*>(first), end - first);
}

bool add_chunk() {
    if (arena.chunks == kMaxChunks) return false;
    const size_t offset = arena.chunks * kChunk;
    if (ftruncate(arena.fd, static_cast<off_t>(offset + kChunk)) != 0) return false;
    u8* alias = map_alias(offset, kChunk);
    if (!alias) return false;
    fill_with_traps(alias, kChunk);
    unmap_alias(alias, kChunk);
    void* at = mmap(arena.base + offset, kChunk, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED,
                    arena.fd, static_cast<off_t>(offset));
    if (at == MAP_FAILED) return false;
    memset(taken_granules[arena.chunks], 0, sizeof(taken_granules[0]));
    free_granules[arena.chunks] = kGranules;
    ++arena.chunks;
    return true;
}

bool is_taken(u32 chunk, u32 granule) {
    return (taken_granules[chunk][granule / 64] >> (granule % 64)) & 1;
}

void mark(size_t offset, u32 count, bool taken) {
    const u32 chunk = static_cast<u32>(offset / kChunk);
    const u32 first = static_cast<u32>(offset % kChunk / kGranule);
    for (u32 granule = first; granule < first + count; ++granule) {
        u64 bit = u64{1} << (granule % 64);
        if (taken) {
            taken_granules[chunk][granule / 64] |= bit;
        } else {
            taken_granules[chunk][granule / 64] &= ~bit;
        }
    }
    free_granules[chunk] += taken ? -count : count;
}

// Offset of count free granules in a row in this chunk; SIZE_MAX: none.
size_t find_in_chunk(u32 chunk, u32 count) {
    if (free_granules[chunk] < count) return SIZE_MAX;
    u32 length = 0;
    for (u32 granule = 0; granule < kGranules; ++granule) {
        length = is_taken(chunk, granule) ? 0 : length + 1;
        if (length == count) return chunk * kChunk + size_t{granule + 1 - count} * kGranule;
    }
    return SIZE_MAX;
}

// A program larger than a chunk takes whole new chunks, which are neighbours in the arena.
size_t take_chunks(u32 size) {
    const u32 wanted = static_cast<u32>((size + kChunk - 1) / kChunk);
    const u32 first = arena.chunks;
    if (kMaxChunks - first < wanted) return SIZE_MAX;
    for (u32 i = 0; i < wanted; ++i) {
        if (!add_chunk()) return SIZE_MAX;
    }
    return first * kChunk;
}

u32 granules_of(u32 size) {
    return (size + kGranule - 1) / kGranule;
}

void mark_all(size_t offset, u32 size, bool taken) {
    for (u32 left = granules_of(size); left;) {
        u32 here = left < kGranules ? left : kGranules;
        mark(offset, here, taken);
        offset += size_t{here} * kGranule;
        left -= here;
    }
}

size_t take(u32 size) {
    size_t offset = SIZE_MAX;
    if (size <= kChunk) {
        for (u32 chunk = 0; chunk < arena.chunks && offset == SIZE_MAX; ++chunk)
            offset = find_in_chunk(chunk, granules_of(size));
    }
    if (offset == SIZE_MAX) offset = take_chunks(size);
    if (offset != SIZE_MAX) mark_all(offset, size, true);
    return offset;
}

}  // namespace

void forget_exec_memory() {
    if (arena.base) munmap(arena.base - kPage, kArena + kPage);
    arena.mutex.forget();
    arena.fd = -1;
    arena.base = nullptr;
    arena.chunks = 0;
}

}  // namespace barebpf::user

namespace barebpf::backend {

bool ExecMemory::reserve(u32 size, u8** exec, u8** write) {
    if (!size || size > user::kArena || !user::allocation_allowed()) return false;
    user::MutexGuard guard(user::arena.mutex);
    if (!user::open_arena()) return false;
    const size_t offset = user::take(size);
    if (offset == SIZE_MAX) return false;
    u8* alias = user::map_alias(offset, size);
    if (!alias) {
        user::mark_all(offset, size, false);
        return false;
    }
    *exec = user::arena.base + offset;
    *write = alias;
    user::account(size, 1);
    return true;
}

bool ExecMemory::publish(u8* exec, u8* write, u32 size) {
    user::unmap_alias(write, size);
    __builtin___clear_cache(reinterpret_cast<char*>(exec), reinterpret_cast<char*>(exec) + size);
    return true;
}

void ExecMemory::free(u8* exec, u8* write, u32 size) {
    user::MutexGuard guard(user::arena.mutex);
    const auto offset = static_cast<size_t>(exec - user::arena.base);
    u8* alias = write ? write : user::map_alias(offset, size);
    // Without memory for the alias the old code stays, unreachable, until it is overwritten.
    if (alias) {
        user::fill_with_traps(alias, size);
        user::unmap_alias(alias, size);
    }
    user::mark_all(offset, size, false);
    user::account(-static_cast<s64>(size), -1);
}

bool ExecMemory::reachable(const void* address) {
    user::MutexGuard guard(user::arena.mutex);
    if (!user::open_arena()) return false;
    // From any byte of the arena, whichever end is farther.
    auto fits = [](s64 displacement) { return displacement == static_cast<s32>(displacement); };
    return fits(user::distance(address, user::arena.base)) &&
           fits(user::distance(address, user::arena.base + user::kArena));
}

}  // namespace barebpf::backend
