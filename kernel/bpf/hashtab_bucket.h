// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of hashtab: keys, elements and where in a bucket one is. What programs call is specialised by
// key size (4, 8, 16, or 0 for every other); the rest takes kAnyKey and looks at the size each time.
// Storage says where elements come from (hashtab_storage.h).
#pragma once

#include "kernel/bpf/hashtab.h"
#include "kernel/bpf/hashtab_storage.h"
#include "kernel/bpf/map_value.h"
#include "kernel/lib/bits.h"
#include "kernel/lib/hash.h"

namespace barebpf::hashtab {

using host::Order;

// ── Keys ──────────────────────────────────────────────────────────────────────────────────────

inline constexpr u32 kAnyKey = ~0u;

constexpr u32 key_offset(u32 key_size) {
    return key_size == 4 ? 4 : 8;
}
constexpr u64 value_offset(u64 key_size) {
    return key_size == 4 ? 8 : 8 + align_up(key_size, 8);
}
// The most common size of values, as a counter or a pointer has it, and how far apart elements with them are.
constexpr bool has_usual_value(u32 value_size) {
    return align_up(value_size, 8) == 8;
}
constexpr u64 usual_stride(u64 key_size) {
    return value_offset(key_size) + 8;
}
template <u32 kKey>
ALWAYS_INLINE u32 value_offset_of(const HashMap* map) {
    if constexpr (kKey != 0 && kKey != kAnyKey) return static_cast<u32>(value_offset(kKey));
    return map->value_offset;
}

// The last `size` (1..7) bytes of a key as the zero-padded word that elements hold.
ALWAYS_INLINE u64 load_key_tail(const u8* at, u32 size) {
    u64 word = 0;
    for (u32 i = 0; i < size; ++i) word |= u64{at[i]} << (i * 8);
    return word;
}

template <u32 kKey>
ALWAYS_INLINE bool key_equals(const HashMap* map, const u8* element, const void* key) {
    const u8* wanted = static_cast<const u8*>(key);
    if constexpr (kKey == kAnyKey) {
        return map->key_size == 4 ? key_equals<4>(map, element, key)
                                  : key_equals<0>(map, element, key);
    } else if constexpr (kKey == 4) {
        return host::atomic_at<u32>(element + 4).load(Order::Relaxed) ==
               detail::load_unaligned<u32>(wanted);
    } else {
        const u32 size = kKey ? kKey : map->key_size;
        const u8* have = element + 8;
        u32 left = size;
        for (; left >= 8; left -= 8, have += 8, wanted += 8) {
            if (host::atomic_at<u64>(have).load(Order::Relaxed) !=
                detail::load_unaligned<u64>(wanted)) {
                return false;
            }
        }
        return left == 0 ||
               host::atomic_at<u64>(have).load(Order::Relaxed) == load_key_tail(wanted, left);
    }
}

template <u32 kKey>
ALWAYS_INLINE void store_key(const HashMap* map, u8* element, const void* key) {
    const u8* from = static_cast<const u8*>(key);
    if constexpr (kKey == kAnyKey) {
        map->key_size == 4 ? store_key<4>(map, element, key) : store_key<0>(map, element, key);
    } else if constexpr (kKey == 4) {
        host::atomic_at<u32>(element + 4).store(detail::load_unaligned<u32>(from), Order::Relaxed);
    } else {
        u8* to = element + 8;
        u32 left = kKey ? kKey : map->key_size;
        for (; left >= 8; left -= 8, to += 8, from += 8) {
            host::atomic_at<u64>(to).store(detail::load_unaligned<u64>(from), Order::Relaxed);
        }
        if (left) host::atomic_at<u64>(to).store(load_key_tail(from, left), Order::Relaxed);
    }
}

ALWAYS_INLINE void load_key(const HashMap* map, void* to, const u8* element) {
    if (map->key_size == 4) {
        const u32 key = host::atomic_at<u32>(element + 4).load(Order::Relaxed);
        __builtin_memcpy(to, &key, 4);
    } else {
        load_bytes(to, element + 8, map->key_size);
    }
}

// ── Buckets ───────────────────────────────────────────────────────────────────────────────────

// A tag in use is 1 to 127, an empty slot's is 0.
inline constexpr u64 kTopBits = repeat_byte(0x80);
inline constexpr u64 kTagBits = 0x7f;
// Where in a hash the tag begins, and the bucket's offset in units of 1.
inline constexpr u32 kTagShift = 57;
inline constexpr u32 kOffsetShift = 26;

struct Hashed {
    HashBucket* bucket;
    u64 tag;
};

// An element by both of its names; element is null where nothing was found.
struct Found {
    u8* element;
    u32 index;
};

// 0x80 in the byte of each slot whose tag equals this one, which is not 0 (that would be the empty ones): where it does, all
// seven bits of it and of what the bits of the hash were differ, and one more carries; no byte has more than that.
ALWAYS_INLINE u64 slots_with_tag(const HashMap* map, u64 tags, u64 tag) {
    const HashOperands& operands = map->operands;
    const u64 wanted = tag ^ kTagBits;
    return ((tags ^ wanted * operands.each_byte) + operands.each_byte) & operands.top_bits;
}
// The same for those that are empty, and for all others.
ALWAYS_INLINE u64 empty_slots(u64 tags) {
    return (kTopBits - tags) & kTopBits;
}
ALWAYS_INLINE u64 used_slots(u64 tags) {
    return empty_slots(tags) ^ kTopBits;
}

// The first slot of such a result, whose lowest bit is 8 i + 7: at 4 i.
ALWAYS_INLINE u32 load_first_slot(const HashBucket* bucket, u64 matches) {
    const u8* slots = reinterpret_cast<const u8*>(bucket->slots);
    const u8* slot = slots + (lowest_bit(matches) >> 1) - 3;
    return host::atomic_at<u32>(slot).load(Order::Acquire);
}

// Its upper half counts.
template <u32 kKey>
ALWAYS_INLINE u64 hash_of(const HashMap* map, const void* key) {
    if constexpr (kKey != kAnyKey) {
        return upper_hash_key<kKey>(key, map->key_size, map->seed, map->operands.upper_factor);
    }
    switch (map->key_size) {
        case 4:
            return upper_hash_key<4>(key, 4, map->seed);
        case 8:
            return upper_hash_key<8>(key, 8, map->seed);
        case 16:
            return upper_hash_key<16>(key, 16, map->seed);
        default:
            return hash_key<0>(key, map->key_size, map->seed);
    }
}

template <u32 kKey>
ALWAYS_INLINE Hashed hash_to_bucket(const HashMap* map, const void* key) {
    const u64 hash = hash_of<kKey>(map, key);
    u64 bits =
        opaque(hash >> kTagShift);  // compared, not tested: an instruction and a register less
    if (bits >= kTagBits) --bits;
    const u64 offset = hash >> kOffsetShift & map->bucket_offset_mask;
    auto* bucket = reinterpret_cast<HashBucket*>(reinterpret_cast<u8*>(map->buckets) + offset);
    return {bucket, bits ^ kTagBits};
}

// use(index) for every element in a slot.
template <class Use>
ALWAYS_INLINE void each_slot(const HashBucket* bucket, Use use) {
    const u64 tags = bucket->tags.load(Order::Relaxed);
    for (u64 used = used_slots(tags); used; used = without_first_byte(used)) {
        use(bucket->slots[first_byte(used)].load(Order::Relaxed));
    }
}

// A place that names an element: a slot of the bucket, or a link of its overflow chain.
struct Place {
    host::Atomic<u32>* name = nullptr;  // null: not found
    u32 index = 0;
    u32 slot = HashBucket::kSlots;  // kSlots: in the chain
};

// Where the key is. The bucket is locked.
template <u32 kKey, class Storage>
ALWAYS_INLINE Place find_locked(const HashMap* map, HashBucket* bucket, u64 tag, const void* key)
    REQUIRES(bucket->lock) {
    const u64 tags = bucket->tags.load(Order::Relaxed);
    for (u64 m = slots_with_tag(map, tags, tag); m; m = without_first_byte(m)) {
        const u32 slot = first_byte(m);
        const u32 index = bucket->slots[slot].load(Order::Relaxed);
        if (key_equals<kKey>(map, Storage::at(map, index), key)) {
            return {&bucket->slots[slot], index, slot};
        }
    }
    host::Atomic<u32>* name = &bucket->overflow;
    while (const u32 index = name->load(Order::Relaxed)) {
        u8* element = Storage::at(map, index);
        if (key_equals<kKey>(map, element, key)) return {name, index, HashBucket::kSlots};
        name = &link_of(element);
    }
    return {};
}

ALWAYS_INLINE void bump_version(HashBucket* bucket) REQUIRES(bucket->lock) {
    // Release: the place has changed before; pairs with the acquire of readers.
    bucket->version.store(bucket->version.load(Order::Relaxed) + 1, Order::Release);
}

// Chains are sorted by this, ascending, so that a walk finds its way on whatever came and went
// meanwhile. Two keys of the same order (one pair in 2^64) stand side by side.
inline u64 chain_order(const HashMap* map, const u8* element) {
    u64 order = map->seed.a;
    if (map->key_size == 4) {
        const u32 key = host::atomic_at<u32>(element + 4).load(Order::Relaxed);
        return detail::multiply_fold(order ^ key, map->seed.b);
    }
    for (u32 at = 0; at < map->key_size; at += 8) {
        const u64 word = host::atomic_at<u64>(element + 8 + at).load(Order::Relaxed);
        order = detail::multiply_fold(order ^ word, map->seed.b);
    }
    return order;
}

template <class Storage>
NOINLINE void link_into_chain(const HashMap* map, HashBucket* bucket, u32 index)
    REQUIRES(bucket->lock) {
    u8* element = Storage::at(map, index);
    const u64 order = chain_order(map, element);
    host::Atomic<u32>* name = &bucket->overflow;
    u32 next;
    while ((next = name->load(Order::Relaxed)) != 0) {
        u8* other = Storage::at(map, next);
        if (chain_order(map, other) > order) break;
        name = &link_of(other);
    }
    link_of(element).store(next, Order::Relaxed);
    name->store(index, Order::Release);  // pairs with the acquire of readers
}

// The element is complete; from here on readers find it.
template <class Storage>
ALWAYS_INLINE void link_new(const HashMap* map, HashBucket* bucket, u64 tag, u32 index)
    REQUIRES(bucket->lock) {
    const u64 tags = bucket->tags.load(Order::Relaxed);
    const u64 empty = empty_slots(tags);
    if (LIKELY(empty)) {
        const u32 slot = first_byte(empty);
        // Release, both: pairs with the acquire of readers.
        bucket->slots[slot].store(index, Order::Release);
        bucket->tags.store(with_byte(tags, slot, static_cast<u8>(tag)), Order::Release);
        return;
    }
    link_into_chain<Storage>(map, bucket, index);
}

// One element in the place of another with the same key.
template <class Storage>
ALWAYS_INLINE void replace(const HashMap* map, HashBucket* bucket, const Place& place, u32 index)
    REQUIRES(bucket->lock) {
    if (place.slot == HashBucket::kSlots) {
        const u32 next = link_of(Storage::at(map, place.index)).load(Order::Relaxed);
        link_of(Storage::at(map, index)).store(next, Order::Relaxed);
    }
    place.name->store(index, Order::Release);  // pairs with the acquire of readers
    bump_version(bucket);
}

template <class Storage>
ALWAYS_INLINE void unlink(const HashMap* map, HashBucket* bucket, const Place& place)
    REQUIRES(bucket->lock) {
    if (place.slot == HashBucket::kSlots) {
        const u32 next = link_of(Storage::at(map, place.index)).load(Order::Relaxed);
        place.name->store(next, Order::Release);  // pairs with the acquire of readers
    } else {
        const u64 tags = bucket->tags.load(Order::Relaxed);
        bucket->tags.store(with_byte(tags, place.slot, 0), Order::Release);
    }
    bump_version(bucket);
}

}  // namespace barebpf::hashtab
