// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A lock that is not to be had. No critical section takes seconds: after that long the run ends with a report.
#include <host_backend/spinlock.h>

#include "testkit/guest/kernel.h"

namespace barebpf::backend {

namespace {

constexpr u64 kPatienceNs = 10'000'000'000;
constexpr u32 kSpinsBetweenLooks = 4096;

}  // namespace

NOINLINE void RawSpinLock::lock_contended() {
    u64 start = 0;
    for (u32 spins = 1;; ++spins) {
        const u32 owner = owner_.load(Order::Relaxed);
        if (owner == 0 && try_lock()) return;
        if (owner == Cpu::id() + 1)
            guest::fail("deadlock: this CPU waits for a lock that it holds");
        if (spins % kSpinsBetweenLooks == 0) {
            const u64 now = guest::arch::clock_ns();
            if (!start) start = now;
            if (now - start > kPatienceNs)
                guest::fail_with("deadlock: CPU ", Cpu::id(), " waits for a lock that CPU ",
                                 owner - 1, " holds");
        }
        spin_relax(spins);
    }
}

}  // namespace barebpf::backend
