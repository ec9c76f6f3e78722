// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Scenarios for hashtab, preallocated and not (per-CPU values, maps of maps, batches, walks: hash_kinds_scenarios.h). All keys are of one bucket and have the same tag, so that they meet
// wherever they can.
#pragma once

#include "kernel/bpf/hashtab.h"
#include "kernel/bpf/hashtab_bucket.h"
#include "kernel/bpf/map_types.h"
#include "testkit/explore/explore.h"

namespace barebpf::explore {

using host::Order;

struct HashScenario : Scenario {
    static constexpr u32 kKeys = 12;
    HashMap* map = nullptr;
    const u32* keys = nullptr;

    // A value says whose it is: a word of each half.
    static u64 value_of(u32 key, u32 generation) { return u64{key} << 32 | generation; }
    static bool belongs(u64 value, u32 key) { return value >> 32 == key; }

    void make(u32 entries, u32 flags, u32 type = BPF_MAP_TYPE_HASH) {
        bpf_attr attr{};
        attr.map_type = type;
        attr.key_size = 4;
        attr.value_size = 16;
        attr.max_entries = entries;
        attr.map_flags = flags | BPF_F_ZERO_SEED;
        const MapOps* ops = map_ops(type);
        const Result<Map*> made = ops->create(attr);
        check(bool(made), "no map");
        map = static_cast<HashMap*>(made.value());
        map_init_from_attr(map, ops, attr);
        keys = colliding_keys();
        name(map, sizeof(HashMap), "map");
        name(map->buckets, sizeof(HashBucket) * (map->bucket_mask + 1), "buckets");
    }
    // The same in each execution: the seed is 0.
    const u32* colliding_keys() {
        static u32 found[kKeys];
        static u32 mask = ~0u;
        if (mask == map->bucket_mask) return found;
        mask = map->bucket_mask;
        found[0] = 1;
        const auto first = hashtab::hash_to_bucket<4>(map, &found[0]);
        u32 count = 1;
        for (u32 key = 2; count < kKeys; ++key) {
            const auto other = hashtab::hash_to_bucket<4>(map, &key);
            if (other.bucket == first.bucket && other.tag == first.tag) found[count++] = key;
        }
        return found;
    }

    u32 number_of(u32 key) const {
        u32 number = 0;
        while (number < kKeys && keys[number] != key) ++number;
        check(number < kKeys, "a key that nobody inserted");
        return number;
    }
    // A key of another bucket.
    u32 other_bucket() const {
        u32 key = 1;
        const HashBucket* bucket = hashtab::hash_to_bucket<4>(map, &keys[0]).bucket;
        while (hashtab::hash_to_bucket<4>(map, &key).bucket == bucket) ++key;
        return key;
    }

    s64 update(u32 key, u32 generation, u64 flags = BPF_ANY) {
        const u64 value[2] = {value_of(key, generation), value_of(key, generation)};
        return map->ops->update(map, &key, value, flags);
    }
    s64 erase(u32 key) { return map->ops->erase(map, &key); }
    bool found(u32 key) { return map->ops->lookup(map, &key) != nullptr; }
    // Through the pointer that programs get. It is right only if elements outlive read sections.
    void look_through_pointer(u32 key) {
        const void* value = map->ops->lookup(map, &key);
        if (!value) return;
        const u64 words[2] = {
            host::atomic_at<u64>(value).load(Order::Relaxed),
            host::atomic_at<u64>(static_cast<const u8*>(value) + 8).load(Order::Relaxed)};
        check(belongs(words[0], key), "a pointer to another key's value");
        check(words[0] == words[1], "a value changed under its reader");
    }
    // As bpf(2) looks up.
    bool copied(u32 key) {
        u64 words[2 * (kMaxCpus + 1)];
        if (map->ops->copy_value(map, &key, words, 0) != 0) return false;
        check_value(key, words);
        return true;
    }
    // A per-CPU value is written in place; where no program has written one, it is zero.
    void check_value(u32 key, const u64* words) const {
        const u32 count = value_size_for_user(map) / 8;
        for (u32 i = 0; i < count; ++i) {
            check(belongs(words[i], key) || (map->cpu_value_size && words[i] == 0),
                  "another key's value");
        }
        check(map->cpu_value_size || words[0] == words[1], "a torn value");
    }

    // How many elements a walk shows.
    u32 walk() {
        u32 count = 0;
        u32 key;
        for (s64 at = map->ops->next_key(map, nullptr, &key); at == 0; ++count) {
            check(copied(key), "a key of the walk is not found");
            const u32 before = key;
            at = map->ops->next_key(map, &before, &key);
            if (count > 64) break;
        }
        return count;
    }
    // What is in the map is what a walk shows; then everything goes, and as many as there may be find room.
    void end(u32 expected) {
        check(walk() == expected, "elements are lost, or there twice");
        for (u32 i = 0; i < kKeys; ++i) erase(keys[i]);
        host::rcu_barrier();
        for (u32 i = 0; i < map->max_entries; ++i) {
            check(update(1000 + i, 1, BPF_NOEXIST) == 0, "an element is lost");
        }
        check(update(5000, 1, BPF_NOEXIST) == -to_int(Errno::TooBig),
              "there is an element too many");
        map->ops->free(map);
        map = nullptr;
    }
};

// Key 0 stays, though it is updated; the others come and go. Whoever looks finds key 0, whatever is recycled meanwhile.
template <u32 kFlags>
struct HashChurn : HashScenario {
    static constexpr bool kOnDemand = kFlags & BPF_F_NO_PREALLOC;

