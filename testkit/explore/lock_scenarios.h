// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Scenarios for locks.
#pragma once

#include "kernel/host/biased_lock.h"
#include "testkit/explore/explore.h"

namespace barebpf::explore {

using host::Order;

struct ExploredClass {
    static constexpr host::LockClass kClass{"explored", 10};
};

// The lock is CPU 0's at the start; the others ask for it back, have it for themselves after a while, and lose it again. One
// at a time is inside, and sees what those before it have done.
template <u32 kVisits>
struct BiasedVisits : Scenario {
    using Lock = host::BiasedLock<ExploredClass>;
    static_assert(!SameAs<Lock, host::SpinLock<ExploredClass>>);
    Lock lock;
    host::Atomic<u32> inside, visits, done;

    void visit() NO_THREAD_SAFETY_ANALYSIS {
        Lock::State state;
        if (!lock.try_acquire(&state) && !lock.acquire_in_any_context(&state)) {
            check(host::in_nmi(), "the lock is refused outside of an NMI");
            return;
        }
        {
            host::Guard<Lock, host::Adopt> guard(lock, state);
            check(inside.exchange(1, Order::Relaxed) == 0, "two are inside");
            visits.store(visits.load(Order::Relaxed) + 1, Order::Relaxed);
            inside.store(0, Order::Relaxed);
        }
        done.fetch_add(1, Order::Relaxed);
    }
    void setup() override { visit(); }
    void cpu(u32) override {
        for (u32 i = 0; i < kVisits; ++i) visit();
    }
    void nmi(u32) override { visit(); }
    void finish() override {
        visit();
        check(visits.load(Order::Relaxed) == done.load(Order::Relaxed), "a visit is lost");
    }
};

}  // namespace barebpf::explore
