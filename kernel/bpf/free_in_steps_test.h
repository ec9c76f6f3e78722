// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// For tests of what frees much: whether others had the CPU meanwhile.
#pragma once

#include "kernel/host/contract.h"

namespace barebpf::test {

// A callback that waits for this CPU to be left: it runs as soon as somebody yields.
struct Waiting {
    host::RcuHead head;
    bool ran = false;

    Waiting() {
        host::call_rcu(&head,
                       [](host::RcuHead* of) { reinterpret_cast<Waiting*>(of)->ran = true; });
    }
    ~Waiting() { host::rcu_barrier(); }
};

}  // namespace barebpf::test
