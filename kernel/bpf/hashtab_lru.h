// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of hashtab: LRU maps. Elements are preallocated; which of them a full map gives up is
// bpf_lru_list's business:
//
//     bucket slot ──> element e  <── node_of ── node n in one of the lists
//                      [ link | key | value ]     element: e, place: bucket and tag of e's key
//
// An update of a key that is there is that of a preallocated map: this CPU's spare takes the place of
// the element, and its node (per-CPU values are written in place). A new key takes a node, and with it
// an element, before its bucket is locked; the look-up that decides takes no lock and is repeated under
// the lock.
//
// Locking: lru_local -> lru_list -> hash_bucket (bpf_lru_list.h). No list is asked for anything while
// a bucket is locked. A pair of node and element that is in the table changes only under its bucket's
// lock, so what the evictor finds there it may take out.
//
// Errors: ENOMEM when nothing can be evicted: every element is between the lists and the table at this
// moment, or, in an NMI, behind locks of what was interrupted.
#pragma once

#include <arch/prefetch.h>

#include "kernel/bpf/bpf_lru_list.h"
#include "kernel/bpf/hashtab_update.h"
#include "kernel/bpf/hashtab_walk.h"

namespace barebpf::hashtab {

struct LruHashMap : HashMap {
    BpfLruList lru;
};

ALWAYS_INLINE LruHashMap* as_lru(HashMap* map) {
    return static_cast<LruHashMap*>(map);
}
ALWAYS_INLINE const LruHashMap* as_lru(const HashMap* map) {
    return static_cast<const LruHashMap*>(map);
}

struct Lru : Preallocated {
    static constexpr bool kGiveBackTakesLocks = true;

    static ALWAYS_INLINE void touch(const HashMap* map, u32 index) {
        as_lru(map)->lru.touch(index);
    }
    static ALWAYS_INLINE void give_back(HashMap* map, u32 index) EXCLUDES(&HashBucket::lock) {
        BpfLruList& lru = as_lru(map)->lru;
        lru.give_back(lru.node(index));
    }
};

// ── Eviction ──────────────────────────────────────────────────────────────────────────────────

// Bucket number and tag in one word; 0: none.
ALWAYS_INLINE u32 place_of(const HashMap* map, const Hashed& where) {
    return static_cast<u32>(where.bucket - map->buckets) << 7 | static_cast<u32>(where.tag);
}
ALWAYS_INLINE Hashed hashed_of(const HashMap* map, u32 place) {
    return {&map->buckets[place >> 7 & map->bucket_mask], place & 0x7f};
}

// Which place names the element. The bucket is locked.
ALWAYS_INLINE Place find_element(const HashMap* map, HashBucket* bucket, u64 tag, u32 index)
    REQUIRES(bucket->lock) {
    const u64 tags = bucket->tags.load(Order::Relaxed);
    for (u64 m = slots_with_tag(map, tags, tag); m; m = without_first_byte(m)) {
        const u32 slot = first_byte(m);
        if (bucket->slots[slot].load(Order::Relaxed) == index) {
            return {&bucket->slots[slot], index, slot};
        }
    }
    host::Atomic<u32>* name = &bucket->overflow;
    while (const u32 other = name->load(Order::Relaxed)) {
        if (other == index) return {name, index, HashBucket::kSlots};
        name = &link_of(Lru::at(map, other));
    }
    return {};
}

// The table, as the lists see it.
class Evictor {
public:
    explicit Evictor(LruHashMap* map) : map_(map) {}

    bool evict(u32 node) const EXCLUDES(&HashBucket::lock) {
        const Hashed where = hashed_of(map_, map_->lru.place(node));
        // Nobody has put it anywhere since it was made or, behind a lock, given back (its place was the link then):
        // not to be looked for, as tag 0 is that of empty slots, in which its element's number may still stand.
        if (UNLIKELY(!where.tag)) return false;
        HashBucket* const bucket = where.bucket;
        host::IrqState irq;
        if (UNLIKELY(!bucket->lock.try_acquire(&irq))) return false;
        host::Guard<HashBucket::Lock, host::Adopt> guard(bucket->lock, irq);
        const u32 index = map_->lru.element(node);
        const Place place = find_element(map_, bucket, where.tag, index);
        // An element of an earlier pair may be in the same bucket again, with another node.
        if (UNLIKELY(!place.name || map_->lru.node(index) != node)) return false;
        unlink<Lru>(map_, bucket, place);
        return true;
    }
    ALWAYS_INLINE void prefetch(u32 node) const {
        const BpfLruList& lru = map_->lru;
        arch::prefetch_to_write(hashed_of(map_, lru.place(node)).bucket);
        arch::prefetch_to_write(Lru::at(map_, lru.element(node)));
    }

private:
    LruHashMap* map_;
};

// ── Updates ───────────────────────────────────────────────────────────────────────────────────

// One update under way. Where the node is not used up, it goes back when the bucket is unlocked.
class LruUpdate {
public:
    static constexpr s64 kGone = 1;  // the key was there, and was not when its bucket was locked

