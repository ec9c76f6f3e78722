// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The world of this process: made by its first bpf(2), and its own after every fork.
//
// A child of fork() has a copy of the parent's maps that nobody would keep in step, so it starts
// with an empty world instead. The child is recognised by a page that the kernel empties in it
// (MADV_WIPEONFORK), whichever way it was forked; where a kernel or an emulator cannot do that, by
// a fork handler.
// A child of vfork() shares the parent's memory but not its descriptors: it must not change what is
// recorded about them (shares_memory_only()).
#pragma once

#include "kernel/host/contract.h"
#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"

namespace barebpf::preload {

inline constexpr u32 kWorldReady = 1;

// A forked child finds this page empty.
struct alignas(4096) StatePage {
    host::Atomic<u32> state;
    host::Atomic<u32> told_about_fork;
    host::Atomic<u32> lock;
    char rest[4096 - 3 * sizeof(u32)];
};
extern StatePage state_page BAREBPF_HIDDEN;

// The memory holds a world: of this process, or of one that it was forked from.
extern host::Atomic<u32> world_in_memory BAREBPF_HIDDEN;

// Makes the world, once; 0, or -errno: EBUSY when called in a signal handler that interrupted the
// library, ENOMEM.
long make_world();

ALWAYS_INLINE bool world_is_ready() {
    // Pairs with the release at the end of make_world().
    return LIKELY(state_page.state.load(host::Order::Acquire) == kWorldReady);
}

// Whether the user backend's records may be asked: there is a world, and it is this process's own.
ALWAYS_INLINE bool has_world() {
    if (world_is_ready()) return true;
    return UNLIKELY(world_in_memory.load(host::Order::Relaxed)) && make_world() == 0;
}

// True in a child of vfork(): the records are the parent's, the descriptors are not.
bool shares_memory_only();

// One line on standard error, once in a process: a descriptor that fork() inherited was used.
// Returns -EOPNOTSUPP.
long refuse_inherited();

}  // namespace barebpf::preload
