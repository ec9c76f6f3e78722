// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Hash maps of every kind of value and storage: per-CPU values, walks by programs, batches by bucket.
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "kernel/bpf/free_in_steps_test.h"
#include "kernel/bpf/hashtab.h"
#include "kernel/bpf/map_test.h"
#include "kernel/lib/bits.h"
#include "testkit/inject.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using Bytes = std::string;

struct Kind {
    const char* name;
    u32 type, key_size, flags;
};
const Kind kKinds[] = {
    {"Plain4", BPF_MAP_TYPE_HASH, 4, 0},
    {"Plain20", BPF_MAP_TYPE_HASH, 20, 0},
    {"PlainOnDemand8", BPF_MAP_TYPE_HASH, 8, BPF_F_NO_PREALLOC},
    {"PerCpu4", BPF_MAP_TYPE_PERCPU_HASH, 4, 0},
    {"PerCpu8", BPF_MAP_TYPE_PERCPU_HASH, 8, 0},
    {"PerCpu16", BPF_MAP_TYPE_PERCPU_HASH, 16, 0},
    {"PerCpu33", BPF_MAP_TYPE_PERCPU_HASH, 33, 0},
    {"PerCpuOnDemand4", BPF_MAP_TYPE_PERCPU_HASH, 4, BPF_F_NO_PREALLOC},
    {"PerCpuOnDemand16", BPF_MAP_TYPE_PERCPU_HASH, 16, BPF_F_NO_PREALLOC},
    {"Lru4", BPF_MAP_TYPE_LRU_HASH, 4, 0},
    {"Lru20", BPF_MAP_TYPE_LRU_HASH, 20, 0},
    {"LruPerCpu16", BPF_MAP_TYPE_LRU_PERCPU_HASH, 16, 0},
};

constexpr s64 kNoEnt = -to_int(Errno::NoEnt);
constexpr s64 kExist = -to_int(Errno::Exist);
constexpr s64 kInval = -to_int(Errno::Inval);

Map* make_map(const Kind& kind, u32 value_size, u32 entries) {
    return test::make_map(
        test::map_attr(kind.type, kind.key_size, value_size, entries, kind.flags));
}

class HashKinds : public test::WithMap<::testing::TestWithParam<Kind>> {
protected:
    void make(u32 entries, u32 value_size = 8) {
        map_ = make_map(GetParam(), value_size, entries);
        ASSERT_NE(map_, nullptr);
    }
    bool percpu() const { return is_percpu_map(map_->type); }
    bool evicts() const {
        return map_->type == BPF_MAP_TYPE_LRU_HASH || map_->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
    }
    Bytes key(u32 number) const {
        Bytes bytes(map_->key_size, '\3');
        std::memcpy(bytes.data(), &number, 4);
        return bytes;
    }
    // As a program calls.
    s64 update(u32 number, u64 value, u64 flags = BPF_ANY) {
        Bytes bytes(map_->value_size, '\0');
        std::memcpy(bytes.data(), &value, std::min<size_t>(8, bytes.size()));
        return map_->ops->update(map_, key(number).data(), bytes.data(), flags);
    }
    s64 erase(u32 number) { return map_->ops->erase(map_, key(number).data()); }
    void* lookup(u32 number) { return map_->ops->lookup(map_, key(number).data()); }
    u64* value_on(u32 number, u32 cpu) {
        return static_cast<u64*>(map_->ops->lookup_percpu(map_, key(number).data(), cpu));
    }
    // As bpf(2) does: one word for each CPU.
    std::vector<u64> read(u32 number) {
        std::vector<u64> values(value_size_for_user(map_) / 8);
        if (map_->ops->copy_value(map_, key(number).data(), values.data(), 0)) values.clear();
        return values;
    }
    s64 write(u32 number, const std::vector<u64>& values, u64 flags = BPF_ANY) {
        return map_->ops->update_from_user(map_, key(number).data(), values.data(), flags);
    }
};
INSTANTIATE_TEST_SUITE_P(Kinds, HashKinds, ::testing::ValuesIn(kKinds),
                         [](const auto& kind) { return std::string(kind.param.name); });

// ── Per-CPU values ──