    LruUpdate(LruHashMap* map, Hashed where, u64 flags) : map_(map), where_(where), flags_(flags) {}
    ~LruUpdate() EXCLUDES(&HashBucket::lock) {
        if (UNLIKELY(node_)) map_->lru.give_back(node_);
    }
    LruUpdate(const LruUpdate&) = delete;
    LruUpdate& operator=(const LruUpdate&) = delete;

    bool take_node() EXCLUDES(&HashBucket::lock) {
        node_ = map_->lru.take(Evictor(map_));
        return node_ != BpfLruList::kNone;
    }

    // 0, -errno or kGone.
    template <u32 kKey, class Value>
    ALWAYS_INLINE s64 store(const void* key, const void* value) EXCLUDES(&HashBucket::lock) {
        host::IrqState irq;
        if (UNLIKELY(!where_.bucket->lock.acquire_in_any_context(&irq)))
            return -to_int(Errno::Busy);
        host::Guard<HashBucket::Lock, host::Adopt> guard(where_.bucket->lock, irq);
        const Place place = find_locked<kKey, Lru>(map_, where_.bucket, where_.tag, key);
        if (place.name) {
            if (flags_ == BPF_NOEXIST) return -to_int(Errno::Exist);
            return exchange<kKey, Value>(where_.bucket, place, key, value);
        }
        if (flags_ == BPF_EXIST) return -to_int(Errno::NoEnt);
        if (UNLIKELY(!node_)) return kGone;
        const u32 index = map_->lru.element(node_);
        fill<kKey, Lru, Value>(map_, index, key, value);
        map_->lru.untouch(index);
        map_->lru.set_place(node_, place_of(map_, where_));
        link_new<Lru>(map_, where_.bucket, where_.tag, index);
        node_ = BpfLruList::kNone;
        return 0;
    }

private:
    template <u32 kKey, class Value>
    ALWAYS_INLINE s64 exchange(HashBucket* bucket, const Place& place, const void* key,
                               const void* value) REQUIRES(bucket->lock) {
        if constexpr (Value::kInPlace) {
            typename Value::Leftover leftover;
            Value::template store<kKey, Lru>(map_, Found{Lru::at(map_, place.index), place.index},
                                             value, &leftover);
            map_->lru.touch(place.index);
        } else {
            Preallocated::Session session(map_, Expect::Replacement);
            const Taken spare = session.replacement();
            if (UNLIKELY(!spare.index)) return spare.error;
            fill<kKey, Lru, Value>(map_, spare.index, key, value);
            map_->lru.hand_over(place.index, spare.index);
            replace<Lru>(map_, bucket, place, spare.index);
            session.replaced(place.index);
        }
        return 0;
    }

    LruHashMap* map_;
    Hashed where_;
    u64 flags_;
    u32 node_ = BpfLruList::kNone;
};

// MapOps::update.
template <u32 kKey, class Value>
s64 update_lru(Map* generic, const void* key, const void* value, u64 flags) {
    auto* map = static_cast<LruHashMap*>(generic);
    if (UNLIKELY(flags > BPF_EXIST)) return -to_int(Errno::Inval);
    const Hashed where = hash_to_bucket<kKey>(map, key);
    arch::prefetch_to_write(where.bucket);
    fetch_ahead<Lru>(map, where.bucket, where.tag);
    LruUpdate update(map, where, flags);
    Found found{};
    if (look<kKey, Lru>(map, where.bucket, where.tag, key, &found) == Pass::Miss) {
        if (UNLIKELY(flags == BPF_EXIST)) return -to_int(Errno::NoEnt);
        if (UNLIKELY(!update.take_node())) return -to_int(Errno::NoMem);
    }
    const s64 result = update.template store<kKey, Value>(key, value);
    if (LIKELY(result != LruUpdate::kGone)) return result;
    if (UNLIKELY(!update.take_node())) return -to_int(Errno::NoMem);
    return update.template store<kKey, Value>(key, value);
}

// The same for bpf(2), which calls from process context.
template <class Value>
s64 update_lru_from_user(Map* generic, const void* key, const void* value, u64 flags) {
    host::Cpu::Pin pin;
    host::RcuReadGuard rcu;
    return update_lru<kAnyKey, Value>(generic, key, value, flags);
}

}  // namespace barebpf::hashtab
