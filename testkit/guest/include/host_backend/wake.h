// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: a wait queue is the set of CPUs that sleep for the object; waking is an interrupt to each.
// Who was woken asks the object's poll() again (testkit/guest/wake.cc).
#pragma once

#include <host_backend/atomic.h>

#include "kernel/lib/types.h"

namespace barebpf::backend {

class WaitQueue {
public:
    void wake_all();
    void close();

    void add(u32 cpu);  // before poll() is asked whether to sleep
    void remove(u32 cpu);

private:
    Atomic<u64> sleepers_{};  // bit n: CPU n
};

}  // namespace barebpf::backend
