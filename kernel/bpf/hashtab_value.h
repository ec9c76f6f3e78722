// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of hashtab: what the value of an element is. One struct for each kind, the parameter `Value`
// of everything in hashtab that touches values:
//
//     kInPlace          an update of an existing key writes into its element; else a fresh element
//                       takes the place of the old one
//     see<kKey, Storage>(map, found)           what a program's look-up gives
//     store_new<kKey, Storage>(map, found, from)    into an element that is in no bucket yet
//     store<kKey, Storage>(map, found, from, &leftover)   into one that is, bucket locked; kInPlace or BPF_F_LOCK
//     load<kKey, Storage>(map, to, found, flags)    as bpf(2) gets it
//     Leftover          what store() replaced; goes when the bucket is unlocked
//     dispose(map, found)    the element left its bucket, which is unlocked; only if kDisposes
//
// `from` is 8-byte words of any alignment, `to` too: as MapOps::update and copy_value have them.
#pragma once

#include "kernel/bpf/hashtab_bucket.h"

namespace barebpf::hashtab {

struct NoLeftover {};

// Bytes in the element, perhaps with a bpf_spin_lock among them.
struct Plain {
    static constexpr bool kInPlace = false;
    static constexpr bool kDisposes = false;
    using Leftover = NoLeftover;

    template <u32 kKey, class Storage>
    static ALWAYS_INLINE void* see(const HashMap* map, Found found) {
        return found.element + value_offset_of<kKey>(map);
    }
    template <u32 kKey, class Storage>
    static ALWAYS_INLINE void store_new(const HashMap* map, Found found, const void* from) {
        store_new_value(map, see<kKey, Storage>(map, found), from);
    }
    // BPF_F_LOCK only: under the value's own lock.
    template <u32 kKey, class Storage>
    static void store(const HashMap* map, Found found, const void* from, Leftover*) {
        store_value_locked(map, see<kKey, Storage>(map, found), from);
    }
    template <u32 kKey, class Storage>
    static void load(const HashMap* map, void* to, Found found, u64 flags) {
        const void* value = see<kKey, Storage>(map, found);
        flags& BPF_F_LOCK ? load_value_locked(map, to, value) : load_value(map, to, value);
    }
    static ALWAYS_INLINE void dispose(const HashMap*, Found) {}
};

// One value for each CPU, beside the elements. A program writes its own CPU's; a new element has
// zeroes for the others.
struct PerCpuValues {
    static constexpr bool kInPlace = true;
    static constexpr bool kDisposes = false;
    using Leftover = NoLeftover;

    template <u32 kKey, class Storage>
    static ALWAYS_INLINE void* see(const HashMap* map, Found found) {
        return Storage::cpu_value(map, found.index, host::cpu_id());
    }
    template <u32 kKey, class Storage>
    static void store_new(const HashMap* map, Found found, const void* from) {
        for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
            zero(Storage::cpu_value(map, found.index, cpu), map->cpu_value_size);
        }
        store<kKey, Storage>(map, found, from, nullptr);
    }
    template <u32 kKey, class Storage>
    static void store(const HashMap* map, Found found, const void* from, Leftover*) {
        store_bytes(see<kKey, Storage>(map, found), from, map->value_size);
    }
    template <u32 kKey, class Storage>
    static void load(const HashMap* map, void* to, Found found, u64) {
        u8* at = static_cast<u8*>(to);
        for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu, at += map->cpu_value_size) {
            load_bytes(at, Storage::cpu_value(map, found.index, cpu), map->cpu_value_size);
        }
    }
    static ALWAYS_INLINE void dispose(const HashMap*, Found) {}

private:
    static void zero(void* value, u32 size) {
        for (u32 at = 0; at < size; at += 8) {
            host::atomic_at<u64>(static_cast<u8*>(value) + at).store(0, Order::Relaxed);
        }
    }
};

// The same values, written by bpf(2): all CPUs at once, 8-byte aligned.
struct PerCpuValuesOfUser : PerCpuValues {
    template <u32 kKey, class Storage>
    static void store_new(const HashMap* map, Found found, const void* from) {
        store<kKey, Storage>(map, found, from, nullptr);
    }
    template <u32 kKey, class Storage>
    static void store(const HashMap* map, Found found, const void* from, Leftover*) {
        const u8* at = static_cast<const u8*>(from);
        for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu, at += map->cpu_value_size) {
            store_bytes(Storage::cpu_value(map, found.index, cpu), at, map->cpu_value_size);
        }
    }
};

}  // namespace barebpf::hashtab