TEST_P(HashKinds, AProgramWritesItsOwnCpu) {
    make(4);
    if (!percpu()) return;
    const u32 cpus = host::possible_cpus();
    std::vector<u64> all(cpus);
    for (u32 cpu = 0; cpu < cpus; ++cpu) all[cpu] = 100 + cpu;
    EXPECT_EQ(write(1, all, BPF_EXIST), kNoEnt);
    EXPECT_EQ(write(1, all, BPF_NOEXIST), 0);
    EXPECT_EQ(write(1, all, BPF_NOEXIST), kExist);
    EXPECT_EQ(write(1, all, BPF_F_LOCK), kInval);
    EXPECT_EQ(update(1, 7, BPF_F_LOCK), kInval);
    EXPECT_EQ(read(1), all);
    for (u32 cpu = 0; cpu < cpus; ++cpu) EXPECT_EQ(*value_on(1, cpu), all[cpu]);
    EXPECT_EQ(value_on(1, cpus), nullptr);
    EXPECT_EQ(value_on(2, 0), nullptr);

    void* const before = lookup(1);
    EXPECT_EQ(update(1, 7, BPF_EXIST), 0);
    EXPECT_EQ(lookup(1), before) << "the element stays";
    EXPECT_EQ(before, value_on(1, host::cpu_id()));
    all[host::cpu_id()] = 7;
    EXPECT_EQ(read(1), all);
}

// A new element has zeroes for the other CPUs, also where it was another's before.
TEST_P(HashKinds, ANewElementIsZeroElsewhere) {
    make(3);
    if (!percpu()) return;
    std::vector<u64> expected(host::possible_cpus());
    for (u32 round = 0; round < 20; ++round) {
        ASSERT_EQ(write(round, std::vector<u64>(expected.size(), ~u64{0})), 0);
        ASSERT_EQ(erase(round), 0);
        ASSERT_EQ(update(100 + round, 5), 0);
        expected[host::cpu_id()] = 5;
        ASSERT_EQ(read(100 + round), expected);
        ASSERT_EQ(erase(100 + round), 0);
        host::rcu_barrier();
    }
}

TEST_P(HashKinds, ValuesOfCpusAndKeysAreApart) {
    for (const u32 size : {1u, 8u, 12u, 100u}) {
        make(50, size);
        if (!percpu()) return;
        std::set<u8*> starts;
        for (u32 i = 0; i < 50; ++i) ASSERT_EQ(update(i, i), 0);
        for (u32 i = 0; i < 50; ++i) {
            for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
                u8* value = reinterpret_cast<u8*>(value_on(i, cpu));
                EXPECT_EQ(reinterpret_cast<uintptr_t>(value) % 8, 0u);
                std::memset(value, 1, size);
                ASSERT_TRUE(starts.insert(value).second);
            }
        }
        for (auto at = starts.begin(); std::next(at) != starts.end(); ++at) {
            ASSERT_GE(*std::next(at) - *at, static_cast<std::ptrdiff_t>(size));
        }
        // No two CPUs share a cache line.
        const auto line = [](void* p) { return reinterpret_cast<uintptr_t>(p) / 64; };
        std::map<uintptr_t, u32> owner;
        for (u32 i = 0; i < 50; ++i) {
            for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
                ASSERT_EQ(owner.emplace(line(value_on(i, cpu)), cpu).first->second, cpu);
            }
        }
        map_put(map_);
        map_ = nullptr;
    }
}

TEST(PerCpuHash, RefusesWhatLinuxRefuses) {
    host::Cpu::Entry inside;
    const auto error = [](u32 value, u32 flags, u32 node) {
        bpf_attr attr{};
        attr.map_type = BPF_MAP_TYPE_PERCPU_HASH;
        attr.key_size = 4;
        attr.value_size = value;
        attr.max_entries = 1;
        attr.map_flags = flags;
        attr.numa_node = node;
        const auto checked = kPerCpuHashMapOps.check_attr(attr);
        return checked ? 0 : to_int(checked.error());
    };
    EXPECT_EQ(error(32768, 0, 0), 0);
    EXPECT_EQ(error(32769, 0, 0), to_int(Errno::TooBig));
    EXPECT_EQ(error(8, BPF_F_NUMA_NODE, 0), to_int(Errno::Inval));
    EXPECT_EQ(error(8, BPF_F_NUMA_NODE, ~0u), 0);
    EXPECT_EQ(error(8, BPF_F_NO_COMMON_LRU, 0), to_int(Errno::Inval));
    EXPECT_EQ(error(8, BPF_F_NO_PREALLOC | BPF_F_ZERO_SEED, 0), 0);
}

