// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Copies of map values. The map's side is 8-byte aligned and may be read and written by programs on
// other CPUs at the same time, so it is accessed word by word as atomics; a word is never torn. The
// other side is private and has any alignment.
//
// A value may hold a bpf_spin_lock (4 bytes at map.spin_lock_offset, 0: free). It is never copied
// in or out: user space reads 0, a new element starts with 0, an existing one keeps its own.
#pragma once

#include "kernel/bpf/map.h"
#include "kernel/host/contract.h"

namespace barebpf {

// Size in bytes; the map's side may start at any offset that is a multiple of 4.
ALWAYS_INLINE void store_bytes(void* map_side, const void* from, u32 size) {
    u8* to = static_cast<u8*>(map_side);
    const u8* source = static_cast<const u8*>(from);
    for (; size >= 8; size -= 8, to += 8, source += 8) {
        u64 word;
        __builtin_memcpy(&word, source, 8);
        host::atomic_at<u64>(to).store(word, host::Order::Relaxed);
    }
    for (; size; --size) host::atomic_at<u8>(to++).store(*source++, host::Order::Relaxed);
}

ALWAYS_INLINE void load_bytes(void* to, const void* map_side, u32 size) {
    const u8* from = static_cast<const u8*>(map_side);
    u8* target = static_cast<u8*>(to);
    for (; size >= 8; size -= 8, from += 8, target += 8) {
        const u64 word = host::atomic_at<u64>(from).load(host::Order::Relaxed);
        __builtin_memcpy(target, &word, 8);
    }
    for (; size; --size) *target++ = host::atomic_at<u8>(from++).load(host::Order::Relaxed);
}

// The whole value, its lock left out.
void store_value_around_lock(const Map* map, void* map_side, const void* from);
void load_value_around_lock(const Map* map, void* to, const void* map_side);

// One without a lock.
ALWAYS_INLINE void store_plain_value(const Map* map, void* map_side, const void* from) {
    if (LIKELY(map->value_size == 8)) return store_bytes(map_side, from, 8);  // in one step
    store_bytes(map_side, from, map->value_size);
}
ALWAYS_INLINE void store_value(const Map* map, void* map_side, const void* from) {
    if (LIKELY(map->spin_lock_offset < 0)) return store_plain_value(map, map_side, from);
    store_value_around_lock(map, map_side, from);
}
// Into an element that is in no table yet.
ALWAYS_INLINE void store_new_value(const Map* map, void* map_side, const void* from) {
    if (LIKELY(map->spin_lock_offset < 0)) return store_plain_value(map, map_side, from);
    store_value_around_lock(map, map_side, from);
    host::atomic_at<u32>(static_cast<u8*>(map_side) + map->spin_lock_offset)
        .store(0, host::Order::Relaxed);
}
ALWAYS_INLINE void load_value(const Map* map, void* to, const void* map_side) {
    if (LIKELY(map->spin_lock_offset < 0)) return load_bytes(to, map_side, map->value_size);
    load_value_around_lock(map, to, map_side);
}

// The lock in a value, as bpf_spin_lock() and BPF_F_LOCK take it; interrupts are off meanwhile.
void acquire_value_lock(host::Atomic<u32>& word);
ALWAYS_INLINE void release_value_lock(host::Atomic<u32>& word) {
    word.store(0, host::Order::Release);  // pairs with the acquire in acquire_value_lock
}

// BPF_F_LOCK: the value's own lock is held meanwhile, interrupts off. The word is 1 while held, as
// bpf_spin_lock() leaves it.
void store_value_locked(const Map* map, void* map_side, const void* from);
void load_value_locked(const Map* map, void* to, const void* map_side);

// Whether BPF_F_LOCK may stand in flags for this map.
ALWAYS_INLINE bool lock_flag_ok(const Map* map, u64 flags) {
    return !(flags & BPF_F_LOCK) || map->spin_lock_offset >= 0;
}

}  // namespace barebpf
