// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The heap and per-CPU memory of the user backend.
//
// Small blocks come from malloc, with simulated interrupts off meanwhile (a handler that allocates
// must not find malloc half-way). Larger ones are mappings of their own, so that each goes back when it is freed:
// malloc would keep them, and give all back at once, in milliseconds. The largest are aligned and advised for
// huge pages: a map of a million entries is walked at random, and the TLB reach decides.
// Live memory is counted per CPU slot, with plain additions: only the owner of a slot counts there.
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "testkit/user/internal.h"
#include "testkit/user/user.h"

namespace barebpf::user {

Atomic<s64> failure_countdown{-1};

namespace {

constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kMapFrom = size_t{32} << 10;

struct alignas(64) Counters {
    Atomic<s64> bytes;
    Atomic<s64> blocks;
};
Counters counters[backend::kCpuSlots + 1];  // the last: threads outside the library
Atomic<u32> failure_came;

// What the machine has; a request, or all requests together, beyond it fail at once instead of
// meeting the out-of-memory killer later.
s64 memory_limit() {
    static Atomic<s64> limit;
    s64 bytes = limit.load(Order::Relaxed);
    if (!bytes) {
        bytes = static_cast<s64>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
        limit.store(bytes, Order::Relaxed);
    }
    return bytes;
}

bool beyond_the_machine(size_t size) {
    if (size < kMapFrom) return false;
    const s64 limit = memory_limit() / 8 * 7;
    return size > static_cast<size_t>(limit) ||
           static_cast<s64>(size) > limit - live_memory().bytes;
}

size_t mapped_size(size_t size) {
    const size_t page = 4096;
    return (size + page - 1) & ~(page - 1);
}

void* allocate_small(size_t size) {
    if (size < 64) return calloc(1, size);
    const size_t alignment = size < 4096 ? 64 : 4096;
    void* memory = aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1));
    if (memory) memset(memory, 0, size);
    return memory;
}

}  // namespace

bool allocation_allowed_slow() {
    if (failure_countdown.fetch_sub(1, Order::Relaxed) != 0) return true;
    failure_came.store(1, Order::Relaxed);
    return false;
}

void account(s64 bytes, s64 blocks) {
    const u32 cpu = backend::thread_state.cpu;
    if (LIKELY(cpu != backend::kNoCpu)) {
        Counters& own = counters[cpu];
        own.bytes.store(own.bytes.load(Order::Relaxed) + bytes, Order::Relaxed);
        own.blocks.store(own.blocks.load(Order::Relaxed) + blocks, Order::Relaxed);
    } else {
        counters[backend::kCpuSlots].bytes.fetch_add(bytes, Order::Relaxed);
        counters[backend::kCpuSlots].blocks.fetch_add(blocks, Order::Relaxed);
    }
}

}  // namespace barebpf::user

namespace barebpf::machine {

using namespace user;  // NOLINT: its own parts

LiveMemory live_memory() {
    LiveMemory sum{};
    for (const Counters& counter : counters) {
        sum.bytes += counter.bytes.load(Order::Relaxed);
        sum.blocks += counter.blocks.load(Order::Relaxed);
    }
    return sum;
}

void fail_allocation_after(u64 count) {
    failure_came.store(0, Order::Relaxed);
    failure_countdown.store(static_cast<s64>(count), Order::Relaxed);
}

bool stop_failing_allocations() {
    failure_countdown.store(-1, Order::Relaxed);
    return failure_came.load(Order::Relaxed) != 0;
}

}  // namespace barebpf::machine

namespace barebpf::user {

void* map_anonymous(size_t size) {
    size = mapped_size(size);
    const bool huge = size >= kHugePage;
    const size_t reserved = huge ? size + kHugePage : size;
    void* memory =
        mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return nullptr;
    if (!huge) return memory;
    // Keep the aligned middle.
    auto start = reinterpret_cast<uintptr_t>(memory);
    uintptr_t aligned = (start + kHugePage - 1) & ~(kHugePage - 1);
    if (aligned != start) munmap(memory, aligned - start);
    uintptr_t tail = start + reserved - (aligned + size);
    if (tail) munmap(reinterpret_cast<void*>(aligned + size), tail);
    memory = reinterpret_cast<void*>(aligned);
    madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}

void forget_accounts() {
    for (Counters& counter : counters) {
        counter.bytes.store(0, Order::Relaxed);
        counter.blocks.store(0, Order::Relaxed);
    }
    failure_countdown.store(-1, Order::Relaxed);
}

}  // namespace barebpf::user

namespace barebpf::backend {

void* Heap::alloc_zeroed(size_t size, bool) {
    if (UNLIKELY(!user::allocation_allowed() || user::beyond_the_machine(size))) return nullptr;
    host::IrqOff irq_off;
    void* memory = size < user::kMapFrom ? user::allocate_small(size) : user::map_anonymous(size);
    if (memory) user::account(static_cast<s64>(size), 1);
    return memory;
}

void Heap::free(void* memory, size_t size) {
    host::IrqOff irq_off;
    user::account(-static_cast<s64>(size), -1);
    if (size < user::kMapFrom) {
        ::free(memory);
    } else {
        munmap(memory, user::mapped_size(size));
    }
}

void Heap::discard(void* part, size_t size) {
    madvise(part, size, MADV_DONTNEED);
}

void* PerCpu::alloc_zeroed(size_t size) {
    size_t total;
    if (size > SIZE_MAX - kLine || __builtin_mul_overflow(stride(size), cpu_count, &total))
        return nullptr;
    return Heap::alloc_zeroed(total, true);
}

void PerCpu::free(void* base, size_t size) {
    if (base) Heap::free(base, stride(size) * cpu_count);
}

}  // namespace barebpf::backend
