// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: being inside the library is the read-side section, so the guard is free. Quiescent is a CPU
// outside of the library, a yield point, and synchronize() (testkit/guest/rcu.cc, testkit/rcu/rcu.h).
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
            if (UNLIKELY(!read_held())) outside_the_library();
            ++guest::this_area()->read_guards;
        }
        ALWAYS_INLINE ~ReadGuard() {
            --guest::this_area()->read_guards;
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
        return guest::this_area()->rcu_word.load(Order::Relaxed) & 1;
    }
};

}  // namespace barebpf::backend
