// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of hashtab: maps of maps (map_in_map.h has the rules). An element's value is one word, the
// inner map, counted:
//
//     element: [ link | key | Map* ] ──> inner map
//
// An update exchanges the word, so that a look-up finds the old map or the new one. Whoever takes a
// word out drops its reference behind the bucket's lock; a program that has found the map is in a read
// section, and map_put() waits for those.
#pragma once

#include "kernel/bpf/free_in_steps.h"
#include "kernel/bpf/hashtab_update.h"
#include "kernel/bpf/map_in_map.h"

namespace barebpf::hashtab {

struct InnerMaps {
    static constexpr bool kInPlace = true;
    static constexpr bool kDisposes = true;
    struct Leftover {
        Map* map = nullptr;
        ~Leftover() {
            if (map) map_put(map);
        }
    };

    template <u32 kKey>
    static ALWAYS_INLINE host::Atomic<Map*>& word(const HashMap* map, Found found) {
        return host::atomic_at<Map*>(found.element + value_offset_of<kKey>(map));
    }
    // `from` is a counted Map*, which is the element's from here on.
    template <u32 kKey, class Storage>
    static void store_new(const HashMap* map, Found found, const void* from) {
        word<kKey>(map, found).store(pointer(from), Order::Release);  // pairs with lookup_inner
    }
    template <u32 kKey, class Storage>
    static void store(const HashMap* map, Found found, const void* from, Leftover* leftover) {
        leftover->map = word<kKey>(map, found).exchange(pointer(from), Order::AcqRel);
    }
    // The id.
    template <u32 kKey, class Storage>
    static void load(const HashMap* map, void* to, Found found, u64) {
        const u32 id = map_in_map_id(word<kKey>(map, found).load(Order::Acquire));
        __builtin_memcpy(to, &id, sizeof id);
    }
    static void dispose(const HashMap* map, Found found) {
        map_put(word<kAnyKey>(map, found).load(Order::Relaxed));
    }

private:
    static Map* pointer(const void* from) {
        Map* map;
        __builtin_memcpy(&map, from, sizeof map);
        return map;
    }
};

// MapOps::lookup: the inner map of this very key, though its element may be recycled at any moment.
template <u32 kKey, class Storage>
void* lookup_inner(Map* generic, const void* key) {
    auto* map = static_cast<HashMap*>(generic);
    Map* inner = nullptr;
    const s64 error = use_in_place<kKey, Storage>(map, key, kMaxRetries, [&](Found found) {
        inner = InnerMaps::word<kKey>(map, found).load(Order::Acquire);  // pairs with store
    });
    return error ? nullptr : inner;
}

// MapOps::update_from_user: the value is a descriptor.
template <class Storage>
s64 update_inner(Map* outer, const void* key, const void* value, u64 flags) {
    s32 fd;
    __builtin_memcpy(&fd, value, sizeof fd);
    const Result<void*> inner = map_in_map_get(outer, fd);
    if (!inner) return -to_int(inner.error());
    Map* map = static_cast<Map*>(inner.value());
    const s64 result = update_from_user<Storage, InnerMaps>(outer, key, &map, flags);
    if (result) map_in_map_put(map);
    return result;
}

// Drops all references; the table is empty then. No reader is left.
template <class Storage>
void drop_inner_maps(HashMap* map) {
    FreeSteps steps;
    const auto drop = [&](u32 index) {
        InnerMaps::dispose(map, Found{Storage::at(map, index), index});
        steps.one_more();
    };
    for (u64 number = 0; number <= map->bucket_mask; ++number) {
        HashBucket* bucket = &map->buckets[number];
        each_slot(bucket, drop);
        for (u32 index = bucket->overflow.load(Order::Relaxed); index;) {
            const u32 next = link_of(Storage::at(map, index)).load(Order::Relaxed);
            drop(index);
            index = next;
        }
        bucket->tags.store(0, Order::Relaxed);
        bucket->overflow.store(0, Order::Relaxed);
    }
}

}  // namespace barebpf::hashtab
