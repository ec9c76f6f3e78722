// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Waiting for a descriptor to become ready.
//
// Who sleeps adds its CPU to the queue (a read-modify-write, seq_cst), then asks poll(). Who wakes has made the
// object ready, then takes all CPUs out of the queue. Either the waker finds the sleeper there and interrupts
// it, or the sleeper's poll() comes after and finds the object ready. From poll() to sleep interrupts are off, so
// that the waker's one is not lost in between.
#include "testkit/guest/guest.h"
#include "testkit/guest/kernel.h"

namespace barebpf::backend {

void WaitQueue::add(u32 cpu) {
    sleepers_.fetch_or(u64{1} << cpu, Order::SeqCst);
    fence(Order::SeqCst);  // pairs with the one in wake_all()
}

void WaitQueue::remove(u32 cpu) {
    sleepers_.fetch_and(~(u64{1} << cpu), Order::Relaxed);
}

void WaitQueue::wake_all() {
    fence(Order::SeqCst);  // pairs with the one in add()
    if (!sleepers_.load(Order::Relaxed)) return;
    const u64 cpus = sleepers_.exchange(0, Order::AcqRel);
    for (u32 cpu = 0; cpu < guest::cpu_count; ++cpu) {
        if ((cpus >> cpu) & 1) guest::arch::send_ipi(cpu);
    }
}

void WaitQueue::close() {
    wake_all();
}

}  // namespace barebpf::backend