TEST(PerCpuHash, UsesNoMoreMemoryThanLinux) {
    host::Cpu::Entry inside;
    for (const u32 key_size : {4u, 16u, 64u}) {
        Map* map = make_map({"", BPF_MAP_TYPE_PERCPU_HASH, key_size, 0}, 8, 1u << 14);
        const u64 linux_bytes = 48 + align_up(key_size, 8) + 8 + 8 * host::possible_cpus() + 16;
        EXPECT_LE(map->memory.bytes() >> 14, linux_bytes);
        map_put(map);
    }
    host::rcu_barrier();
}

// ── for_each ──

// Counts how often each key is shown; then(key, value).
template <class Then>
struct Collector : ElementVisitor {
    Collector(const Map* map, Then what)
        : ElementVisitor{see}, key_size(map->key_size), then(what) {}
    static bool see(ElementVisitor* self, const void* key, void* value) {
        auto* collector = static_cast<Collector*>(self);
        const Bytes bytes(static_cast<const char*>(key), collector->key_size);
        ++collector->seen[bytes];
        collector->then(bytes, value);
        return --collector->left != 0;
    }

    u32 key_size;
    Then then;
    std::map<Bytes, u32> seen;
    u32 left = ~0u;
};

TEST_P(HashKinds, ForEachShowsEachElementOnce) {
    constexpr u32 kCount = 3000;  // full: many buckets overflow
    make(kCount);
    for (u32 i = 0; i < kCount; ++i) ASSERT_EQ(update(i, i), 0);
    u64 sum = 0;
    Collector all(map_, [&](const Bytes&, void* value) { sum += *static_cast<u64*>(value); });
    EXPECT_EQ(map_->ops->for_each(map_, &all), s64{kCount});
    EXPECT_EQ(sum, u64{kCount} * (kCount - 1) / 2);
    EXPECT_EQ(all.seen.size(), size_t{kCount});
    for (const auto& [key, times] : all.seen) ASSERT_EQ(times, 1u);
    Collector few(map_, [](const Bytes&, void*) {});
    few.left = 5;
    EXPECT_EQ(map_->ops->for_each(map_, &few), 5);
}

// The visitor deletes what it sees, or others, or replaces them, or inserts: what is there all the
// time is shown once.
TEST_P(HashKinds, ForEachSurvivesWhatTheVisitorDoes) {
    constexpr u32 kCount = 1000;
    for (const u32 what : {0u, 1u, 2u, 3u}) {
        make(kCount * 2);
        if (what == 3 && evicts()) break;  // it inserts more than there is room for
        for (u32 i = 0; i < kCount * 2; ++i) ASSERT_EQ(update(i, i), 0);
        std::set<Bytes> gone;
        u32 turn = 0;
        Collector visitor(map_, [&](const Bytes& seen, void*) {
            u32 number;
            std::memcpy(&number, seen.data(), 4);
            const u32 other = (number * 7 + turn++) % (kCount * 2);
            if (what == 0 && erase(number) == 0) gone.insert(seen);
            if (what == 1 && turn % 2 && erase(other) == 0) gone.insert(key(other));
            if (what == 2) {
                update(number, turn, BPF_EXIST);
                update(other, turn, BPF_EXIST);
            }
            if (what == 3) {
                if (erase(other) == 0) gone.insert(key(other));
                update(kCount * 2 + turn, turn);
            }
        });
        map_->ops->for_each(map_, &visitor);
        for (u32 i = 0; i < kCount * 2; ++i) {
            const auto at = visitor.seen.find(key(i));
            const bool shown = at != visitor.seen.end();
            ASSERT_TRUE(shown || gone.count(key(i))) << i << " " << what;
        }
        for (const auto& [key, times] : visitor.seen) ASSERT_EQ(times, 1u) << what;
        EXPECT_TRUE(what != 0 || gone.size() == kCount * 2);
        map_put(map_);
        map_ = nullptr;
        host::rcu_barrier();
    }
}

// ── Batches ──

struct Room : CollectedBucket {
    Room(const Map* map, u32 elements)
        : CollectedBucket{},
          key_bytes(elements * map->key_size),
          value_bytes(elements * value_size_for_user(map)) {
        keys = key_bytes.data();
        values = value_bytes.data();
        capacity = elements;
    }
    std::vector<u8> key_bytes, value_bytes;
};

