// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: spin locks.
#pragma once

#include "kernel/lib/types.h"

extern "C" {
void host_spin_lock(barebpf::u32* word);
bool host_spin_try_lock(barebpf::u32* word);
bool host_spin_held_by_this_cpu(const barebpf::u32* word);
bool host_spin_is_locked(const barebpf::u32* word);
void host_spin_unlock(barebpf::u32* word);
void host_spin_relax(barebpf::u32 spins);
}

namespace barebpf::backend {

inline void spin_relax(u32 spins) {
    host_spin_relax(spins);
}

class RawSpinLock {
public:
    void lock() { host_spin_lock(&word_); }
    bool try_lock() { return host_spin_try_lock(&word_); }
    bool held_by_this_cpu() const { return host_spin_held_by_this_cpu(&word_); }
    bool is_locked() const { return host_spin_is_locked(&word_); }
    void unlock() { host_spin_unlock(&word_); }

private:
    u32 word_ = 0;
};

}  // namespace barebpf::backend
