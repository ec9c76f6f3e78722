// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Memory with nothing on both sides: an access before its first or after its last byte faults, in compiled
// BPF code too, which no sanitizer sees.
#pragma once

#include <stdlib.h>
#include <sys/mman.h>

#include "kernel/lib/types.h"

namespace barebpf::fuzz {

class GuardedMemory {
public:
    static constexpr size_t kPage = 4096;
    static constexpr size_t kGuard = size_t{1} << 20;  // farther than 16-bit offsets reach

    // size: whole pages.
    explicit GuardedMemory(size_t size) : size_(size) {
        void* all = mmap(nullptr, size + 2 * kGuard, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (all == MAP_FAILED) abort();
        begin_ = static_cast<u8*>(all) + kGuard;
        if (mprotect(begin_, size, PROT_READ | PROT_WRITE)) abort();
    }
    GuardedMemory(const GuardedMemory&) = delete;
    GuardedMemory& operator=(const GuardedMemory&) = delete;

    u8* begin() const { return begin_; }
    u8* end() const { return begin_ + size_; }
    size_t size() const { return size_; }
    bool contains(u64 address) const { return address - reinterpret_cast<u64>(begin_) < size_; }

private:
    u8* begin_;
    size_t size_;
};

}  // namespace barebpf::fuzz
