// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Free elements of a map, in one list per CPU. Elements are named by index (0: none), so that a
// list's head fits one word together with a tag:
//
//     cpu 0  [ tag | first ] ──> 7 ──> 3 ──> 12        63        32 31         0
//     cpu 1  [ tag | first ] ──> 8                     [   tag     |   index   ]
//     cpu 2  [ tag |   0   ]                           the link: a u32 inside the element
//
// push() gives to this CPU's list, last in first out, so that the next pop finds an element that is
// still in the cache. pop() takes from this CPU, then from its neighbours in turn.
//
// Locking: none; each step is one compare-and-exchange of a head, safe in any context, NMI
// included, and never waits for another CPU's progress. The tag grows with each pop: a head that
// went away and came back is told apart. A popper may read the link of an element that somebody
// else has just taken: the memory is the map's and stays, the value is discarded when the exchange
// fails. For the same reason links are always accessed as atomics.
//
// An empty list costs one read.
#pragma once

#include <arch/prefetch.h>

#include "kernel/host/contract.h"

namespace barebpf {

class PercpuFreelist {
public:
    static constexpr u32 kNone = 0;

    [[nodiscard]] bool create(host::MemoryOwner& owner) { return heads_.create(owner); }
    void destroy() { heads_.destroy(); }

    // link(index) is the element's link word. The caller is pinned.
    template <class Link>
    ALWAYS_INLINE void push(u32 index, Link link) {
        push_chain(heads_.this_cpu(), index, index, link);
    }
    // From `first` to `last` already linked; to CPU n's list.
    template <class Link>
    void push_chain_to(u32 cpu, u32 first, u32 last, Link link) {
        push_chain(heads_.cpu(cpu), first, last, link);
    }

    // kNone when every list is empty.
    template <class Link>
    ALWAYS_INLINE u32 pop(Link link) {
        const u32 index = pop_from(heads_.this_cpu(), link);
        return LIKELY(index != kNone) ? index : pop_from_neighbours(link);
    }

    bool this_cpu_is_empty() const { return empty(heads_.this_cpu()); }
    bool cpu_is_empty(u32 cpu) const { return empty(heads_.cpu(cpu)); }

    // Elements [first, first + count), in equal runs. Before anyone else can reach the lists.
    template <class Link>
    void populate(u32 first, u32 count, Link link) {
        const u32 cpus = host::possible_cpus();
        for (u32 cpu = 0; cpu < cpus; ++cpu) {
            const u32 run = count / cpus + (cpu < count % cpus ? 1 : 0);
            if (run == 0) break;
            push_run(heads_.cpu(cpu), first, run, link);
            first += run;
        }
    }

private:
    struct Head {
        host::Atomic<u64> top;
    };

    static bool empty(const Head* head) {
        return static_cast<u32>(head->top.load(host::Order::Relaxed)) == kNone;
    }

    // What stands next to each other in the list does not in memory: where one CPU has taken its element from another's
    // list, both use theirs again and again, and would have each other's cache lines.
    template <class Link>
    static void push_run(Head* head, u32 first, u32 count, Link link) {
        constexpr u32 kApart = 8;
        u32 last = first;
        for (u32 i = 0; i < kApart && i < count; ++i) {
            for (u32 at = i; at < count; at += kApart) {
                link(last).store(first + at, host::Order::Relaxed);
                last = first + at;
            }
        }
        push_chain(head, first, last, link);
    }

    template <class Link>
    static ALWAYS_INLINE void push_chain(Head* head, u32 first, u32 last, Link link) {
        u64 top = head->top.load(host::Order::Relaxed);
        u64 wanted;
        do {
            link(last).store(static_cast<u32>(top), host::Order::Relaxed);
            wanted = (top & ~u64{0xffffffff}) | first;
            // Release: what was done to the elements; pairs with the acquire in pop_from.
        } while (
            !head->top.compare_exchange(top, wanted, host::Order::Release, host::Order::Relaxed));
    }

    template <class Link>
    static ALWAYS_INLINE u32 pop_from(Head* head, Link link) {
        // Acquire pairs with the release in push_chain (exchanges by other poppers continue it).
        u64 top = head->top.load(host::Order::Acquire);
        for (;;) {
            const u32 index = static_cast<u32>(top);
            if (index == kNone) return kNone;
            const u32 next = link(index).load(host::Order::Relaxed);
            const u64 wanted = ((top >> 32) + 1) << 32 | next;
            if (head->top.compare_exchange(top, wanted, host::Order::Acquire,
                                           host::Order::Acquire)) {
                // Who comes next reads its link: it may have been free for long.
                if (LIKELY(next != kNone)) arch::prefetch_to_write(&link(next));
                return index;
            }
        }
    }

    template <class Link>
    NOINLINE u32 pop_from_neighbours(Link link) {
        const u32 cpus = host::possible_cpus();
        const u32 self = host::cpu_id();
        for (u32 i = 1; i < cpus; ++i) {
            const u32 cpu = self + i < cpus ? self + i : self + i - cpus;
            const u32 index = pop_from(heads_.cpu(cpu), link);
            if (index != kNone) return index;
        }
        return kNone;
    }

    host::PerCpu<Head> heads_;
};

}  // namespace barebpf
