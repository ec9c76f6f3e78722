// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// LRU hash maps: what is evicted, what is not, and the errors. What they share with other hash maps is
// in hashtab_kinds_test.cc, the order of eviction in bpf_lru_list_test.cc.
#include "kernel/bpf/hashtab_lru.h"

#include <vector>

#include "kernel/bpf/map_test.h"
#include "testkit/inject.h"

namespace barebpf {
namespace {

using hashtab::LruHashMap;
using host::Atomic;
using host::Order;

constexpr s64 kNoEnt = -to_int(Errno::NoEnt);
constexpr s64 kExist = -to_int(Errno::Exist);

struct Kind {
    const char* name;
    u32 type, flags;
};
const Kind kKinds[] = {
    {"Lru", BPF_MAP_TYPE_LRU_HASH, 0},
    {"LruOwnLists", BPF_MAP_TYPE_LRU_HASH, BPF_F_NO_COMMON_LRU},
    {"PerCpu", BPF_MAP_TYPE_LRU_PERCPU_HASH, 0},
    {"PerCpuOwnLists", BPF_MAP_TYPE_LRU_PERCPU_HASH, BPF_F_NO_COMMON_LRU},
};

bpf_attr attr_of(const Kind& kind, u32 entries) {
    return test::map_attr(kind.type, 8, 8, entries, kind.flags);
}

class LruMapTest : public test::WithMap<::testing::TestWithParam<Kind>> {
protected:
    void make(u32 entries) {
        WithMap::make(attr_of(GetParam(), entries));
        entries_ = map_->max_entries;
    }
    // Room for this many that one CPU inserts.
    void make_for_one_cpu(u32 entries) {
        make(own_lists() ? entries * host::possible_cpus() : entries);
    }
    void TearDown() override {
        if (map_) expect_sound();
        drop();
    }
    bool own_lists() const { return GetParam().flags & BPF_F_NO_COMMON_LRU; }
    void expect_sound() {
        const BpfLruList::Census census = lru().census();
        EXPECT_TRUE(census.sound);
        EXPECT_EQ(census.total(), entries_);
        EXPECT_EQ(census.total() - census.free - census.local_free, count_keys());
    }
    BpfLruList& lru() { return static_cast<LruHashMap*>(map_)->lru; }
    s64 update(u64 key, u64 value = 7, u64 flags = BPF_ANY) {
        return map_->ops->update(map_, &key, &value, flags);
    }
    s64 erase(u64 key) { return map_->ops->erase(map_, &key); }
    u64* lookup(u64 key) { return static_cast<u64*>(map_->ops->lookup(map_, &key)); }
    // As bpf(2): no reference.
    bool has(u64 key) {
        std::vector<u64> values(host::possible_cpus());
        return map_->ops->copy_value(map_, &key, values.data(), 0) == 0;
    }
    u32 count_keys() {
        u32 count = 0;
        u64 at, next;
        s64 error = map_->ops->next_key(map_, nullptr, &at);
        for (; error == 0; ++count, at = next) error = map_->ops->next_key(map_, &at, &next);
        return count;
    }
    u32 entries_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Kinds, LruMapTest, ::testing::ValuesIn(kKinds),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST_P(LruMapTest, AFullMapEvictsTheOldest) {
    make_for_one_cpu(8);
    for (u64 key = 1; key <= 100; ++key) {
        ASSERT_EQ(update(key, key), 0);
        ASSERT_NE(lookup(key), nullptr);
        EXPECT_EQ(*lookup(key), key);
    }
    EXPECT_EQ(count_keys(), 8u);
}

TEST_P(LruMapTest, ALookupOfAProgramSavesAnElementAndThatOfBpfDoesNot) {
    make_for_one_cpu(2);
    ASSERT_EQ(update(1), 0);
    ASSERT_EQ(update(2), 0);
    EXPECT_NE(lookup(1), nullptr);
    EXPECT_TRUE(has(2));
    ASSERT_EQ(update(3), 0);
    EXPECT_TRUE(has(1));
    EXPECT_FALSE(has(2));
    EXPECT_TRUE(has(3));
}

TEST_P(LruMapTest, AnUpdateCountsAsAReference) {
    make_for_one_cpu(2);
    ASSERT_EQ(update(1), 0);
    ASSERT_EQ(update(2), 0);
    ASSERT_EQ(update(1, 11), 0);
    ASSERT_EQ(update(3), 0);
    EXPECT_TRUE(has(1));
    EXPECT_FALSE(has(2));
}

TEST_P(LruMapTest, UpdatesOfWhatIsThereEvictNothing) {
    make_for_one_cpu(16);
    for (u64 key = 0; key < 16; ++key) ASSERT_EQ(update(key), 0);
    for (u64 turn = 0; turn < 1000; ++turn) ASSERT_EQ(update(turn % 16, turn, BPF_EXIST), 0);
    for (u64 key = 0; key < 16; ++key) {
        ASSERT_NE(lookup(key), nullptr) << key;
        EXPECT_EQ(*lookup(key), key < 8 ? 992 + key : 976 + key);
    }
}

TEST_P(LruMapTest, Flags) {
    make_for_one_cpu(4);
    EXPECT_EQ(update(1, 1, BPF_EXIST), kNoEnt);
    EXPECT_EQ(update(1, 1, BPF_NOEXIST), 0);
    EXPECT_EQ(update(1, 2, BPF_NOEXIST), kExist);
    EXPECT_EQ(update(1, 3, BPF_EXIST), 0);
    EXPECT_EQ(*lookup(1), 3u);
    EXPECT_EQ(update(1, 4, BPF_F_LOCK), -to_int(Errno::Inval));
    EXPECT_EQ(update(1, 4, 3), -to_int(Errno::Inval));
    EXPECT_EQ(erase(1), 0);
    EXPECT_EQ(erase(1), kNoEnt);
    EXPECT_EQ(lookup(1), nullptr);
}

TEST_P(LruMapTest, WhatIsDeletedMakesRoomBeforeAnythingIsEvicted) {
    make_for_one_cpu(64);
    for (u64 key = 0; key < 64; ++key) ASSERT_EQ(update(key), 0);
    for (u64 key = 0; key < 64; key += 2) ASSERT_EQ(erase(key), 0);
    for (u64 key = 100; key < 132; ++key) ASSERT_EQ(update(key), 0);
    for (u64 key = 1; key < 64; key += 2) EXPECT_TRUE(has(key)) << key;
    EXPECT_EQ(count_keys(), 64u);
}

TEST_P(LruMapTest, LookupAndDelete) {
    make_for_one_cpu(3);
    ASSERT_EQ(update(5, 55), 0);
    std::vector<u64> values(host::possible_cpus());
    const u64 key = 5;
    EXPECT_EQ(map_->ops->lookup_and_erase(map_, &key, values.data(), 0), 0);
    u64 sum = 0;
    for (const u64 value : values) sum += value;
    EXPECT_EQ(sum, 55u);
    EXPECT_EQ(map_->ops->lookup_and_erase(map_, &key, values.data(), 0), kNoEnt);
    EXPECT_EQ(lru().census().free + lru().census().local_free, entries_);
}

TEST_P(LruMapTest, MaxEntriesIsRoundedForListsOfCpus) {
    const u32 cpus = host::possible_cpus();
    make(cpus + 1);
    EXPECT_EQ(map_->max_entries, own_lists() && cpus > 1 ? 2 * cpus : cpus + 1);
}

TEST_P(LruMapTest, CreationIsRefused) {
    const MapOps* ops = map_ops(GetParam().type);
    bpf_attr attr = attr_of(GetParam(), 8);
    EXPECT_TRUE(bool(ops->check_attr(attr)));
    attr.map_flags |= BPF_F_NO_PREALLOC;
    EXPECT_EQ(ops->check_attr(attr).error(), Errno::NotSupp);
    attr.map_flags |= 1u << 31;
    EXPECT_EQ(ops->check_attr(attr).error(), Errno::Inval);
    attr = attr_of(GetParam(), 0);
    EXPECT_EQ(ops->check_attr(attr).error(), Errno::Inval);
    attr = attr_of({"", BPF_MAP_TYPE_HASH, BPF_F_NO_COMMON_LRU}, 8);
    EXPECT_EQ(map_ops(BPF_MAP_TYPE_HASH)->check_attr(attr).error(), Errno::Inval);
}

TEST_P(LruMapTest, EachFailedAllocationIsCleanedUp) {
    const machine::LiveMemory before = machine::live_memory();
    const bpf_attr attr = attr_of(GetParam(), 100);
    const MapOps* ops = map_ops(attr.map_type);
    Map* map = nullptr;
    const u32 allocations = inject::fail_each_allocation(
        [&] {
            Result<Map*> made = ops->create(attr);
            map = made ? made.release() : nullptr;
        },
        [&](u32) {
            EXPECT_EQ(map, nullptr);
            EXPECT_EQ(machine::live_memory().bytes, before.bytes);
            EXPECT_EQ(machine::live_memory().blocks, before.blocks);
        });
    EXPECT_GE(allocations, 7u);
    ASSERT_NE(map, nullptr);
    ops->free(map);
    EXPECT_EQ(machine::live_memory().bytes, before.bytes);
}

TEST(LruMemory, AnElementIsNotLargerThanLinuxs) {
    host::Cpu::Entry inside;
    // By 8-byte values in 64k elements; Linux: 48 bytes of header and 16 for the bucket.
    for (const u32 key_size : {4u, 16u, 64u}) {
        bpf_attr attr = attr_of(kKinds[0], 1u << 16);
        attr.key_size = key_size;
        Map* map = test::make_map(attr);
        EXPECT_LE(map->memory.bytes() >> 16, u64{48 + 16 + 8} + (key_size + 7) / 8 * 8) << key_size;
        test::drop_map(map);
    }
}

// ── Several CPUs ──

// A map of one element, from each CPU: the last key is found until the next one comes.
TEST_P(LruMapTest, OneElementGoesFromCpuToCpu) {
    if (own_lists()) return;
    make(1);
    Atomic<u32> turn{}, bad{};
    test::run_on_cpus(test::cpus(), [&](u32 cpu) {
        while (turn.load(Order::Acquire) != cpu) host::spin_hint();
        const u64 key = 100 + cpu;
        if (cpu && !has(key - 1)) bad.fetch_add(1, Order::Relaxed);
        if (update(key, key, BPF_NOEXIST) || !lookup(key)) bad.fetch_add(1, Order::Relaxed);
        if (has(key - 1)) bad.fetch_add(1, Order::Relaxed);
        turn.store(cpu + 1, Order::Release);
    });
    EXPECT_EQ(bad.load(Order::Relaxed), 0u);
    EXPECT_EQ(count_keys(), 1u);
}

// Everybody does everything: a key's value is one that was written for it, nothing is lost, and in the
// end the map holds as many as it may.
TEST_P(LruMapTest, Torture) {
    constexpr u32 kTurns = 20000;
    for (const u32 share : {1u, 4u, 40u}) {
        make(share * host::possible_cpus());
        Atomic<u32> wrong{}, failed{};
        const u64 keys = u64{entries_} * 2;
        test::run_on_cpus(test::cpus_up_to(4), [&](u32 cpu) {
            u32 random = cpu + 1;
            for (u32 turn = 0; turn < kTurns; ++turn) {
                random = random * 1664525 + 1013904223;
                const u64 key = (random >> 8) % keys;
                const u64 tag = key << 32 | turn;
                {
                    host::Cpu::Pin pin;
                    host::RcuReadGuard rcu;
                    u64* found = nullptr;
                    s64 error = 0;
                    switch (random >> 29) {
                        case 0:
                            erase(key);
                            break;
                        case 1:
                            error = update(key, tag, BPF_NOEXIST);
                            if (error == kExist) error = 0;
                            break;
                        case 2:
                        case 3:
                            found = lookup(key);
                            break;
                        default:
                            error = update(key, tag);
                    }
                    // ENOMEM: everything is on its way somewhere, in a map of a few elements.
                    if (error && (error != -to_int(Errno::NoMem) || share > 4)) {
                        failed.fetch_add(1, Order::Relaxed);
                    }
                    std::vector<u64> values(host::possible_cpus());
                    if (found && !map_->ops->copy_value(map_, &key, values.data(), 0)) {
                        for (const u64 value : values) {
                            if (value && value >> 32 != key) wrong.fetch_add(1, Order::Relaxed);
                        }
                    }
                }
                host::Cpu::yield_point();
            }
        });
        EXPECT_EQ(wrong.load(Order::Relaxed), 0u);
        EXPECT_EQ(failed.load(Order::Relaxed), 0u);
        expect_sound();
        for (u64 key = 0; key < keys; ++key) erase(key);
        const BpfLruList::Census census = lru().census();
        EXPECT_EQ(census.free + census.local_free, entries_);
        for (u64 key = 0; key < 100u * entries_; ++key) ASSERT_EQ(update(key, key), 0);
        const u32 ahead = lru().batch() >= BpfLruList::kAheadBatch;
        if (!own_lists()) {
            EXPECT_GE(count_keys() + ahead, entries_);
        }
        map_put(map_);
        map_ = nullptr;
        host::rcu_barrier();
    }
}

}  // namespace
}  // namespace barebpf
