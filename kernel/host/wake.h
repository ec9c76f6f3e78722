// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: waking whoever waits for an object's descriptor (poll, epoll, select, a sleeping
// reader).
//
// Context: wake() from anywhere, NMI and lock holders included: the backend defers where it must.
// It is level-triggered on the object's own poll(): a wake-up says "look again", never "there is
// data".
#pragma once

#include <host_backend/wake.h>

#include "kernel/lib/concepts.h"

namespace barebpf::host {

// Embedded in the object that is waited for; all-zero is valid and empty.
using WaitQueue = backend::WaitQueue;

template <class W>
concept IsWaitQueue = requires(W queue) {
    queue.wake_all();  // any context
    queue.close();     // before the memory goes away; process context
};
static_assert(IsWaitQueue<WaitQueue>);

}  // namespace barebpf::host
