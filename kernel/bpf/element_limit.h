// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// How many elements a map may have, counted without a word that all CPUs write each time.
//
//     taken        places in use, or with a CPU     never above the limit
//     cpu n        places with that CPU: given back there, or fetched ahead, for the next element
//
// take() uses one of this CPU's places; else it fetches some, as long as there are plenty for everybody, or one; else one
// of another CPU's. It fails when all are in use, or on their way between two words: one that gives some back, or
// fetches some, has them in neither for a few instructions. Maps too small for that have no places with CPUs.
//
// Nothing is ordered by it: the words are counts, and an element's memory has its own ordering. Context: any, pinned.
#pragma once

#include "kernel/host/contract.h"
#include "kernel/host/percpu.h"

namespace barebpf {

class ElementLimit {
public:
    [[nodiscard]] bool create(u32 limit, host::MemoryOwner& owner) {
        limit_ = limit;
        ahead_ = limit / (host::possible_cpus() * 8);
        if (ahead_ > kMostAhead) ahead_ = kMostAhead;
        return places_.create(owner);
    }
    void destroy() { places_.destroy(); }

    ALWAYS_INLINE bool take() { return LIKELY(take_from(places_.this_cpu())) || take_of_all(); }
    ALWAYS_INLINE void give() {
        if (UNLIKELY(ahead_ < 2)) {
            taken_.fetch_sub(1, Order::Relaxed);
            return;
        }
        if (UNLIKELY(places_.this_cpu()->fetch_add(1, Order::Relaxed) >= 2 * ahead_)) give_back();
    }

private:
    using Order = host::Order;
    using Places = host::Atomic<u32>;
    static constexpr u32 kMostAhead = 32;

    static ALWAYS_INLINE bool take_from(Places* places) {
        u32 there = places->load(Order::Relaxed);
        while (there) {
            if (places->compare_exchange(there, there - 1, Order::Relaxed, Order::Relaxed)) {
                return true;
            }
        }
        return false;
    }
    NOINLINE bool take_of_all() {
        u32 taken = taken_.load(Order::Relaxed);
        while (taken < limit_) {
            const bool plenty = ahead_ > 1 && limit_ - taken >= 2 * ahead_ * host::possible_cpus();
            const u32 some = plenty ? ahead_ : 1;
            if (!taken_.compare_exchange(taken, taken + some, Order::Relaxed, Order::Relaxed)) {
                continue;
            }
            if (some > 1) places_.this_cpu()->fetch_add(some - 1, Order::Relaxed);
            return true;
        }
        for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
            if (take_from(places_.cpu(cpu))) return true;
        }
        return false;
    }
    NOINLINE void give_back() {
        Places* places = places_.this_cpu();
        u32 there = places->load(Order::Relaxed);
        while (there >= ahead_) {
            if (places->compare_exchange(there, there - ahead_, Order::Relaxed, Order::Relaxed)) {
                taken_.fetch_sub(ahead_, Order::Relaxed);
                return;
            }
        }
    }

    host::PerCpu<Places> places_;
    u32 limit_ = 0;
    u32 ahead_ = 0;  // below 2: none
    host::Atomic<u32> taken_{};
};

}  // namespace barebpf
