// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of hashtab: updates and deletes, for both kinds of storage.
//
// A storage says where a fresh element comes from and where an old one goes:
//
//     prepare(map)            before the bucket is locked: what may allocate
//     take(map)               for a new key; 0 and an errno when there is none
//     give_back(map, index)   unlinked from its bucket: a delete
//     Exchange                for an existing key: fresh() once, then done(old) or nothing
#pragma once

#include "kernel/bpf/hashtab_bucket.h"
#include "kernel/bpf/hashtab_lookup.h"

namespace barebpf::hashtab {

struct Taken {
    u32 index;
    s64 error;  // when index is 0
};

template <class Storage>
struct Elements;

template <>
struct Elements<Preallocated> {
    static ALWAYS_INLINE void prepare(HashMap*) {}
    static ALWAYS_INLINE Taken take(HashMap* map) {
        return {map->free_elements.pop(Preallocated::links(map)), -to_int(Errno::TooBig)};
    }
    static ALWAYS_INLINE void give_back(HashMap* map, u32 index) {
        map->free_elements.push(index, Preallocated::links(map));
    }

    // The spare of this CPU and level goes in, the old element becomes the spare. Interrupts are
    // off, so only an NMI comes in between: it uses the next level and leaves ours alone.
    class Exchange {
    public:
        explicit Exchange(HashMap* map) : state_(map->cpus.this_cpu()) {
            depth_ = state_->depth.load(Order::Relaxed);
            if (UNLIKELY(depth_ >= HashMap::kLevels)) return;
            state_->depth.store(depth_ + 1, Order::Relaxed);
            interrupt_fence();
        }
        ~Exchange() {
            interrupt_fence();
            state_->depth.store(depth_, Order::Relaxed);
        }
        Exchange(const Exchange&) = delete;
        Exchange& operator=(const Exchange&) = delete;

        Taken fresh() const {
            if (UNLIKELY(depth_ >= HashMap::kLevels)) return {0, -to_int(Errno::Busy)};
            return {state_->spare[depth_].load(Order::Relaxed), 0};
        }
        void done(u32 old) { state_->spare[depth_].store(old, Order::Relaxed); }

    private:
        HashMap::CpuState* state_;
        u32 depth_;
    };
};

template <>
struct Elements<OnDemand> {
    static ALWAYS_INLINE void prepare(HashMap* map) { map->on_demand.prepare(); }
    static Taken take(HashMap* map) {
        if (map->live.fetch_add(1, Order::Relaxed) >= map->max_entries) {
            map->live.fetch_sub(1, Order::Relaxed);
            return {0, -to_int(Errno::TooBig)};
        }
        const u32 index = map->on_demand.alloc();
        if (!index) map->live.fetch_sub(1, Order::Relaxed);
        return {index, -to_int(Errno::NoMem)};
    }
    static void give_back(HashMap* map, u32 index) {
        map->live.fetch_sub(1, Order::Relaxed);
        map->on_demand.free_rcu(index);
    }

    class Exchange {
    public:
        explicit Exchange(HashMap* map) : map_(map) {}
        Taken fresh() const { return {map_->on_demand.alloc(), -to_int(Errno::NoMem)}; }
        void done(u32 old) { map_->on_demand.free_rcu(old); }

    private:
        HashMap* map_;
    };
};

// Key and value into an element that no reader should be at. One that still is (the element was
// recycled under it) must see that the version of its bucket has moved on, if it sees anything of
// what is written here: the fence pairs with the acquire fence in look().
template <u32 kKey>
ALWAYS_INLINE void fill(const HashMap* map, u8* element, const void* key, const void* value) {
    host::fence(Order::Release);
    store_key<kKey>(map, element, key);
    store_new_value(map, element + value_offset_of<kKey>(map), value);
}

// BPF_F_LOCK on an existing key: the value is written in its place, under its own lock.
template <u32 kKey, class Storage>
s64 store_in_place(HashMap* map, const Place& place, const void* value) {
    store_value_locked(map, Storage::at(map, place.index) + value_offset_of<kKey>(map), value);
    return 0;
}

// MapOps::update.
template <u32 kKey, class Storage>
s64 update(Map* generic, const void* key, const void* value, u64 flags) {
    auto* map = static_cast<HashMap*>(generic);
    const u64 exists_flag = flags & ~u64{BPF_F_LOCK};
    if (UNLIKELY(exists_flag > BPF_EXIST || !lock_flag_ok(map, flags))) {
        return -to_int(Errno::Inval);
    }
    const Hashed where = hash_to_bucket<kKey>(map, key);
    HashBucket* const bucket = where.bucket;
    Elements<Storage>::prepare(map);
    host::IrqState irq;
    if (UNLIKELY(!bucket->lock.acquire_in_any_context(&irq))) return -to_int(Errno::Busy);
    host::Guard<HashBucket::Lock, host::Adopt> guard(bucket->lock, irq);

    const Place place = find_locked<kKey, Storage>(map, bucket, where.tag, key);
    if (place.name) {
        if (exists_flag == BPF_NOEXIST) return -to_int(Errno::Exist);
        if (flags & BPF_F_LOCK) return store_in_place<kKey, Storage>(map, place, value);
        typename Elements<Storage>::Exchange exchange(map);
        const Taken taken = exchange.fresh();
        if (UNLIKELY(!taken.index)) return taken.error;
        fill<kKey>(map, Storage::at(map, taken.index), key, value);
        replace<Storage>(map, bucket, place, taken.index);
        exchange.done(place.index);
        return 0;
    }
    if (exists_flag == BPF_EXIST) return -to_int(Errno::NoEnt);
    const Taken taken = Elements<Storage>::take(map);
    if (UNLIKELY(!taken.index)) return taken.error;
    fill<kKey>(map, Storage::at(map, taken.index), key, value);
    link_new<Storage>(map, bucket, where.tag, taken.index);
    return 0;
}

// Deletes; with value not null, copies the value out first.
template <u32 kKey, class Storage>
ALWAYS_INLINE s64 remove(HashMap* map, const void* key, void* value, u64 flags) {
    const Hashed where = hash_to_bucket<kKey>(map, key);
    HashBucket* const bucket = where.bucket;
    host::IrqState irq;
    if (UNLIKELY(!bucket->lock.acquire_in_any_context(&irq))) return -to_int(Errno::Busy);
    host::Guard<HashBucket::Lock, host::Adopt> guard(bucket->lock, irq);
    const Place place = find_locked<kKey, Storage>(map, bucket, where.tag, key);
    if (!place.name) return -to_int(Errno::NoEnt);
    if (value) {
        const u8* from = Storage::at(map, place.index) + value_offset_of<kKey>(map);
        if (flags & BPF_F_LOCK) {
            load_value_locked(map, value, from);
        } else {
            load_value(map, value, from);
        }
    }
    unlink<Storage>(map, bucket, place);
    Elements<Storage>::give_back(map, place.index);
    return 0;
}

// MapOps::erase.
template <u32 kKey, class Storage>
s64 erase(Map* generic, const void* key) {
    return remove<kKey, Storage>(static_cast<HashMap*>(generic), key, nullptr, 0);
}

// MapOps::lookup_and_erase.
template <u32 kKey, class Storage>
s64 lookup_and_erase(Map* generic, const void* key, void* value, u64 flags) {
    return remove<kKey, Storage>(static_cast<HashMap*>(generic), key, value, flags);
}

}  // namespace barebpf::hashtab
