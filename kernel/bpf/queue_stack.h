// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Queue and stack maps: values without keys, pushed at one end, popped at the other or the same.
//
//     values  [ 5 | 6 | . | . | 2 | 3 | 4 ]      first = 4, count = 5: a ring of max_entries places
//                   ^           ^
//                 newest      oldest
//
//     push            behind the newest; full: E2BIG, or with BPF_EXIST in the place of the oldest
//     pop, peek       queue: the oldest, stack: the newest; empty: ENOENT and a value of zeros
//
// bpf(2): update pushes, lookup peeks, lookup_and_delete pops; there is no key, no walk, no delete.
//
// Locking: one lock around `first`, `count` and the values, any context; nothing else is taken inside.
// With it held nobody reads a value, so values are copied as plain bytes, and the order of values is that
// of the calls. The lock is a biased one: a push or pop has no locked instruction as long as one CPU is at
// it, and one when several are, which a ring without a lock would need as well. An operation in an NMI that
// interrupted the holder of this very lock, or waited long for another CPU, fails with EBUSY and has
// changed nothing.
#pragma once

#include "kernel/bpf/map.h"
#include "kernel/host/biased_lock.h"
#include "kernel/host/contract.h"

namespace barebpf {

struct QueueClass {
    static constexpr host::LockClass kClass{"queue_stack", 48};
};

struct QueueMap : Map {
    using Lock = host::BiasedLock<QueueClass>;

    u8* values = nullptr;
    u32 first GUARDED_BY(lock) = 0;
    u32 count GUARDED_BY(lock) = 0;
    Lock lock;  // behind them: what CPUs that share it write stands at its beginning
};

}  // namespace barebpf
