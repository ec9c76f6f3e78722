// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The lock-order validator of debug builds: costs nothing when BAREBPF_LOCK_VALIDATOR is not set.
//
// Each CPU keeps a stack of the classes it holds, one for normal and one for NMI context. Taking a
// class whose rank is not above every held one, taking a lock twice, or releasing one that is not
// held is reported with both stacks and ends the run (host_panic). A bounded try is exempt from the
// order rule: it cannot deadlock.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::host {

struct LockClass {
    const char* name;
    u8 rank;  // locks nest only from lower to higher rank
};

namespace validator {

#if defined(BAREBPF_LOCK_VALIDATOR)
void acquiring(const LockClass& lock_class, const void* lock);
// The order rule alone: for an acquisition that refuses a lock held by this CPU, but waits for others.
void waiting(const LockClass& lock_class, const void* lock);
void acquired(const LockClass& lock_class, const void* lock);
void released(const LockClass& lock_class, const void* lock);
// Ends the run if this context holds any lock: called where code may sleep or leave the library.
void expect_none_held(const char* where);
// In a copy of another process's memory: nobody here holds anything.
void forget_held();
// How many locks this CPU holds outside of NMI context: for tests that choose where to interrupt. Any context.
u32 held_outside_nmi();
#else
inline void acquiring(const LockClass&, const void*) {}
inline void waiting(const LockClass&, const void*) {}
inline void acquired(const LockClass&, const void*) {}
inline void released(const LockClass&, const void*) {}
inline void expect_none_held(const char*) {}
inline void forget_held() {}
inline u32 held_outside_nmi() {
    return 0;
}
#endif

}  // namespace validator
}  // namespace barebpf::host
