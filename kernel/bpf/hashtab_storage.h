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
//                                 What it is expected to need it may take beforehand: the bucket is on its
//                                 way from memory then, and nobody waits for its lock.
//
// Contexts: any, pinned, in an RCU read section.
#pragma once

#include "kernel/bpf/hashtab.h"

namespace barebpf::hashtab {

using host::Order;

ALWAYS_INLINE host::Atomic<u32>& link_of(u8* element) {
    return host::atomic_at<u32>(element);
}

enum class Expect : u8 { Nothing, Replacement, NewKey };

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
        // The CPU's words are found here, where the bucket is on its way, not behind its lock's exchange. Only a
        // replacement needs them, and a map whose values are updated in place has none.
        ALWAYS_INLINE Session(HashMap* map, Expect expect)
            : map_(map), state_(expect == Expect::Replacement ? map->cpus.this_cpu() : nullptr) {}

        ALWAYS_INLINE Taken take() {
            return {map_->free_elements.pop(links(map_)), -to_int(Errno::TooBig)};
        }
        ALWAYS_INLINE Taken replacement() {
            const u32 depth = state_->depth.load(Order::Relaxed);
            if (UNLIKELY(depth >= HashMap::kLevels)) return {0, -to_int(Errno::Busy)};
            state_->depth.store(depth + 1, Order::Relaxed);
            host::interrupt_fence();
            return {state_->spare[depth].load(Order::Relaxed), 0};
        }
        ALWAYS_INLINE void replaced(u32 old) {
            const u32 depth = state_->depth.load(Order::Relaxed) - 1;
            state_->spare[depth].store(old, Order::Relaxed);
            host::interrupt_fence();
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
        ALWAYS_INLINE Session(HashMap* map, Expect expect) : map_(map) {
            map->on_demand.prepare();
            if (expect == Expect::NewKey) placed_ = map->limit.take_of_plenty();
            if (expect != Expect::Nothing) element_ = map->on_demand.alloc();
        }
        ALWAYS_INLINE ~Session() {
            if (UNLIKELY(placed_)) map_->limit.give();
            if (UNLIKELY(element_)) map_->on_demand.free(element_);
        }
        Session(const Session&) = delete;
        Session& operator=(const Session&) = delete;

        ALWAYS_INLINE Taken take() {
            if (UNLIKELY(!placed_ && !map_->limit.take())) return {0, -to_int(Errno::TooBig)};
            const Taken taken = replacement();
            placed_ = !taken.index;
            return taken;
        }
        ALWAYS_INLINE Taken replacement() {
            const u32 index = LIKELY(element_) ? element_ : map_->on_demand.alloc();
            element_ = 0;
            return {index, -to_int(Errno::NoMem)};
        }
        void replaced(u32 old) { map_->on_demand.free_rcu(old); }

    private:
        HashMap* map_;
        u32 element_ = 0;
        bool placed_ = false;
    };
};

}  // namespace barebpf::hashtab
