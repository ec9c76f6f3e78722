// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Objects of one size for a map without preallocation: memory follows use, alloc and free work in
// any context, and what is freed comes back only after an RCU grace period.
//
// Objects live in chunks and are named by index (0: none); a chunk is found through a table whose
// few kilobytes stay in the cache:
//
//     index:  [ chunk number | object in chunk ]
//     table:  [0] ──> chunk    [1] ──> chunk    [2] null ...
//
//     alloc <── free lists (percpu_freelist) <── prepare(): a new chunk
//                      ^
//                      └── batch in flight (one per CPU and grace period) <── waiting <── gathered <── free_rcu
//
// What a CPU frees is gathered, some objects at a time, in a chain that nobody else touches: one for each level of
// re-entry, as whoever interrupts leaves the outer one alone. So most frees cost no atomic exchange. Gathered objects
// have no grace period yet; they stay until more follow, or until this CPU has no others.
//
// What a CPU frees while a batch of its own waits for its grace period gathers in `waiting` and
// becomes the next batch, so that any number of frees costs one RCU callback per grace period, and the
// callback takes no longer for many. All about the chain is one word, so that no free is left behind
// when a batch lands:
//
//     in flight | oldest waiting | newest waiting     0|0|0  idle    1|0|0  nothing waits    1|4|9
//
// An NMI cannot get memory from the host. For it (and for when there is none), prepare() keeps one whole chunk in reserve; whoever
// comes first in another context after it was used makes the next.
//
// Contexts: all but create and try_destroy anywhere, pinned; prepare() with no bucket lock held.
// Chunks are given back when the whole is destroyed.
#pragma once

#include "kernel/bpf/percpu_freelist.h"
#include "kernel/host/contract.h"

namespace barebpf {

struct MemallocClass {
    static constexpr host::LockClass kClass{"memalloc", 60};
};

class Memalloc {
public:
    static constexpr u32 kNone = PercpuFreelist::kNone;

    // Objects of `stride` bytes (a multiple of 8; the first four are the link), for about
    // `expected` of them in use at once; each with `cpu_stride` bytes more for every CPU (a multiple
    // of 8). False: no memory, nothing left behind.
    [[nodiscard]] bool create(u32 stride, u32 expected, host::MemoryOwner& owner,
                              u32 cpu_stride = 0);
    // Nobody allocates or frees any more. False: a batch is still in flight; try again later. Works in
    // steps (kernel/bpf/free_in_steps.h).
    [[nodiscard]] bool try_destroy();

    ALWAYS_INLINE u8* at(u32 index) const {
        // Acquire pairs with the release in refill().
        u8* chunk = table_[index >> chunk_shift_].load(host::Order::Acquire);
        return chunk + size_t{index & chunk_mask_} * stride_;
    }

    // The object's bytes for that CPU. Those of one CPU stand together, behind the chunk's objects.
    ALWAYS_INLINE void* cpu_part(u32 index, u32 cpu) const {
        u8* chunk = table_[index >> chunk_shift_].load(host::Order::Acquire);  // as in at()
        return chunk + objects_bytes_ + size_t{cpu} * cpu_bytes_ +
               size_t{index & chunk_mask_} * cpu_stride_;
    }

    // kNone when no list has a free object.
    u32 alloc() { return free_.pop(Link{this}); }
    // For an object that nobody else has seen.
    void free(u32 index) { free_.push(index, Link{this}); }
    ALWAYS_INLINE void free_rcu(u32 index) {
        CpuState* state = cpus_.this_cpu();
        const u32 depth = state->depth.load(host::Order::Relaxed);
        if (UNLIKELY(depth >= kLevels)) return free_chain_rcu(state, {index, index, 1});
        // What interrupts us comes back to this depth before we go on.
        state->depth.store(depth + 1, host::Order::Relaxed);
        host::interrupt_fence();
        Chain& gathered = state->gathered[depth];
        Link{this}(index).store(gathered.newest, host::Order::Relaxed);
        if (!gathered.count) gathered.oldest = index;
        gathered.newest = index;
        if (UNLIKELY(++gathered.count >= most_gathered_)) {
            free_chain_rcu(state, gathered);
            gathered = {};
        }
        host::interrupt_fence();
        state->depth.store(depth, host::Order::Relaxed);
    }

    // Before alloc(), so that it finds something: a new chunk, or, when there may be no more, what
    // this CPU freed and nobody waits for yet. The latter is reuse without a grace period: better
    // than to fail a program that goes on replacing elements within one read section.
    void prepare() {
        const bool reserve = reserve_.load(host::Order::Relaxed) != kNone;
        if (UNLIKELY(free_.this_cpu_is_empty() || !reserve)) prepare_slow();
    }

private:
    // Linked from the newest to the oldest.
    struct Chain {
        u32 newest, oldest, count;
    };
    static constexpr u32 kLevels = 2;
    struct CpuState {
        host::Atomic<u64> freed;
        host::Atomic<u32> depth;
        Chain gathered[kLevels];
        u32 batch, batch_last;  // owned by whoever set kInFlight, then by the callback
        u32 cpu;
        Memalloc* self;
        host::RcuHead rcu;
    };
    struct Link {
        const Memalloc* self;
        ALWAYS_INLINE host::Atomic<u32>& operator()(u32 index) const {
            return host::atomic_at<u32>(self->at(index));
        }
    };
    using Lock = host::SpinLock<MemallocClass>;
    // CpuState::freed
    static constexpr u32 kIndexBits = 31;
    static constexpr u64 kInFlight = u64{1} << 62;
    static u32 newest(u64 freed) { return freed & ((u64{1} << kIndexBits) - 1); }
    static u32 oldest(u64 freed) { return freed >> kIndexBits & ((u64{1} << kIndexBits) - 1); }

    NOINLINE void free_chain_rcu(CpuState* state, Chain chain);
    NOINLINE void prepare_slow();
    u32 make_chunk();
    void push_chunk(u32 first);
    bool push_reserve();
    void reclaim_waiting();
    static void batch_done(host::RcuHead* head);
    size_t chunk_bytes() const {
        return cpu_bytes_ ? objects_bytes_ + cpu_bytes_ * host::possible_cpus() : objects_bytes_;
    }

    host::Buffer<host::Atomic<u8*>> table_;
    u32 stride_ = 0;
    u32 cpu_stride_ = 0;
    size_t objects_bytes_ = 0;  // of a chunk; a multiple of a cache line if CPUs have parts
    size_t cpu_bytes_ = 0;      // of a chunk, for each CPU; a multiple of a cache line
    u32 most_gathered_ = 1;
    u32 chunk_shift_ = 0;
    u32 chunk_mask_ = 0;
    PercpuFreelist free_;
    host::PerCpu<CpuState> cpus_;
    host::MemoryOwner* owner_ = nullptr;
    Lock lock_;
    u32 chunks_ GUARDED_BY(lock_) = 0;
    static constexpr u32 kNoMore = ~u32{0};
    host::Atomic<u32>
        reserve_{};  // the first object of a chunk that waits for an NMI; kNone; kNoMore
};

}  // namespace barebpf
