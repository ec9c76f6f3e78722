// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of hashtab: where elements come from and where they go. One struct for each way; every
// function of hashtab that touches elements takes it as its parameter `Storage`:
//
//     at(map, index)              the element
//     cpu_value(map, index, cpu)  of a map with per-CPU values: the one of that CPU
//     touch(map, index)           a program looked it up
//     give_back(map, index)       it left its bucket
//     kGiveBackTakesLocks         then it is called when the bucket is unlocked, else before
//     Session                     one update: made before the bucket is locked, ends after it is
//                                 unlocked; in between, with the bucket locked, either
//                                     take()                          an element for a new key, or
//                                     replacement(), replaced(old)    one in the place of another:
//                                                                     what the first gives is used
//
// Contexts: any, pinned, in an RCU read section.
#pragma once

#include "kernel/bpf/hashtab.h"

namespace barebpf::hashtab {

using host::Order;

// Orders this CPU's accesses as seen by what interrupts it; nothing to do for the hardware.
ALWAYS_INLINE void interrupt_fence() {
    asm volatile("" ::: "memory");
}

ALWAYS_INLINE host::Atomic<u32>& link_of(u8* element) {
    return host::atomic_at<u32>(element);
}

// index 0: none, and why.
struct Taken {
    u32 index;
    s64 error;
};

struct Preallocated {
    static constexpr bool kGiveBackTakesLocks = false;

    static ALWAYS_INLINE u8* at(const HashMap* map, u32 index) {
        return map->elements + size_t{index} * map->stride;
    }
    static ALWAYS_INLINE void* cpu_value(const HashMap* map, u32 index, u32 cpu) {
        return map->cpu_values + size_t{cpu} * map->cpu_values_stride +
               size_t{index} * map->cpu_value_size;
    }
    static ALWAYS_INLINE void touch(const HashMap*, u32) {}
    static auto links(const HashMap* map) {
        return [map](u32 index) -> host::Atomic<u32>& { return link_of(at(map, index)); };
    }
    static ALWAYS_INLINE void give_back(HashMap* map, u32 index) {
        map->free_elements.push(index, links(map));
    }

    // An element in the place of another is the spare of this CPU and level; the old one becomes the
    // spare. Interrupts are off, so only an NMI comes in between: it uses the next level and leaves
    // ours alone.
    class Session {
    public:
        // The CPU's words are found here, where the bucket is on its way, not behind its lock's exchange.
        ALWAYS_INLINE explicit Session(HashMap* map) : map_(map), state_(map->cpus.this_cpu()) {}

        ALWAYS_INLINE Taken take() {
            return {map_->free_elements.pop(links(map_)), -to_int(Errno::TooBig)};
        }
        ALWAYS_INLINE Taken replacement() {
            const u32 depth = state_->depth.load(Order::Relaxed);
            if (UNLIKELY(depth >= HashMap::kLevels)) return {0, -to_int(Errno::Busy)};
            state_->depth.store(depth + 1, Order::Relaxed);
            interrupt_fence();
            return {state_->spare[depth].load(Order::Relaxed), 0};
        }
        ALWAYS_INLINE void replaced(u32 old) {
            const u32 depth = state_->depth.load(Order::Relaxed) - 1;
            state_->spare[depth].store(old, Order::Relaxed);
            interrupt_fence();
            state_->depth.store(depth, Order::Relaxed);
        }

    private:
        HashMap* map_;
        HashMap::CpuState* state_;
    };
};

struct OnDemand {
    static constexpr bool kGiveBackTakesLocks = false;

    static ALWAYS_INLINE u8* at(const HashMap* map, u32 index) { return map->on_demand.at(index); }
    static ALWAYS_INLINE void* cpu_value(const HashMap* map, u32 index, u32 cpu) {
        return map->on_demand.cpu_part(index, cpu);
    }
    static ALWAYS_INLINE void touch(const HashMap*, u32) {}
    static void give_back(HashMap* map, u32 index) {
        map->limit.give();
        map->on_demand.free_rcu(index);
    }

    class Session {
    public:
        explicit Session(HashMap* map) : map_(map) { map->on_demand.prepare(); }

        Taken take() {
            if (!map_->limit.take()) return {0, -to_int(Errno::TooBig)};
            const u32 index = map_->on_demand.alloc();
            if (!index) map_->limit.give();
            return {index, -to_int(Errno::NoMem)};
        }
        Taken replacement() { return {map_->on_demand.alloc(), -to_int(Errno::NoMem)}; }
        void replaced(u32 old) { map_->on_demand.free_rcu(old); }

    private:
        HashMap* map_;
    };
};

}  // namespace barebpf::hashtab
