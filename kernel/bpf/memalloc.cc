// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/memalloc.h"

#include "kernel/lib/bits.h"

namespace barebpf {

using host::Guard;
using host::IrqSave;
using host::Order;

namespace {
constexpr size_t kSmallChunk = 4096;
constexpr size_t kLargeChunk = 64 * 1024;
constexpr u32 kMostGathered = 16;

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
    // Few of a chunk, which is what a small map has.
    most_gathered_ = (chunk_mask_ + 1) / 16;
    if (most_gathered_ > kMostGathered) most_gathered_ = kMostGathered;
    objects_bytes_ = size_t{stride} << chunk_shift_;
    cpu_bytes_ = align_up(size_t{cpu_stride} << chunk_shift_, kLine);
    if (cpu_stride) objects_bytes_ = align_up(objects_bytes_, kLine);
    // Besides those in use, each CPU may have some free, and any number that was freed may wait for a
    // grace period: three times as many as can be in use.
    const u64 chunks = (u64{expected} * 4 >> chunk_shift_) + 2 + u64{4} * host::possible_cpus();
    const u64 addressable = (u64{1} << kIndexBits) >> chunk_shift_;
    if (!table_.allocate(chunks < addressable ? chunks : addressable, host::AllocContext::MaySleep,
                         owner)) {
        return false;
    }
    {
        Guard<Lock, IrqSave> guard(lock_);
        chunks_ =
            chunk_mask_ == 0;  // index 0 names nothing: a chunk that holds only it is not made
    }
    const u32 reserve = make_chunk();
    reserve_.store(reserve, Order::Relaxed);
    if (reserve == kNone || !free_.create(owner) || !cpus_.create(owner)) {
        (void)try_destroy();  // nothing is in flight
        return false;
    }
    for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
        cpus_.cpu(cpu)->cpu = cpu;
        cpus_.cpu(cpu)->self = this;
    }
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

bool Memalloc::push_reserve() {
    u32 chunk = reserve_.load(Order::Relaxed);
    while (chunk != kNone && chunk != kNoMore) {
        // Acquire pairs with the release in prepare_slow(): the chunk's links.
        if (reserve_.compare_exchange(chunk, kNone, Order::Acquire, Order::Relaxed)) {
            push_chunk(chunk);
            return true;
        }
    }
    return false;
}

void Memalloc::prepare_slow() {
    const bool may_make = !host::in_nmi();
    if (free_.this_cpu_is_empty()) {
        const u32 chunk = may_make ? make_chunk() : kNone;
        if (chunk != kNone && chunk != kNoMore) {
            push_chunk(chunk);
        } else if (!push_reserve()) {
            reclaim_waiting();
        }
    }
    if (!may_make || reserve_.load(Order::Relaxed) != kNone) return;
    const u32 chunk = make_chunk();
    u32 none = kNone;
    const bool kept = reserve_.compare_exchange(none, chunk, Order::Release, Order::Relaxed);
    if (!kept && chunk != kNone && chunk != kNoMore) push_chunk(chunk);
}

// Chains leave `waiting` only as a whole, so an exchange of the word is enough.
void Memalloc::reclaim_waiting() {
    CpuState* state = cpus_.this_cpu();
    // What is gathered at this level of re-entry and deeper ones; an interrupt that frees meanwhile gathers nothing.
    const u32 depth = state->depth.load(Order::Relaxed);
    state->depth.store(kLevels, Order::Relaxed);
    host::interrupt_fence();
    for (u32 level = depth; level < kLevels; ++level) {
        Chain& gathered = state->gathered[level];
        if (!gathered.count) continue;
        free_.push_chain_to(state->cpu, gathered.newest, gathered.oldest, Link{this});
        gathered = {};
    }
    host::interrupt_fence();
    state->depth.store(depth, Order::Relaxed);

    u64 freed = state->freed.load(Order::Relaxed);
    do {
        if (newest(freed) == kNone) return;
    } while (!state->freed.compare_exchange(freed, kInFlight, Order::AcqRel, Order::Relaxed));
    free_.push_chain_to(state->cpu, newest(freed), oldest(freed), Link{this});
}

// The first object of a new chunk, each linked to the next; kNone: no memory; kNoMore: the table is
// full.
u32 Memalloc::make_chunk() {
    u32 number;
    {
        Guard<Lock, IrqSave> guard(lock_);
        if (chunks_ == table_.size()) return kNoMore;
        number = chunks_++;
    }
    void* chunk = host::alloc(chunk_bytes(), host::AllocContext::Atomic, *owner_);
    if (!chunk) {
        Guard<Lock, IrqSave> guard(lock_);
        // Numbers are handed back in order; one that cannot be is lost until the map is freed.
        if (number + 1 == chunks_) --chunks_;
        return kNone;
    }
    // Release: the chunk is zeroed before at() can reach it.
    table_[number].store(static_cast<u8*>(chunk), Order::Release);
    const u32 first = number << chunk_shift_;
    const u32 last = first | chunk_mask_;
    const u32 begin = first == kNone ? first + 1 : first;
    for (u32 index = begin; index < last; ++index) {
        Link{this}(index).store(index + 1, Order::Relaxed);
    }
    return begin;
}

void Memalloc::push_chunk(u32 first) {
    free_.push_chain_to(host::cpu_id(), first, first | chunk_mask_, Link{this});
}

void Memalloc::free_chain_rcu(CpuState* state, Chain chain) {
    u64 freed = state->freed.load(Order::Relaxed);
    u64 wanted;
    do {
        const u32 before = newest(freed);
        const u64 last = before == kNone ? chain.oldest : oldest(freed);
        Link{this}(chain.oldest).store(before, Order::Relaxed);
        wanted = freed & kInFlight ? kInFlight | last << kIndexBits | chain.newest : kInFlight;
        // Release: the links, and whatever was done to the objects; pairs with the acquire in
        // batch_done. Waiting objects leave only all at once, and what is between the two ends of a
        // chain does not matter to who takes it: no ABA.
    } while (!state->freed.compare_exchange(freed, wanted, Order::AcqRel, Order::Relaxed));
    if (freed & kInFlight) return;
    state->batch = chain.newest;
    state->batch_last = chain.oldest;
    host::call_rcu(&state->rcu, batch_done);
}

void Memalloc::batch_done(host::RcuHead* head) {
    auto* state = reinterpret_cast<CpuState*>(reinterpret_cast<char*>(head) -
                                              __builtin_offsetof(CpuState, rcu));
    Memalloc* self = state->self;
    self->free_.push_chain_to(state->cpu, state->batch, state->batch_last, Link{self});

    u64 freed = state->freed.load(Order::Relaxed);
    u64 wanted;
    do {
        wanted = newest(freed) == kNone ? 0 : kInFlight;
    } while (!state->freed.compare_exchange(freed, wanted, Order::AcqRel, Order::Relaxed));
    if (wanted == 0) return;  // from here on the whole may be destroyed by others
    state->batch = newest(freed);
    state->batch_last = oldest(freed);
    host::call_rcu(&state->rcu, batch_done);
}

}  // namespace barebpf
