// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One bucket of a hash map, and its lock (hashtab.h explains both). Apart from the map, because the lists of LRU maps
// name the lock in the order of theirs.
#pragma once

#include "kernel/host/contract.h"

namespace barebpf {

struct HashBucketClass {
    static constexpr host::LockClass kClass{"hash_bucket", 50};
};

struct alignas(64) HashBucket {
    static constexpr u32 kSlots = 8;
    using Lock = host::SpinLock<HashBucketClass>;

    host::Atomic<u64> tags;
    host::Atomic<u32> slots[kSlots];
    Lock lock;
    host::Atomic<u32> version;
    host::Atomic<u32> overflow;
};
static_assert(sizeof(HashBucket) == 64, "a bucket is one cache line");

}  // namespace barebpf
