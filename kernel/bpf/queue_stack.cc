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

const MapOps* ops_for(const bpf_attr& attr);

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
    map->ops = ops_for(attr);
    return static_cast<Map*>(map);
}

void free(Map* generic) {
    auto* map = static_cast<QueueMap*>(generic);
    free_in_steps(map->values, value_bytes(map), map->memory);
    delete_map(map);
}

// ── Operations ────────────────────────────────────────────────────────────────────────────────
// kSize is the size of a value, 0: whatever the map says. What is usual has code of its own, in which
// nothing but the lock costs time.

template <u32 kSize>
ALWAYS_INLINE u32 size_of_value(const QueueMap* map) {
    return kSize ? kSize : map->value_size;
}

// The place so many behind the first.
template <u32 kSize>
ALWAYS_INLINE u8* place(QueueMap* map, u32 offset) REQUIRES(map->lock) {
    u64 index = u64{map->first} + offset;
    if (index >= map->max_entries) index -= map->max_entries;
    return map->values + index * size_of_value<kSize>(map);
}

ALWAYS_INLINE void drop_first(QueueMap* map) REQUIRES(map->lock) {
    map->first = map->first + 1 == map->max_entries ? 0 : map->first + 1;
    --map->count;
}

template <u32 kSize>
ALWAYS_INLINE s64 push_locked(QueueMap* map, const void* value, u64 flags) REQUIRES(map->lock) {
    if (UNLIKELY(map->count == map->max_entries)) {
        if (flags != BPF_EXIST) return -to_int(Errno::TooBig);
        drop_first(map);
    }
    __builtin_memcpy(place<kSize>(map, map->count), value, size_of_value<kSize>(map));
    ++map->count;
    return 0;
}

template <Order kOrder, bool kTake, u32 kSize>
ALWAYS_INLINE s64 get_locked(QueueMap* map, void* value) REQUIRES(map->lock) {
    if (UNLIKELY(map->count == 0)) {
        __builtin_memset(value, 0, size_of_value<kSize>(map));
        return -to_int(Errno::NoEnt);
    }
    const u32 offset = kOrder == Order::Queue ? 0 : map->count - 1;
    __builtin_memcpy(value, place<kSize>(map, offset), size_of_value<kSize>(map));
    if (!kTake) return 0;
    if (kOrder == Order::Queue) {
        drop_first(map);
    } else {
        --map->count;
    }
    return 0;
}

// For checked builds: who finds the lock taken will wait for it.
ALWAYS_INLINE void note_wait(QueueMap* map) {
    if (!host::in_nmi()) host::validator::waiting(QueueClass::kClass, &map->lock);
}

// Somebody has the lock.
NOINLINE s64 push_contended(QueueMap* map, const void* value, u64 flags) {
    QueueMap::Lock::State state;
    if (UNLIKELY(!map->lock.acquire_in_any_context(&state))) return -to_int(Errno::Busy);
    Guard<QueueMap::Lock, Adopt> guard(map->lock, state);
    return push_locked<0>(map, value, flags);
}

template <u32 kSize>
s64 push(Map* generic, const void* value, u64 flags) {
    auto* map = static_cast<QueueMap*>(generic);
    if (flags != BPF_ANY && flags != BPF_EXIST) return -to_int(Errno::Inval);
    QueueMap::Lock::State state;
    note_wait(map);
    if (UNLIKELY(!map->lock.try_acquire(&state))) return push_contended(map, value, flags);
    Guard<QueueMap::Lock, Adopt> guard(map->lock, state);
    return push_locked<kSize>(map, value, flags);
}

template <Order kOrder, bool kTake>
NOINLINE s64 get_contended(QueueMap* map, void* value) {
    QueueMap::Lock::State state;
    if (UNLIKELY(!map->lock.acquire_in_any_context(&state))) {
        __builtin_memset(value, 0, map->value_size);
        return -to_int(Errno::Busy);
    }
    Guard<QueueMap::Lock, Adopt> guard(map->lock, state);
    return get_locked<kOrder, kTake, 0>(map, value);
}

template <Order kOrder, bool kTake, u32 kSize>
s64 get(Map* generic, void* value) {
    auto* map = static_cast<QueueMap*>(generic);
    QueueMap::Lock::State state;
    note_wait(map);
    if (UNLIKELY(!map->lock.try_acquire(&state))) return get_contended<kOrder, kTake>(map, value);
    Guard<QueueMap::Lock, Adopt> guard(map->lock, state);
    return get_locked<kOrder, kTake, kSize>(map, value);
}

// ── bpf(2) ────────────────────────────────────────────────────────────────────────────────────

s64 push_from_user(Map* map, const void*, const void* value, u64 flags) {
    host::Cpu::Pin pin;
    host::RcuReadGuard rcu;
    return push<0>(map, value, flags);
}

template <Order kOrder, bool kTake>
s64 get_for_user(Map* map, const void*, void* value, u64 flags) {
    if (flags) return -to_int(Errno::Inval);
    return get<kOrder, kTake, 0>(map, value);
}

template <Order kOrder, u32 kSize = 0>
constexpr MapOps kOps = {
    .check_attr = check_attr,
    .create = create,
    .free = free,
    .erase = [](Map*, const void*) -> s64 { return -to_int(Errno::Inval); },
    .push = push<kSize>,
    .pop = get<kOrder, true, kSize>,
    .peek = get<kOrder, false, kSize>,
    .next_key = [](Map*, const void*, void*) -> s64 { return -to_int(Errno::Inval); },
    .copy_value = get_for_user<kOrder, false>,
    .update_from_user = push_from_user,
    .lookup_and_erase = get_for_user<kOrder, true>,
    .meta_equal = map_meta_equal,
};

template <Order kOrder>
const MapOps* ops_of_size(u32 size) {
    return size == 8 ? &kOps<kOrder, 8> : size == 4 ? &kOps<kOrder, 4> : &kOps<kOrder>;
}

const MapOps* ops_for(const bpf_attr& attr) {
    return attr.map_type == BPF_MAP_TYPE_QUEUE ? ops_of_size<Order::Queue>(attr.value_size)
                                               : ops_of_size<Order::Stack>(attr.value_size);
}

}  // namespace

constinit const MapOps kQueueMapOps = kOps<Order::Queue>;
constinit const MapOps kStackMapOps = kOps<Order::Stack>;

}  // namespace barebpf
