// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/queue_stack.h"

#include "kernel/bpf/free_in_steps.h"
#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_types.h"
#include "kernel/host/cred.h"

namespace barebpf {
namespace {

using host::Adopt;
using host::Guard;

constexpr u32 kCreateFlags = BPF_F_NUMA_NODE | kMapAccessFlags;

enum class Order : u8 { Queue, Stack };

Result<void> check_attr(const bpf_attr& attr) {
    if (!host::capable(host::Capability::Bpf)) return Errno::Perm;
    if (attr.max_entries == 0 || attr.key_size != 0 || attr.value_size == 0 ||
        (attr.map_flags & ~kCreateFlags) || !map_access_flags_ok(attr.map_flags)) {
        return Errno::Inval;
    }
    return attr.value_size <= kKmallocMaxSize ? Result<void>{} : Errno::TooBig;
}

u64 value_bytes(const QueueMap* map) {
    return u64{map->max_entries} * map->value_size;
}

Result<Map*> create(const bpf_attr& attr) {
    auto* map = new_map<QueueMap>();
    if (!map) return Errno::NoMem;
    map->max_entries = attr.max_entries;
    map->value_size = attr.value_size;
    map->values =
        static_cast<u8*>(host::alloc(value_bytes(map), host::AllocContext::MaySleep, map->memory));
    if (!map->values) {
        delete_map(map);
        return Errno::NoMem;
    }
    return static_cast<Map*>(map);
}

void free(Map* generic) {
    auto* map = static_cast<QueueMap*>(generic);
    free_in_steps(map->values, value_bytes(map), map->memory);
    delete_map(map);
}

// The usual sizes without a call.
ALWAYS_INLINE void copy(void* to, const void* from, u32 size) {
    if (size == 8) {
        __builtin_memcpy(to, from, 8);
    } else if (size == 4) {
        __builtin_memcpy(to, from, 4);
    } else {
        __builtin_memcpy(to, from, size);
    }
}

// ── Operations ────────────────────────────────────────────────────────────────────────────────

// The place so many behind the first.
ALWAYS_INLINE u8* place(QueueMap* map, u32 offset) REQUIRES(map->lock) {
    u64 index = u64{map->first} + offset;
    if (index >= map->max_entries) index -= map->max_entries;
    return map->values + index * map->value_size;
}

s64 push(Map* generic, const void* value, u64 flags) {
    auto* map = static_cast<QueueMap*>(generic);
    if (flags != BPF_ANY && flags != BPF_EXIST) return -to_int(Errno::Inval);
    host::IrqState irq;
    if (UNLIKELY(!map->lock.acquire_in_any_context(&irq))) return -to_int(Errno::Busy);
    Guard<QueueMap::Lock, Adopt> guard(map->lock, irq);
    if (UNLIKELY(map->count == map->max_entries)) {
        if (flags != BPF_EXIST) return -to_int(Errno::TooBig);
        map->first = map->first + 1 == map->max_entries ? 0 : map->first + 1;
        --map->count;
    }
    copy(place(map, map->count), value, map->value_size);
    ++map->count;
    return 0;
}

template <Order kOrder, bool kTake>
s64 get(Map* generic, void* value) {
    auto* map = static_cast<QueueMap*>(generic);
    host::IrqState irq;
    if (UNLIKELY(!map->lock.acquire_in_any_context(&irq))) {
        __builtin_memset(value, 0, map->value_size);
        return -to_int(Errno::Busy);
    }
    Guard<QueueMap::Lock, Adopt> guard(map->lock, irq);
    if (UNLIKELY(map->count == 0)) {
        __builtin_memset(value, 0, map->value_size);
        return -to_int(Errno::NoEnt);
    }
    copy(value, place(map, kOrder == Order::Queue ? 0 : map->count - 1), map->value_size);
    if (!kTake) return 0;
    --map->count;
    if (kOrder == Order::Queue) {
        map->first = map->first + 1 == map->max_entries ? 0 : map->first + 1;
    }
    return 0;
}

// ── bpf(2) ────────────────────────────────────────────────────────────────────────────────────

s64 push_from_user(Map* map, const void*, const void* value, u64 flags) {
    host::Cpu::Pin pin;
    host::RcuReadGuard rcu;
    return push(map, value, flags);
}

template <Order kOrder, bool kTake>
s64 get_for_user(Map* map, const void*, void* value, u64 flags) {
    if (flags) return -to_int(Errno::Inval);
    return get<kOrder, kTake>(map, value);
}

template <Order kOrder>
constexpr MapOps kOps = {
    .check_attr = check_attr,
    .create = create,
    .free = free,
    .erase = [](Map*, const void*) -> s64 { return -to_int(Errno::Inval); },
    .push = push,
    .pop = get<kOrder, true>,
    .peek = get<kOrder, false>,
    .next_key = [](Map*, const void*, void*) -> s64 { return -to_int(Errno::Inval); },
    .copy_value = get_for_user<kOrder, false>,
    .update_from_user = push_from_user,
    .lookup_and_erase = get_for_user<kOrder, true>,
    .meta_equal = map_meta_equal,
};

}  // namespace

constinit const MapOps kQueueMapOps = kOps<Order::Queue>;
constinit const MapOps kStackMapOps = kOps<Order::Stack>;

}  // namespace barebpf
