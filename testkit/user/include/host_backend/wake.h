// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: a wait queue is an event counter descriptor (eventfd), made when a descriptor of the
// object is first installed; every descriptor of the object is a duplicate of it, so real epoll,
// poll and select wait on it. Who was woken asks the object's poll() and, if nothing is ready,
// drains the counter and waits again (testkit/user/wake.cc).
#pragma once

#include <host_backend/atomic.h>

#include "kernel/lib/types.h"

namespace barebpf::backend {

class WaitQueue {
public:
    void wake_all();
    void close();

    // The descriptor to duplicate, made at need; negative errno.
    int descriptor();
    // Takes back earlier wake-ups; what comes later is not lost.
    void drain();

private:
    Atomic<s32> event_{};      // descriptor + 1
    Atomic<u32> signalled_{};  // a wake-up is in the counter: the next need not write
};

}  // namespace barebpf::backend
