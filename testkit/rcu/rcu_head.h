// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What is embedded in an object that RCU frees.
#pragma once

namespace barebpf::rcu {

struct RcuHead {
    RcuHead* next;
    void (*callback)(RcuHead*);
};

}  // namespace barebpf::rcu
