// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <host_backend/spinlock.h>

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testkit/user/internal.h"

namespace barebpf::backend {

// The holder may be waiting for the processor that we burn.
void spin_relax_slow(u32) {
    const int saved_errno = errno;
    sched_yield();
    errno = saved_errno;
}

NOINLINE void RawSpinLock::lock_contended() {
    for (u32 spins = 0;; ++spins) {
        if (owner_.load(Order::Relaxed) == 0 && try_lock()) return;
        spin_relax(spins);
    }
}

}  // namespace barebpf::backend

namespace barebpf::user {

void Mutex::lock() {
    u32 word = 0;
    // Pairs with the release in unlock().
    if (word_.compare_exchange(word, 1, Order::Acquire, Order::Relaxed)) return;
    while (word_.exchange(2, Order::Acquire) != 0)
        syscall(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, 2, nullptr, nullptr, 0);
}

void Mutex::unlock() {
    if (word_.exchange(0, Order::Release) == 2)
        syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

}  // namespace barebpf::user
