// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/memalloc.h"

#include "kernel/lib/bits.h"

namespace barebpf {

using host::Guard;
using host::IrqSave;
using host::Order;

namespace {
constexpr size_t kSmallChunk = 4096;
constexpr size_t kLargeChunk = 256 * 1024;

// A 64th of the expected whole, within bounds: small maps stay small, large ones have few chunks.
u32 choose_chunk_shift(u64 stride, u32 expected) {
    u64 bytes = stride * expected / 64;
    bytes = bytes < kSmallChunk ? kSmallChunk : bytes > kLargeChunk ? kLargeChunk : bytes;
    const u64 objects = bytes / stride;
    return objects <= 1 ? 0 : highest_bit(objects);
}
}  // namespace

bool Memalloc::create(u32 stride, u32 expected, host::MemoryOwner& owner, u32 cpu_stride) {
    constexpr size_t kLine = 64;
    stride_ = stride;
    cpu_stride_ = cpu_stride;
    owner_ = &owner;
    chunk_shift_ = choose_chunk_shift(stride + u64{cpu_stride} * host::possible_cpus(), expected);
    chunk_mask_ = (1u << chunk_shift_) - 1;
    objects_bytes_ = size_t{stride} << chunk_shift_;
    cpu_bytes_ = align_up(size_t{cpu_stride} << chunk_shift_, kLine);
    if (cpu_stride) objects_bytes_ = align_up(objects_bytes_, kLine);
    // Besides those in use, each CPU may have some free, and any number that was freed may wait for a
    // grace period: three times as many as can be in use.
    const u64 chunks = (u64{expected} * 4 >> chunk_shift_) + 2 + u64{4} * host::possible_cpus();
    const u64 addressable = (u64{1} << 32) >> chunk_shift_;
    if (!table_.allocate(chunks < addressable ? chunks : addressable, host::AllocContext::MaySleep,
                         owner)) {
        return false;
    }
    if (!free_.create(owner) || !cpus_.create(owner)) {
        free_.destroy();
        table_.reset();
        return false;
    }
    for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
        cpus_.cpu(cpu)->cpu = cpu;
        cpus_.cpu(cpu)->self = this;
    }
    Guard<Lock, IrqSave> guard(lock_);
    chunks_ = chunk_mask_ == 0;  // index 0 names nothing: a chunk that holds only it is not made
    return true;
}

bool Memalloc::try_destroy() {
    for (u32 cpu = 0; cpus_ && cpu < host::possible_cpus(); ++cpu) {
        // Acquire pairs with the release in batch_done: the callback is through with this object.
        if (cpus_.cpu(cpu)->freed.load(Order::Acquire) & kInFlight) return false;
    }
    for (host::Atomic<u8*>& chunk : table_) {
        host::free(chunk.load(Order::Relaxed), chunk_bytes(), *owner_);
        host::Cpu::yield_point();
    }
    table_.reset();
    free_.destroy();
    cpus_.destroy();
    return true;
}

void Memalloc::prepare_slow() {
    if (!host::in_nmi() && refill()) return;
    reclaim_waiting();
}

// Chains leave `waiting` only as a whole, so an exchange of the head is enough.
void Memalloc::reclaim_waiting() {
    CpuState* state = cpus_.this_cpu();
    u64 freed = state->freed.load(Order::Relaxed);
    do {
        if (static_cast<u32>(freed) == kNone) return;
    } while (!state->freed.compare_exchange(freed, kInFlight, Order::AcqRel, Order::Relaxed));
    push_all(state->cpu, static_cast<u32>(freed));
}

void Memalloc::push_all(u32 cpu, u32 first) {
    u32 last = first;
    while (const u32 next = Link{this}(last).load(Order::Relaxed)) last = next;
    free_.push_chain_to(cpu, first, last, Link{this});
}

bool Memalloc::refill() {
    u32 number;
    {
        Guard<Lock, IrqSave> guard(lock_);
        if (chunks_ == table_.size()) return false;
        number = chunks_++;
    }
    void* chunk = host::alloc(chunk_bytes(), host::AllocContext::Atomic, *owner_);
    if (!chunk) {
        Guard<Lock, IrqSave> guard(lock_);
        // Numbers are handed back in order; one that cannot be is lost until the map is freed.
        if (number + 1 == chunks_) --chunks_;
        return false;
    }
    // Release: the chunk is zeroed before at() can reach it.
    table_[number].store(static_cast<u8*>(chunk), Order::Release);
    const u32 first = number << chunk_shift_;
    const u32 last = first | chunk_mask_;
    const u32 begin = first == kNone ? first + 1 : first;
    for (u32 index = begin; index < last; ++index) {
        Link{this}(index).store(index + 1, Order::Relaxed);
    }
    free_.push_chain_to(host::cpu_id(), begin, last, Link{this});
    return true;
}

void Memalloc::free_rcu(u32 index) {
    CpuState* state = cpus_.this_cpu();
    u64 freed = state->freed.load(Order::Relaxed);
    u64 wanted;
    do {
        Link{this}(index).store(static_cast<u32>(freed), Order::Relaxed);
        wanted = freed & kInFlight ? kInFlight | index : kInFlight;
        // Release: the links, and whatever was done to the object; pairs with the acquire in
        // batch_done. Waiting objects leave only all at once: no ABA.
    } while (!state->freed.compare_exchange(freed, wanted, Order::AcqRel, Order::Relaxed));
    if (freed & kInFlight) return;
    state->batch = index;
    host::call_rcu(&state->rcu, batch_done);
}

void Memalloc::batch_done(host::RcuHead* head) {
    auto* state = reinterpret_cast<CpuState*>(reinterpret_cast<char*>(head) -
                                              __builtin_offsetof(CpuState, rcu));
    Memalloc* self = state->self;
    self->push_all(state->cpu, state->batch);

    u64 freed = state->freed.load(Order::Relaxed);
    u64 wanted;
    do {
        wanted = static_cast<u32>(freed) == kNone ? 0 : kInFlight;
    } while (!state->freed.compare_exchange(freed, wanted, Order::AcqRel, Order::Relaxed));
    if (wanted == 0) return;  // from here on the whole may be destroyed by others
    state->batch = static_cast<u32>(freed);
    host::call_rcu(&state->rcu, batch_done);
}

}  // namespace barebpf
