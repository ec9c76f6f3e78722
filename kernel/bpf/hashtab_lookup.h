// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of hashtab: lookups without a lock (the protocol is in hashtab.h).
#pragma once

#include "kernel/bpf/hashtab_value.h"

namespace barebpf::hashtab {

// Passes over a bucket that other CPUs keep changing, before the lock is taken.
inline constexpr u32 kMaxRetries = 64;

enum class Pass { Hit, Miss, Disturbed };

// What was read since is of the bucket as it was with this version. The fence pairs with the one in fill(): a new key was
// seen, so is the changed version.
ALWAYS_INLINE bool is_undisturbed(const HashBucket* bucket, u32 version) {
    host::fence(Order::Acquire);
    return LIKELY(bucket->version.load(Order::Relaxed) == version);
}

// One pass. *found is set on a hit.
template <u32 kKey, class Storage>
ALWAYS_INLINE Pass look(const HashMap* map, const HashBucket* bucket, u64 tag, const void* key,
                        Found* found) {
    // Acquire pairs with the release in bump_version: what left before is not seen.
    const u32 version = bucket->version.load(Order::Acquire);
    const u64 tags = bucket->tags.load(Order::Acquire);  // pairs with link_new
    const auto undisturbed = [&] { return is_undisturbed(bucket, version); };
    for (u64 m = slots_with_tag(map, tags, tag); m; m = without_first_byte(m)) {
        const u32 index = bucket->slots[first_byte(m)].load(Order::Acquire);  // pairs with replace
        u8* candidate = Storage::at(map, index);
        if (LIKELY(key_equals<kKey>(map, candidate, key))) {
            *found = {candidate, index};
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
        *found = {candidate, index};
        if (equal) return Pass::Hit;
        index = next;
    }
    return undisturbed() ? Pass::Miss : Pass::Disturbed;
}

// The bucket changed under our eyes: again, and in the end with the lock held.
template <u32 kKey, class Storage>
NOINLINE Found look_again(const HashMap* map, HashBucket* bucket, u64 tag, const void* key) {
    Found found{};
    for (u32 retry = 0; retry < kMaxRetries; ++retry) {
        switch (look<kKey, Storage>(map, bucket, tag, key, &found)) {
            case Pass::Hit:
                return found;
            case Pass::Miss:
                return {};
            case Pass::Disturbed:
                host::spin_hint();
        }
    }
    // This CPU does not hold the lock (then nobody could have disturbed us); only an NMI that gives
    // up waiting fails here.
    host::IrqState irq;
    if (!bucket->lock.acquire_in_any_context(&irq)) return {};
    host::Guard<HashBucket::Lock, host::Adopt> guard(bucket->lock, irq);
    const Place place = find_locked<kKey, Storage>(map, bucket, tag, key);
    if (!place.name) return {};
    return {Storage::at(map, place.index), place.index};
}

template <u32 kKey, class Storage>
ALWAYS_INLINE Found find(const HashMap* map, const void* key) {
    const Hashed where = hash_to_bucket<kKey>(map, key);
    Found found{};
    const Pass pass = look<kKey, Storage>(map, where.bucket, where.tag, key, &found);
    if (LIKELY(pass == Pass::Hit)) return found;
    if (LIKELY(pass == Pass::Miss)) return {};
    return look_again<kKey, Storage>(map, where.bucket, where.tag, key);
}

template <u32 kKey, class Storage, class Value>
NOINLINE void* lookup_whole(Map* generic, const void* key) {
    const auto* map = static_cast<const HashMap*>(generic);
    const Found found = find<kKey, Storage>(map, key);
    if (!found.element) return nullptr;
    Storage::touch(map, found.index);
    return Value::template see<kKey, Storage>(map, found);
}

// The value of an element with a value of the most common size; a shift in place of a multiplication, and one address.
template <u32 kKey>
ALWAYS_INLINE u8* usual_value(const HashMap* map, u32 index) {
    return map->values + size_t{index} * usual_stride(kKey);
}

// MapOps::lookup: what programs call. Here is what most look-ups need, few enough instructions to keep all in registers:
// the first element with the tag is it, or none has the tag and nothing is chained. Else all of it again.
// kUsual: values of the most common size, elements in one array.
template <u32 kKey, class Storage, class Value, bool kUsual = false>
void* lookup(Map* generic, const void* key) {
    const auto* map = static_cast<const HashMap*>(generic);
    const Hashed where = hash_to_bucket<kKey>(map, key);
    const HashBucket* bucket = where.bucket;
    const u32 version = bucket->version.load(Order::Acquire);  // as in look()
    const u64 tags = bucket->tags.load(Order::Acquire);
    const u64 matching = slots_with_tag(map, tags, where.tag);
    if (matching) {
        const u32 index = load_first_slot(bucket, matching);
        u8* candidate =
            kUsual ? usual_value<kKey>(map, index) - value_offset(kKey) : Storage::at(map, index);
        if (LIKELY(key_equals<kKey>(map, candidate, key)) && is_undisturbed(bucket, version)) {
            Storage::touch(map, index);
            return Value::template see<kKey, Storage>(map, Found{candidate, index});
        }
    } else if (LIKELY(!bucket->overflow.load(Order::Acquire)) && is_undisturbed(bucket, version)) {
        return nullptr;
    }
    return lookup_whole<kKey, Storage, Value>(generic, key);
}

// MapOps::lookup_percpu.
template <class Storage>
void* lookup_percpu(Map* generic, const void* key, u32 cpu) {
    const auto* map = static_cast<const HashMap*>(generic);
    if (cpu >= host::possible_cpus()) return nullptr;
    const Found found = find<kAnyKey, Storage>(map, key);
    if (!found.element) return nullptr;
    Storage::touch(map, found.index);
    return Storage::cpu_value(map, found.index, cpu);
}

// use(found) on the key's element, which was in its place before and after (so what use() copied is
// of one element, not of one and its successor), or with the bucket locked. use() may be repeated.
// -ENOENT; -EBUSY only in an NMI.
template <u32 kKey, class Storage, class Use>
ALWAYS_INLINE s64 use_in_place(HashMap* map, const void* key, u32 tries, Use use) {
    const Hashed where = hash_to_bucket<kKey>(map, key);
    for (u32 retry = 0; retry < tries; ++retry) {
        const u32 version = where.bucket->version.load(Order::Acquire);
        Found found{};
        const Pass pass = look<kKey, Storage>(map, where.bucket, where.tag, key, &found);
        if (pass == Pass::Miss) return -to_int(Errno::NoEnt);
        if (pass == Pass::Disturbed) continue;
        use(found);
        host::fence(Order::Acquire);  // pairs with the fence in fill()
        if (where.bucket->version.load(Order::Relaxed) == version) return 0;
    }
    host::IrqState irq;
    if (!where.bucket->lock.acquire_in_any_context(&irq)) return -to_int(Errno::Busy);
    host::Guard<HashBucket::Lock, host::Adopt> guard(where.bucket->lock, irq);
    const Place place = find_locked<kKey, Storage>(map, where.bucket, where.tag, key);
    if (!place.name) return -to_int(Errno::NoEnt);
    use(Found{Storage::at(map, place.index), place.index});
    return 0;
}

// MapOps::copy_value: for bpf(2). A value with a lock is read under both; one that holds a reference
// with the bucket locked, lest it be dropped meanwhile.
template <class Storage, class Value>
s64 copy_value(Map* generic, const void* key, void* value, u64 flags) {
    auto* map = static_cast<HashMap*>(generic);
    const u32 tries = Value::kDisposes || flags & BPF_F_LOCK ? 0 : kMaxRetries;
    return use_in_place<kAnyKey, Storage>(map, key, tries, [&](Found found) {
        Value::template load<kAnyKey, Storage>(map, value, found, flags);
    });
}

}  // namespace barebpf::hashtab
