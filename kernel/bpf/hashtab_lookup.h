// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of hashtab: lookups without a lock (the protocol is in hashtab.h).
#pragma once

#include "kernel/bpf/hashtab_bucket.h"

namespace barebpf::hashtab {

// Passes over a bucket that other CPUs keep changing, before the lock is taken.
inline constexpr u32 kMaxRetries = 64;

enum class Pass { Hit, Miss, Disturbed };

// One pass. *element is set on a hit.
template <u32 kKey, class Storage>
ALWAYS_INLINE Pass look(const HashMap* map, const HashBucket* bucket, u8 tag, const void* key,
                        u8** element) {
    // Acquire pairs with the release in bump_version: what left before is not seen.
    const u32 version = bucket->version.load(Order::Acquire);
    const u64 tags = bucket->tags.load(Order::Acquire);  // pairs with link_new
    // The fence pairs with the one in fill(): a new key was seen, so is the changed version.
    const auto undisturbed = [&] {
        host::fence(Order::Acquire);
        return LIKELY(bucket->version.load(Order::Relaxed) == version);
    };
    for (u64 m = slots_with_tag(tags, tag); m; m = without_first_byte(m)) {
        const u32 index = bucket->slots[first_byte(m)].load(Order::Acquire);  // pairs with replace
        u8* candidate = Storage::at(map, index);
        if (LIKELY(key_equals<kKey>(map, candidate, key))) {
            *element = candidate;
            return undisturbed() ? Pass::Hit : Pass::Disturbed;
        }
    }
    u32 index = bucket->overflow.load(Order::Acquire);  // pairs with link_new, replace
    while (UNLIKELY(index != 0)) {
        u8* candidate = Storage::at(map, index);
        const bool equal = key_equals<kKey>(map, candidate, key);
        const u32 next = link_of(candidate).load(Order::Acquire);  // pairs with replace, unlink
        // Checked at each step: the link of a recycled element leads anywhere.
        if (!undisturbed()) return Pass::Disturbed;
        *element = candidate;
        if (equal) return Pass::Hit;
        index = next;
    }
    return undisturbed() ? Pass::Miss : Pass::Disturbed;
}

// The bucket changed under our eyes: again, and in the end with the lock held.
template <u32 kKey, class Storage>
NOINLINE u8* look_again(const HashMap* map, HashBucket* bucket, u8 tag, const void* key) {
    u8* element = nullptr;
    for (u32 retry = 0; retry < kMaxRetries; ++retry) {
        switch (look<kKey, Storage>(map, bucket, tag, key, &element)) {
            case Pass::Hit:
                return element;
            case Pass::Miss:
                return nullptr;
            case Pass::Disturbed:
                host::spin_hint();
        }
    }
    // This CPU does not hold the lock (then nobody could have disturbed us); only an NMI that gives
    // up waiting fails here.
    host::IrqState irq;
    if (!bucket->lock.acquire_in_any_context(&irq)) return nullptr;
    host::Guard<HashBucket::Lock, host::Adopt> guard(bucket->lock, irq);
    const Place place = find_locked<kKey, Storage>(map, bucket, tag, key);
    return place.name ? Storage::at(map, place.index) : nullptr;
}

template <u32 kKey, class Storage>
ALWAYS_INLINE u8* find(const HashMap* map, const void* key) {
    const Hashed where = hash_to_bucket<kKey>(map, key);
    u8* element = nullptr;
    const Pass pass = look<kKey, Storage>(map, where.bucket, where.tag, key, &element);
    if (LIKELY(pass == Pass::Hit)) return element;
    if (LIKELY(pass == Pass::Miss)) return nullptr;
    return look_again<kKey, Storage>(map, where.bucket, where.tag, key);
}

// MapOps::lookup: what programs call.
template <u32 kKey, class Storage>
void* lookup(Map* generic, const void* key) {
    const auto* map = static_cast<const HashMap*>(generic);
    u8* element = find<kKey, Storage>(map, key);
    return element ? element + value_offset_of<kKey>(map) : nullptr;
}

// MapOps::copy_value: for bpf(2). The copy is of one element, not of one and its successor: it
// counts only if the element was in its place before and after.
template <u32 kKey, class Storage>
s64 copy_value(Map* generic, const void* key, void* value, u64 flags) {
    auto* map = static_cast<HashMap*>(generic);
    const Hashed where = hash_to_bucket<kKey>(map, key);
    if (!(flags & BPF_F_LOCK)) {
        for (u32 retry = 0; retry < kMaxRetries; ++retry) {
            const u32 version = where.bucket->version.load(Order::Acquire);
            u8* element = nullptr;
            const Pass pass = look<kKey, Storage>(map, where.bucket, where.tag, key, &element);
            if (pass == Pass::Miss) return -to_int(Errno::NoEnt);
            if (pass == Pass::Disturbed) continue;
            load_value(map, value, element + value_offset_of<kKey>(map));
            host::fence(Order::Acquire);  // pairs with the fence in fill()
            if (where.bucket->version.load(Order::Relaxed) == version) return 0;
        }
    }
    host::IrqState irq;
    if (!where.bucket->lock.acquire_in_any_context(&irq)) return -to_int(Errno::Busy);
    host::Guard<HashBucket::Lock, host::Adopt> guard(where.bucket->lock, irq);
    const Place place = find_locked<kKey, Storage>(map, where.bucket, where.tag, key);
    if (!place.name) return -to_int(Errno::NoEnt);
    const u8* from = Storage::at(map, place.index) + value_offset_of<kKey>(map);
    if (flags & BPF_F_LOCK) {
        load_value_locked(map, value, from);
    } else {
        load_value(map, value, from);
    }
    return 0;
}

}  // namespace barebpf::hashtab