TEST_P(HashKinds, BucketsAreCollectedWhole) {
    constexpr u32 kCount = 2000;
    make(kCount);
    const u32 value_bytes = value_size_for_user(map_);
    for (u32 i = 0; i < kCount; ++i) ASSERT_EQ(update(i, i), 0);
    for (const bool erasing : {false, true}) {
        std::set<Bytes> seen;
        s64 error = 0;
        u32 too_small = 0;
        for (u32 bucket = 0; error == 0; ++bucket) {
            Room none(map_, 1), room(map_, 64);
            error = map_->ops->collect_bucket(map_, bucket, false, 0, &none);
            if (error) break;
            too_small += none.count > 1;
            ASSERT_EQ(map_->ops->collect_bucket(map_, bucket, erasing, 0, &room), 0);
            ASSERT_EQ(room.count, none.count);
            for (u32 i = 0; i < room.count; ++i) {
                const char* at = reinterpret_cast<char*>(room.keys + i * map_->key_size);
                const Bytes found(at, map_->key_size);
                ASSERT_TRUE(seen.insert(found).second);
                u32 number;
                std::memcpy(&number, at, 4);
                u64 sum = 0;
                for (u32 word = 0; word < value_bytes; word += 8) {
                    sum += *reinterpret_cast<u64*>(room.values + i * value_bytes + word);
                }
                ASSERT_EQ(sum, number);
                ASSERT_EQ(lookup(number) != nullptr, !erasing);
            }
        }
        EXPECT_EQ(error, kNoEnt);
        EXPECT_EQ(seen.size(), size_t{kCount});
        EXPECT_GT(too_small, 100u);
    }
    // Everything went back to where it came from.
    host::rcu_barrier();
    for (u32 i = 0; i < kCount; ++i) ASSERT_EQ(update(i + 5000, i), 0);
    EXPECT_EQ(update(1, 1), evicts() ? 0 : -to_int(Errno::TooBig));
}

TEST_P(HashKinds, LookupAndDeleteGivesAllCpus) {
    make(3);
    if (!percpu()) return;
    std::vector<u64> all(host::possible_cpus()), got(all.size());
    for (u32 cpu = 0; cpu < all.size(); ++cpu) all[cpu] = 9 + cpu;
    ASSERT_EQ(write(2, all), 0);
    ASSERT_EQ(map_->ops->lookup_and_erase(map_, key(2).data(), got.data(), 0), 0);
    EXPECT_EQ(got, all);
    EXPECT_EQ(map_->ops->lookup_and_erase(map_, key(2).data(), got.data(), 0), kNoEnt);
}

// Others have this CPU meanwhile: a callback that waits for it runs before the end.
TEST_P(HashKinds, ALargeMapIsFreedInSteps) {
    host::rcu_barrier();
    make(150'000);  // so that at least the buckets take more than one step
    for (u32 i = 0; i < 1000; ++i) ASSERT_EQ(update(i, i), 0);
    const test::Waiting waiting;
    map_->ops->free(map_);
    map_ = nullptr;
    EXPECT_TRUE(waiting.ran);
}

// Without preallocation memory comes as it is needed; when it does not, there is the reserve.
TEST_P(HashKinds, AFailedAllocationStopsNoInsert) {
    constexpr u32 kCount = 1500;
    for (u64 fail = 0;; ++fail) {
        make(2 * kCount);
        machine::fail_allocation_after(fail);
        u32 refused = 0;
        for (u32 i = 0; i < kCount; ++i) refused += update(i, i) != 0;
        const bool failed = machine::stop_failing_allocations();
        EXPECT_EQ(refused, 0u) << fail;
        for (u32 i = 0; i < kCount; ++i) ASSERT_NE(lookup(i), nullptr);
        map_put(map_);
        map_ = nullptr;
        host::rcu_barrier();
        if (!failed) break;
        ASSERT_LT(fail, u64{200});
    }
}

TEST_P(HashKinds, EachFailedAllocationIsCleanedUp) {
    host::rcu_barrier();
    const machine::LiveMemory before = machine::live_memory();
    Map* map = nullptr;
    const u32 allocations = inject::fail_each_allocation(
        [&] {
            if (map) map_put(map);
            map = make_map(GetParam(), 8, 100);
        },
        [&](u32) {
            EXPECT_EQ(map, nullptr);
            EXPECT_EQ(machine::live_memory().bytes, before.bytes);
            EXPECT_EQ(machine::live_memory().blocks, before.blocks);
        });
    EXPECT_GT(allocations, 2u);
    ASSERT_NE(map, nullptr);
    map_put(map);
    host::rcu_barrier();
    EXPECT_EQ(machine::live_memory().bytes, before.bytes);
}

}  // namespace
}  // namespace barebpf
