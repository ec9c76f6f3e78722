// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: the raw spin lock. The word is the owner's CPU + 1, or 0.
//
// Test and test-and-set. A CPU that spins for seconds ends the run: it tells which CPU holds the lock, and every
// CPU's stack follows (testkit/guest/spinlock.cc).
#pragma once

#include <host_backend/cpu.h>

namespace barebpf::backend {

// One step of a wait that has lasted for so many steps already.
ALWAYS_INLINE void spin_relax(u32) {
    spin_hint();
}

class RawSpinLock {
public:
    ALWAYS_INLINE void lock() {
        if (UNLIKELY(!try_lock())) lock_contended();
    }
    // The acquire pairs with the release in unlock().
    ALWAYS_INLINE bool try_lock() {
        u32 free = 0;
        return owner_.compare_exchange(free, Cpu::id() + 1, Order::Acquire, Order::Relaxed);
    }
    // Exact: only this CPU writes its own number, and what runs on it sees its own stores.
    ALWAYS_INLINE bool held_by_this_cpu() const {
        return owner_.load(Order::Relaxed) == Cpu::id() + 1;
    }
    ALWAYS_INLINE bool is_locked() const { return owner_.load(Order::Relaxed) != 0; }
    // The release pairs with the acquire in try_lock().
    ALWAYS_INLINE void unlock() { owner_.store(0, Order::Release); }

private:
    void lock_contended();

    Atomic<u32> owner_;
};

}  // namespace barebpf::backend