    void setup() override {
        make(4, kFlags);
        check(update(keys[1], 1) == 0 && update(keys[0], 1) == 0, "no room");
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number == 0) {
            check(found(keys[0]), "a key that stays is not found");
            if (kOnDemand) look_through_pointer(keys[1]);
            check(copied(keys[0]), "a key that stays is not copied");
        } else if (number == 1) {
            check(update(keys[0], 2) == 0, "an update failed");
            check(update(keys[1], 2) == 0, "an update failed");
            check(erase(keys[1]) == 0, "a delete failed");
            check(update(keys[2], 2) == 0, "an insert failed");
        } else {
            check(update(keys[0], 3) == 0, "an update failed");
            check(update(keys[3], 3, BPF_NOEXIST) == 0, "an insert failed");
        }
    }
    void finish() override { end(engine_cpus > 2 ? 3 : 2); }
    u32 engine_cpus = host::possible_cpus() - 1;
};

// The map is full, and what is deleted in one bucket is used in the other as soon as it is free.
struct HashFull : HashScenario {
    static constexpr u32 kEntries = 5;
    u32 elsewhere = 0;
    void setup() override {
        make(kEntries, 0);
        elsewhere = other_bucket();
        for (u32 i = 0; i < kEntries; ++i) check(update(keys[i], 1) == 0, "no room");
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number == 0) {
            copied(keys[0]);
        } else if (number == 1) {
            check(erase(keys[0]) == 0, "a delete failed");
        } else {
            const s64 inserted = update(elsewhere, 2);
            check(inserted == 0 || inserted == -to_int(Errno::TooBig), "an insert failed");
        }
    }
    void finish() override {
        erase(elsewhere);
        end(kEntries - 1);
    }
};

// More keys than a bucket has slots: the rest are in its chain, where readers walk while elements go and come.
template <u32 kFlags>
struct HashChain : HashScenario {
    static constexpr u32 kBegin = 11;
    void setup() override {
        make(kKeys, kFlags);
        for (u32 i = 0; i < kBegin; ++i) check(update(keys[i], 1) == 0, "no room");
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number == 0) {
            // The last ones in the chain's order, one of which stays.
            check(found(keys[8]), "a key that stays is not found");
            check(copied(keys[10]), "a key that stays is not copied");
        } else {
            check(erase(keys[9]) == 0, "a delete failed");
            check(update(keys[8], 2) == 0, "an update failed");
            check(update(keys[11], 2) == 0, "an insert failed");
            check(update(keys[10], 2) == 0, "an update failed");
        }
    }
    void finish() override { end(kBegin); }
};

// Two CPUs insert, replace and delete the same key: each result fits some order of the operations.
template <u32 kFlags>
struct HashSameKey : HashScenario {
    host::Atomic<u32> inserted, erased;
    void setup() override { make(2, kFlags); }
    void cpu(u32) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        const s64 insert = update(keys[0], 1, BPF_NOEXIST);
        check(insert == 0 || insert == -to_int(Errno::Exist), "an insert failed");
        if (insert == 0) inserted.fetch_add(1, Order::Relaxed);
        const s64 replaced = update(keys[0], 2, BPF_EXIST);
        check(replaced == 0 || replaced == -to_int(Errno::NoEnt), "an update failed");
        const s64 gone = erase(keys[0]);
        check(gone == 0 || gone == -to_int(Errno::NoEnt), "a delete failed");
        if (gone == 0) erased.fetch_add(1, Order::Relaxed);
    }
    void finish() override {
        check(inserted.load(Order::Relaxed) == erased.load(Order::Relaxed),
              "inserts and deletes do not match");
        end(0);
    }
};

// NMIs that look up, update and delete at every step of what they interrupt, in the same bucket and in another.
template <u32 kFlags>
struct HashNmi : HashScenario {
    u32 elsewhere = 0;
    void setup() override {
        make(5, kFlags);
        elsewhere = other_bucket();
        check(update(keys[0], 1) == 0 && update(keys[1], 1) == 0 && update(elsewhere, 1) == 0,
              "no room");
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number == 0) {
            check(update(keys[0], 2) == 0, "an update failed");
            check(copied(keys[0]), "a key that stays is not copied");
            const s64 gone = erase(keys[1]);
            check(gone == 0 || gone == -to_int(Errno::NoEnt), "a delete failed");
        } else {
            check(found(keys[0]), "a key that stays is not found");
        }
    }
    void nmi(u32) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        check(found(keys[0]), "a key that stays is not found in an NMI");
        for (const u32 key : {elsewhere, keys[0]}) {
            const s64 updated = update(key, 3);
            // Busy only what the interrupted code has locked. Who else updates there is done soon.
            check(updated == 0 || (key == keys[0] && updated == -to_int(Errno::Busy)) ||
                      (kFlags && updated == -to_int(Errno::NoMem)),
                  "an update in an NMI failed");
        }
        const s64 gone = erase(keys[1]);
        check(gone == 0 || gone == -to_int(Errno::NoEnt) || gone == -to_int(Errno::Busy),
              "a delete in an NMI failed");
    }
    void finish() override {
        check(copied(elsewhere), "a key that stays is not copied");
        erase(elsewhere);
        end(1);
    }
};

}  // namespace barebpf::explore
