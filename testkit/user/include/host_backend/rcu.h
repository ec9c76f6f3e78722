// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: being inside the library is the read-side section, so the guard is free. Quiescent
// is a slot that nobody owns, a yield point, and synchronize() (testkit/rcu/rcu.h).
#pragma once

#include <host_backend/cpu.h>

#include "testkit/rcu/rcu_head.h"

namespace barebpf::backend {

using rcu::RcuHead;

struct Rcu {
    class ReadGuard {
    public:
#if defined(BAREBPF_LOCK_VALIDATOR)
        ALWAYS_INLINE ReadGuard() {
            if (UNLIKELY(thread_state.cpu == kNoCpu)) outside_the_library();
            ++thread_state.read_guards;
        }
        ALWAYS_INLINE ~ReadGuard() {
            --thread_state.read_guards;
        }
#else
        ALWAYS_INLINE ReadGuard() {}
        ALWAYS_INLINE ~ReadGuard() {}
#endif
        ReadGuard(const ReadGuard&) = delete;
        ReadGuard& operator=(const ReadGuard&) = delete;
    };

    static void call(RcuHead* head, void (*callback)(RcuHead*));
    static void call_process(RcuHead* head, void (*callback)(RcuHead*));
    static void synchronize();
    static void barrier();
    static ALWAYS_INLINE bool read_held() {
        return thread_state.cpu != kNoCpu;
    }
};

}  // namespace barebpf::backend
