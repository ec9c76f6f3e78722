// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Heap and per-CPU memory as the host contract has them: allocations of the library are counted, and can be made
// to fail. What the guest kernel needs for itself comes from testkit/guest/heap.h directly.
#include "testkit/guest/guest.h"
#include "testkit/guest/heap.h"
#include "testkit/guest/kernel.h"
#include "testkit/machine.h"

namespace barebpf::guest {

Atomic<s64> failure_countdown{-1};

namespace {
Atomic<u32> failure_came;
Atomic<s64> live_bytes;
Atomic<s64> live_blocks;
}  // namespace

bool allocation_allowed_slow() {
    if (failure_countdown.fetch_sub(1, Order::Relaxed) != 0) return true;
    failure_came.store(1, Order::Relaxed);
    return false;
}

void account(s64 bytes, s64 blocks) {
    live_bytes.fetch_add(bytes, Order::Relaxed);
    live_blocks.fetch_add(blocks, Order::Relaxed);
}

}  // namespace barebpf::guest

namespace barebpf::machine {

LiveMemory live_memory() {
    return {guest::live_bytes.load(host::Order::Relaxed),
            guest::live_blocks.load(host::Order::Relaxed)};
}

void fail_allocation_after(u64 count) {
    guest::failure_came.store(0, host::Order::Relaxed);
    guest::failure_countdown.store(static_cast<s64>(count), host::Order::Relaxed);
}

bool stop_failing_allocations() {
    guest::failure_countdown.store(-1, host::Order::Relaxed);
    return guest::failure_came.load(host::Order::Relaxed) != 0;
}

}  // namespace barebpf::machine

namespace barebpf::backend {

void* Heap::alloc_zeroed(size_t size, bool) {
    if (UNLIKELY(!guest::allocation_allowed())) return nullptr;
    void* memory = guest::heap::alloc_zeroed(size);
    if (memory) guest::account(static_cast<s64>(size), 1);
    return memory;
}

void Heap::free(void* memory, size_t size) {
    guest::heap::free(memory, size);
    guest::account(-static_cast<s64>(size), -1);
}

void* PerCpu::alloc_zeroed(size_t size) {
    size_t total;
    if (size > SIZE_MAX - kLine || __builtin_mul_overflow(stride(size), Cpu::possible(), &total))
        return nullptr;
    return Heap::alloc_zeroed(total, true);
}

void PerCpu::free(void* base, size_t size) {
    if (base) Heap::free(base, stride(size) * Cpu::possible());
}

}  // namespace barebpf::backend
