// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: the raw spin lock. The word is the owner's CPU + 1, or 0.
//
// Test and test-and-set: the holder may lose its real CPU to the waiters, so what matters is that a
// long wait yields the thread, which a fair queue would make worse.
#pragma once

#include <host_backend/cpu.h>

namespace barebpf::backend {

void spin_relax_slow(u32 spins);

// One step of a wait that has lasted for so many steps already, each longer than the one before up to a microsecond or
// two: who releases a lock often takes it again at once, and while nobody looks, its line stays with them.
ALWAYS_INLINE void spin_relax(u32 spins) {
    constexpr u32 kMostHints = 32;
    if (UNLIKELY(spins % 16 == 15)) return spin_relax_slow(spins);
    const u32 hints = spins < kMostHints / 4 ? 4 * spins + 1 : kMostHints;
    for (u32 i = 0; i < hints; ++i) spin_hint();
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
