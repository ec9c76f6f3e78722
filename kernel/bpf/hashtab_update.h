// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of hashtab: updates and deletes, for every storage and kind of value.
#pragma once

#include <arch/prefetch.h>

#include "kernel/bpf/hashtab_lookup.h"

namespace barebpf::hashtab {

// Starts the way to the element that the key is likely to have: behind the lock's exchange no load begins before it is
// done. What is read here is a hint.
template <class Storage>
ALWAYS_INLINE void fetch_ahead(const HashMap* map, const HashBucket* bucket, u64 tag) {
    const u64 matching = slots_with_tag(map, bucket->tags.load(Order::Relaxed), tag);
    if (!matching) return;
    const u32 index = load_first_slot(bucket, matching);
    arch::prefetch_to_write(Storage::at(map, index));
}

// Key and value into an element that no reader should be at. One that still is (the element was
// recycled under it) must see that the version of its bucket has moved on, if it sees anything of
// what is written here: the fence pairs with the acquire fence in look().
template <u32 kKey, class Storage, class Value>
ALWAYS_INLINE void fill(const HashMap* map, u32 index, const void* key, const void* value) {
    const Found fresh{Storage::at(map, index), index};
    host::fence(Order::Release);
    store_key<kKey>(map, fresh.element, key);
    Value::template store_new<kKey, Storage>(map, fresh, value);
}

// What an update with these flags will most likely need.
template <class Value>
ALWAYS_INLINE Expect expected_by(u64 flags) {
    if (flags == BPF_NOEXIST) return Expect::NewKey;
    return Value::kInPlace || flags & BPF_F_LOCK ? Expect::Nothing : Expect::Replacement;
}

// MapOps::update.
template <u32 kKey, class Storage, class Value>
s64 update(Map* generic, const void* key, const void* value, u64 flags) {
    auto* map = static_cast<HashMap*>(generic);
    const u64 exists_flag = flags & ~u64{BPF_F_LOCK};
    if (UNLIKELY(exists_flag > BPF_EXIST || !lock_flag_ok(map, flags))) {
        return -to_int(Errno::Inval);
    }
    const Hashed where = hash_to_bucket<kKey>(map, key);
    HashBucket* const bucket = where.bucket;
    // As its writer will have it, or two CPUs would fetch it twice.
    arch::prefetch_to_write(bucket);
    typename Storage::Session session(map, expected_by<Value>(flags));
    fetch_ahead<Storage>(map, bucket, where.tag);
    [[maybe_unused]] typename Value::Leftover leftover;
    host::IrqState irq;
    if (UNLIKELY(!bucket->lock.acquire_in_any_context(&irq))) return -to_int(Errno::Busy);
    host::Guard<HashBucket::Lock, host::Adopt> guard(bucket->lock, irq);

    const Place place = find_locked<kKey, Storage>(map, bucket, where.tag, key);
    if (place.name) {
        if (exists_flag == BPF_NOEXIST) return -to_int(Errno::Exist);
        if (Value::kInPlace || UNLIKELY(flags & BPF_F_LOCK)) {
            const Found found{Storage::at(map, place.index), place.index};
            Value::template store<kKey, Storage>(map, found, value, &leftover);
            return 0;
        }
        const Taken taken = session.replacement();
        if (UNLIKELY(!taken.index)) return taken.error;
        fill<kKey, Storage, Value>(map, taken.index, key, value);
        replace<Storage>(map, bucket, place, taken.index);
        session.replaced(place.index);
        return 0;
    }
    if (exists_flag == BPF_EXIST) return -to_int(Errno::NoEnt);
    const Taken taken = session.take();
    if (UNLIKELY(!taken.index)) return taken.error;
    fill<kKey, Storage, Value>(map, taken.index, key, value);
    link_new<Storage>(map, bucket, where.tag, taken.index);
    return 0;
}

// The same for bpf(2), which calls from process context, where the value is not a program's.
template <class Storage, class Value>
s64 update_from_user(Map* generic, const void* key, const void* value, u64 flags) {
    host::Cpu::Pin pin;
    host::RcuReadGuard rcu;
    return update<kAnyKey, Storage, Value>(generic, key, value, flags);
}

// Where elements go that leave their buckets: to their storage, at once if that can be done with a
// bucket locked (whoever sees that a key has gone then finds room for another), else when this
// object ends, behind the lock. They are strung by their links meanwhile; a reader that stands on
// one looks at the bucket's version before it follows.
template <class Storage, class Value>
class Gone {
public:
    ALWAYS_INLINE explicit Gone(HashMap* map) : map_(map) {}
    ALWAYS_INLINE ~Gone() EXCLUDES(&HashBucket::lock) {
        if constexpr (kLater) {
            while (const u32 index = first_) {
                u8* element = Storage::at(map_, index);
                first_ = link_of(element).load(Order::Relaxed);
                Value::dispose(map_, Found{element, index});
                Storage::give_back(map_, index);
            }
        }
    }
    Gone(const Gone&) = delete;
    Gone& operator=(const Gone&) = delete;

    // The version of its bucket has moved on.
    ALWAYS_INLINE void add(u32 index) REQUIRES(&HashBucket::lock) {
        if constexpr (kLater) {
            link_of(Storage::at(map_, index)).store(first_, Order::Relaxed);
            first_ = index;
        } else {
            Storage::give_back(map_, index);
        }
    }

private:
    static constexpr bool kLater = Storage::kGiveBackTakesLocks || Value::kDisposes;

    HashMap* map_;
    u32 first_ = 0;
};

// Deletes; with to not null, copies the value out first.
template <u32 kKey, class Storage, class Value>
ALWAYS_INLINE s64 remove(HashMap* map, const void* key, void* to, u64 flags) {
    const Hashed where = hash_to_bucket<kKey>(map, key);
    HashBucket* const bucket = where.bucket;
    arch::prefetch_to_write(bucket);
    fetch_ahead<Storage>(map, bucket, where.tag);
    Gone<Storage, Value> gone(map);
    host::IrqState irq;
    if (UNLIKELY(!bucket->lock.acquire_in_any_context(&irq))) return -to_int(Errno::Busy);
    host::Guard<HashBucket::Lock, host::Adopt> guard(bucket->lock, irq);
    const Place place = find_locked<kKey, Storage>(map, bucket, where.tag, key);
    if (!place.name) return -to_int(Errno::NoEnt);
    if (to) {
        const Found found{Storage::at(map, place.index), place.index};
        Value::template load<kKey, Storage>(map, to, found, flags);
    }
    unlink<Storage>(map, bucket, place);
    gone.add(place.index);
    return 0;
}

// MapOps::erase.
template <u32 kKey, class Storage, class Value>
s64 erase(Map* generic, const void* key) {
    return remove<kKey, Storage, Value>(static_cast<HashMap*>(generic), key, nullptr, 0);
}

// MapOps::lookup_and_erase.
template <class Storage, class Value>
s64 lookup_and_erase(Map* generic, const void* key, void* to, u64 flags) {
    return remove<kAnyKey, Storage, Value>(static_cast<HashMap*>(generic), key, to, flags);
}

}  // namespace barebpf::hashtab
