// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Scenarios for bpf_lru_list, alone and in a hash map.
#pragma once

#include "kernel/bpf/hashtab_lru.h"
#include "testkit/explore/hashtab_scenarios.h"

namespace barebpf::explore {

// Nodes go round between the lists and a table of flags; nobody ever gets one that somebody else has or that is in
// the table, and at the end each is in one list, which is sound.
template <BpfLruList::Flavour kFlavour>
struct LruRounds : Scenario {
    static constexpr u32 kNodes = 12;
    enum State : u32 { kFree, kHeld, kInTable };

    struct Table {
        LruRounds* self;
        bool evict(u32 node) const {
            u32 expected = kInTable;
            return self->states[node].compare_exchange(expected, kFree, Order::AcqRel,
                                                       Order::Relaxed);
        }
        void prefetch(u32) const {}
    };

    host::MemoryOwner owner;
    BpfLruList lru;
    u32 nodes = 0;
    host::Atomic<u32> states[kNodes + 1];

    void setup() override {
        nodes = host::possible_cpus() * (kFlavour == BpfLruList::Flavour::PerCpu ? 2 : 1);
        check(lru.create(nodes, nodes, kFlavour, owner), "no memory");
        // CPU 0 has evicted so often that its next eviction finds CPU 1 idle for long, and tidies up there.
        for (u32 i = 0; i < 3 * host::possible_cpus(); ++i) use();
    }
    // What it returns is held by the caller.
    u32 take() {
        const u32 node = lru.take(Table{this});
        if (node)
            check(states[node].exchange(kHeld, Order::AcqRel) == kFree,
                  "a node is given out that is in use");
        return node;
    }
    void use() {
        if (const u32 node = take()) states[node].store(kInTable, Order::Release);
    }
    void use_not() {
        const u32 node = take();
        if (!node) return;
        states[node].store(kFree, Order::Release);
        lru.give_back(node);
    }
    // As a delete: out of the table by its own hands.
    void erase_one() {
        for (u32 node = nodes; node; --node) {
            u32 expected = kInTable;
            if (!states[node].compare_exchange(expected, kHeld, Order::AcqRel, Order::Relaxed)) {
                continue;
            }
            states[node].store(kFree, Order::Release);
            return lru.give_back(node);
        }
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number == 0) {
            lru.touch(1);
            use();
            use_not();
        } else {
            use();
            erase_one();
        }
        use();
    }
    void nmi(u32) override {
        use();
        use_not();
    }
    void finish() override {
        use();  // what an NMI gave back is settled by who comes next
        const BpfLruList::Census census = lru.census();
        check(census.sound, "a list is broken");
        check(census.total() == nodes, "a node is lost, or there twice");
        lru.destroy();
    }
};

// A full map, of bytes or of per-CPU values: each insert evicts. No key has another's value, no element is lost or in two places, and there are never more
// than there may be.
template <u32 kFlags, u32 kType = BPF_MAP_TYPE_LRU_HASH>
struct LruHash : HashScenario {
    u32 capacity = 0;
    void setup() override {
        capacity = kFlags ? host::possible_cpus() : 3;
        make(capacity, kFlags, kType);
        for (u32 i = 0; i < capacity; ++i) check(update(keys[i], 1) == 0, "no room");
    }
    void insert(u32 key) {
        const s64 result = update(key, 2);
        check(result == 0 || result == -to_int(Errno::NoMem), "an insert failed");
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number == 0) {
            copied(keys[1]);
            insert(keys[3]);
            found(keys[1]);
        } else if (number == 1) {
            insert(keys[1]);
            insert(keys[4]);
            const s64 gone = erase(keys[0]);
            check(gone == 0 || gone == -to_int(Errno::NoEnt), "a delete failed");
        } else {
            insert(keys[5]);
        }
    }
    void nmi(u32) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        copied(keys[1]);
        const s64 result = update(keys[6], 3);
        check(result == 0 || result == -to_int(Errno::NoMem) || result == -to_int(Errno::Busy),
              "an update in an NMI failed");
        const s64 gone = erase(keys[1]);
        check(gone == 0 || gone == -to_int(Errno::NoEnt) || gone == -to_int(Errno::Busy),
              "a delete in an NMI failed");
    }
    void finish() override {
        check(walk() <= capacity, "more elements than there may be");
        check(update(keys[7], 4) == 0 && copied(keys[7]), "an insert failed");
        const BpfLruList::Census census = static_cast<hashtab::LruHashMap*>(map)->lru.census();
        check(census.sound, "a list is broken");
        check(census.total() == capacity, "a node is lost, or there twice");
        for (u32 i = 0; i < kKeys; ++i) erase(keys[i]);
        check(walk() == 0, "an element that nobody can delete");
        map->ops->free(map);
    }
};

// All keys are of bucket 0. A node that an NMI gives back behind a lock keeps no place but the link of those that wait,
// which is 0 in the last of them: as a place, that is an empty slot of this very bucket, in which the element's number may
// still stand. Until somebody has put it anywhere again it is not to be evicted: not while it waits, nor (kHeld) while it
// is between the list and the table, and an NMI evicts.
template <bool kHeld>
struct LruUnplaced : HashScenario {
    static constexpr u32 kCapacity = 3;
    u32 mine[kKeys];

    hashtab::LruHashMap* lru_map() { return static_cast<hashtab::LruHashMap*>(map); }
    void setup() override {
        make(kCapacity, 0, BPF_MAP_TYPE_LRU_HASH);
        u32 count = 0;
        for (u32 key = 1; count < kKeys; ++key) {
            if (hashtab::hash_to_bucket<4>(map, &key).bucket == map->buckets) mine[count++] = key;
        }
        for (u32 i = 0; i < kCapacity; ++i) insert(i);
        if (!kHeld) return;
        // The last in its slot is the first to be taken: its slot stays empty for the longest. All as an NMI leaves them.
        for (u32 i = 0; i < kCapacity; ++i) check(erase(mine[i]) == 0, "a delete failed");
        for (u32 node = 1; node <= kCapacity; ++node) lru_map()->lru.set_place(node, 0);
    }
    void insert(u32 number) {
        const s64 result = update(mine[number], 1);
        check(result == 0 || result == -to_int(Errno::NoMem), "an insert failed");
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number == 0) {
            insert(3);
            insert(4);
        } else {
            copied(mine[1]);
        }
    }
    void nmi(u32) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        for (u32 i = 0; i < kCapacity; ++i) {
            kHeld ? update(mine[5 + i], 1) : erase(mine[i]);
        }
        update(mine[8], 1);
    }
    void finish() override {
        insert(9);  // what an NMI gave back is settled by who comes next
        const BpfLruList::Census census = lru_map()->lru.census();
        check(census.sound, "a list is broken");
        check(census.total() == kCapacity && !census.returned, "a node is lost, or there twice");
        check(walk() + census.free + census.local_free == kCapacity,
              "a node is free and in use, or neither");
        for (const u32 key : mine) erase(key);
        check(walk() == 0, "an element that nobody can delete");
        map->ops->free(map);
    }
};

}  // namespace barebpf::explore
