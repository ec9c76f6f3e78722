// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: wait queues.
#pragma once

#include "kernel/lib/types.h"

extern "C" {
void host_wake_all(void** queue);
void host_wait_queue_close(void** queue);
}

namespace barebpf::backend {

class WaitQueue {
public:
    void wake_all() { host_wake_all(&queue_); }
    void close() { host_wait_queue_close(&queue_); }

private:
    void* queue_ = nullptr;
};

}  // namespace barebpf::backend
