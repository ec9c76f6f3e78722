// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of hashtab: all elements, one after the other (next_key, for_each) or bucket by bucket.
//
// An element stays in its slot, or in its chain, until it is deleted; what replaces it takes its
// place. Slots are walked by number and chains, which are sorted, by order: so a walk needs no mark
// on any element, meets each that is there from its beginning to its end, and meets it once.
#pragma once

#include "kernel/bpf/hashtab_update.h"

namespace barebpf::hashtab {

// ── Keys, for bpf(2) ──────────────────────────────────────────────────────────────────────────

template <class Storage>
bool first_in_bucket(const HashMap* map, HashBucket* bucket, void* key) REQUIRES(bucket->lock) {
    const u64 used = used_slots(bucket->tags.load(Order::Relaxed));
    const u32 index = used ? bucket->slots[first_byte(used)].load(Order::Relaxed)
                           : bucket->overflow.load(Order::Relaxed);
    if (index == 0) return false;
    load_key(map, key, Storage::at(map, index));
    return true;
}

template <class Storage>
s64 first_key_from(HashMap* map, u64 number, void* key) {
    for (; number <= map->bucket_mask; ++number) {
        HashBucket* bucket = &map->buckets[number];
        if (bucket->tags.load(Order::Relaxed) == 0 && bucket->overflow.load(Order::Relaxed) == 0) {
            continue;
        }
        host::Guard<HashBucket::Lock, host::IrqSave> guard(bucket->lock);
        if (first_in_bucket<Storage>(map, bucket, key)) return 0;
    }
    return -to_int(Errno::NoEnt);
}

// What comes after a place in its bucket; 0 when nothing does.
template <class Storage>
u32 successor(const HashMap* map, HashBucket* bucket, const Place& place) REQUIRES(bucket->lock) {
    if (place.slot == HashBucket::kSlots) {
        return link_of(Storage::at(map, place.index)).load(Order::Relaxed);
    }
    const u64 used = used_slots(bucket->tags.load(Order::Relaxed));
    const u64 after = place.slot == HashBucket::kSlots - 1 ? 0 : ~u64{0} << (place.slot + 1) * 8;
    if (used & after) return bucket->slots[first_byte(used & after)].load(Order::Relaxed);
    return bucket->overflow.load(Order::Relaxed);
}

// MapOps::next_key. Elements stay in their place until they are deleted or replaced, so a walk
// meets every key that is there from its beginning to its end, whatever else comes and goes. A key
// that has gone starts the walk again, as on Linux.
template <class Storage>
s64 next_key(Map* generic, const void* key, void* next) {
    auto* map = static_cast<HashMap*>(generic);
    if (!key) return first_key_from<Storage>(map, 0, next);
    const Hashed where = hash_to_bucket<kAnyKey>(map, key);
    u64 from = 0;
    {
        host::Guard<HashBucket::Lock, host::IrqSave> guard(where.bucket->lock);
        const Place place = find_locked<kAnyKey, Storage>(map, where.bucket, where.tag, key);
        if (place.name) {
            const u32 index = successor<Storage>(map, where.bucket, place);
            if (index) {
                load_key(map, next, Storage::at(map, index));
                return 0;
            }
            from = static_cast<u64>(where.bucket - map->buckets) + 1;
        }
    }
    return first_key_from<Storage>(map, from, next);
}

// ── Programs ──────────────────────────────────────────────────────────────────────────────────

// How far a walk has come in a bucket.
struct Cursor {
    u32 slot = 0;       // the next one; kSlots: in the chain
    bool first = true;  // no element of the chain was met yet
    u64 order = 0;      // of the last one
};

// The next element of a bucket, by the reader's protocol or with the bucket locked. Hit: *found is
// set and the cursor moved on; Miss: no more.
template <class Storage>
Pass step(const HashMap* map, const HashBucket* bucket, Cursor* cursor, Found* found) {
    const u32 version = bucket->version.load(Order::Acquire);  // pairs with bump_version
    const auto undisturbed = [&] {
        host::fence(Order::Acquire);  // pairs with the fence in fill()
        return bucket->version.load(Order::Relaxed) == version;
    };
    const u64 tags = bucket->tags.load(Order::Acquire);  // pairs with link_new
    if (cursor->slot < HashBucket::kSlots) {
        const u64 used = used_slots(tags) & ~u64{0} << cursor->slot * 8;
        if (used) {
            const u32 slot = first_byte(used);
            const u32 index = bucket->slots[slot].load(Order::Acquire);  // pairs with replace
            if (!undisturbed()) return Pass::Disturbed;
            *found = {Storage::at(map, index), index};
            cursor->slot = slot + 1;
            return Pass::Hit;
        }
        cursor->slot = HashBucket::kSlots;
    }
    u32 index = bucket->overflow.load(Order::Acquire);  // pairs with link_into_chain, replace
    while (index) {
        u8* element = Storage::at(map, index);
        const u64 order = chain_order(map, element);
        const u32 next = link_of(element).load(Order::Acquire);  // pairs with replace, unlink
        if (!undisturbed()) return Pass::Disturbed;
        if (cursor->first || order > cursor->order) {
            *found = {element, index};
            cursor->first = false;
            cursor->order = order;
            return Pass::Hit;
        }
        index = next;
    }
    return undisturbed() ? Pass::Miss : Pass::Disturbed;
}

template <class Storage>
bool next_in_bucket(const HashMap* map, HashBucket* bucket, Cursor* cursor, Found* found) {
    for (u32 retry = 0; retry < kMaxRetries; ++retry) {
        const Pass pass = step<Storage>(map, bucket, cursor, found);
        if (pass != Pass::Disturbed) return pass == Pass::Hit;
        host::spin_hint();
    }
    // As in look_again().
    host::IrqState irq;
    if (!bucket->lock.acquire_in_any_context(&irq)) return false;
    host::Guard<HashBucket::Lock, host::Adopt> guard(bucket->lock, irq);
    return step<Storage>(map, bucket, cursor, found) == Pass::Hit;
}

// MapOps::for_each. Nothing is locked while the visitor looks: it may update and delete what it
// likes. What it sees is what a look-up would have given it.
template <class Storage, class Value>
s64 for_each(Map* generic, ElementVisitor* visitor) {
    auto* map = static_cast<HashMap*>(generic);
    s64 shown = 0;
    for (u64 number = 0; number <= map->bucket_mask; ++number) {
        HashBucket* bucket = &map->buckets[number];
        Cursor cursor;
        Found found{};
        while (next_in_bucket<Storage>(map, bucket, &cursor, &found)) {
            ++shown;
            const u8* key = found.element + key_offset(map->key_size);
            void* value = Value::template see<kAnyKey, Storage>(map, found);
            if (!visitor->visit(visitor, key, value)) return shown;
        }
    }
    return shown;
}

// ── Batches ───────────────────────────────────────────────────────────────────────────────────

template <class Storage>
u32 count_elements(const HashMap* map, const HashBucket* bucket) {
    u32 count = 0;
    each_slot(bucket, [&](u32) { ++count; });
    for (u32 index = bucket->overflow.load(Order::Relaxed); index; ++count) {
        index = link_of(Storage::at(map, index)).load(Order::Relaxed);
    }
    return count;
}

template <class Storage, class Value>
void copy_out(const HashMap* map, u32 index, u64 flags, u32 number, CollectedBucket* out) {
    const Found found{Storage::at(map, index), index};
    load_key(map, out->keys + size_t{number} * map->key_size, found.element);
    u8* value = out->values + size_t{number} * value_size_for_user(map);
    Value::template load<kAnyKey, Storage>(map, value, found, flags);
}

// MapOps::collect_bucket.
template <class Storage, class Value>
s64 collect_bucket(Map* generic, u32 number, bool erase, u64 flags, CollectedBucket* out) {
    auto* map = static_cast<HashMap*>(generic);
    out->count = 0;
    if (number > map->bucket_mask) return -to_int(Errno::NoEnt);
    HashBucket* bucket = &map->buckets[number];
    // Without the lock where there is nothing: most of what a walk over a sparse map meets.
    if (bucket->tags.load(Order::Relaxed) == 0 && bucket->overflow.load(Order::Relaxed) == 0) {
        return 0;
    }
    Gone<Storage, Value> gone(map);
    host::IrqState irq;
    if (!bucket->lock.acquire_in_any_context(&irq)) return -to_int(Errno::Busy);
    host::Guard<HashBucket::Lock, host::Adopt> guard(bucket->lock, irq);
    const u32 count = count_elements<Storage>(map, bucket);
    out->count = count;
    if (count > out->capacity) return 0;
    u32 done = 0;
    each_slot(bucket, [&](u32 index) { copy_out<Storage, Value>(map, index, flags, done++, out); });
    const u32 chain = bucket->overflow.load(Order::Relaxed);
    for (u32 index = chain; index;) {
        copy_out<Storage, Value>(map, index, flags, done++, out);
        index = link_of(Storage::at(map, index)).load(Order::Relaxed);
    }
    if (!erase) return 0;
    u32 slots[HashBucket::kSlots];
    u32 in_slots = 0;
    each_slot(bucket, [&](u32 index) { slots[in_slots++] = index; });
    // Release, both: pairs with the acquire of readers, as in unlink().
    bucket->tags.store(0, Order::Release);
    bucket->overflow.store(0, Order::Release);
    bump_version(bucket);
    for (u32 i = 0; i < in_slots; ++i) gone.add(slots[i]);
    for (u32 index = chain; index;) {
        const u32 next = link_of(Storage::at(map, index)).load(Order::Relaxed);
        gone.add(index);
        index = next;
    }
    return 0;
}

}  // namespace barebpf::hashtab
