// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/hashtab.h"

#include <cstring>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "kernel/bpf/map_test.h"

namespace barebpf {
namespace {

using test::make_map;

bpf_attr hash_attr(u32 key_size, u32 value_size, u32 entries, u32 flags) {
    return test::map_attr(BPF_MAP_TYPE_HASH, key_size, value_size, entries, flags);
}

constexpr s64 kNoEnt = -to_int(Errno::NoEnt);
constexpr s64 kExist = -to_int(Errno::Exist);
constexpr s64 kTooBig = -to_int(Errno::TooBig);
constexpr s64 kInval = -to_int(Errno::Inval);

// A map whose keys are numbers spread over key_size bytes and whose values begin with a number.
class TestMap {
public:
    TestMap(u32 key_size, u32 entries, u32 flags, u32 value_size = 8)
        : map_(make_map(hash_attr(key_size, value_size, entries, flags))) {}
    ~TestMap() { free(); }
    void free() {
        test::drop_map(map_);
        map_ = nullptr;
    }
    Map* get() { return map_; }
    HashMap* hash() { return static_cast<HashMap*>(map_); }

    std::string key(u64 number) const {
        std::string bytes(map_->key_size, '\0');
        for (u32 i = 0; i < map_->key_size; ++i) {
            bytes[i] = static_cast<char>(number >> (i % 4 * 8) ^ (i / 4 * 37));
        }
        if (map_->key_size < 4) bytes[0] = static_cast<char>(number);
        return bytes;
    }
    s64 update(u64 number, u64 value, u64 flags = BPF_ANY) {
        std::vector<u8> bytes(map_->value_size);
        std::memcpy(bytes.data(), &value, std::min<size_t>(8, bytes.size()));
        return map_->ops->update(map_, key(number).data(), bytes.data(), flags);
    }
    s64 erase(u64 number) { return map_->ops->erase(map_, key(number).data()); }
    // -1: not there.
    s64 lookup(u64 number) {
        const void* value = map_->ops->lookup(map_, key(number).data());
        u64 result = 0;
        if (!value) return -1;
        std::memcpy(&result, value, std::min<size_t>(8, map_->value_size));
        return static_cast<s64>(result);
    }
    std::set<std::string> keys() {
        std::set<std::string> result;
        std::string at(map_->key_size, '\0');
        s64 error = map_->ops->next_key(map_, nullptr, at.data());
        while (error == 0) {
            if (!result.insert(at).second) ADD_FAILURE() << "a key came twice";
            std::string next(map_->key_size, '\0');
            error = map_->ops->next_key(map_, at.data(), next.data());
            at = next;
        }
        EXPECT_EQ(error, kNoEnt);
        return result;
    }

private:
    Map* map_;
};

struct Kind {
    u32 key_size;
    u32 flags;
};
const Kind kKinds[] = {{4, 0},   {8, 0}, {16, 0}, {1, 0},  {7, 0}, {12, 0}, {64, 0},
                       {513, 0}, {4, 1}, {8, 1},  {16, 1}, {3, 1}, {20, 1}};

class HashMapTest : public ::testing::TestWithParam<Kind> {
protected:
    host::Cpu::Entry inside_;
};
INSTANTIATE_TEST_SUITE_P(Kinds, HashMapTest, ::testing::ValuesIn(kKinds), [](const auto& kind) {
    return "Key" + std::to_string(kind.param.key_size) + (kind.param.flags ? "OnDemand" : "");
});

TEST_P(HashMapTest, FlagsDecideBetweenInsertAndUpdate) {
    TestMap map(GetParam().key_size, 10, GetParam().flags);
    ASSERT_NE(map.get(), nullptr);
    EXPECT_EQ(map.lookup(1), -1);
    EXPECT_EQ(map.update(1, 5, BPF_EXIST), kNoEnt);
    EXPECT_EQ(map.update(1, 5, BPF_NOEXIST), 0);
    EXPECT_EQ(map.lookup(1), 5);
    EXPECT_EQ(map.update(1, 6, BPF_NOEXIST), kExist);
    EXPECT_EQ(map.lookup(1), 5);
    EXPECT_EQ(map.update(1, 7, BPF_EXIST), 0);
    EXPECT_EQ(map.update(1, 8, BPF_ANY), 0);
    EXPECT_EQ(map.lookup(1), 8);
    EXPECT_EQ(map.update(1, 9, 3), kInval);
    EXPECT_EQ(map.update(1, 9, BPF_F_LOCK), kInval);
    EXPECT_EQ(map.update(1, 9, u64{1} << 32), kInval);
    EXPECT_EQ(map.erase(2), kNoEnt);
    EXPECT_EQ(map.erase(1), 0);
    EXPECT_EQ(map.erase(1), kNoEnt);
    EXPECT_EQ(map.lookup(1), -1);
    EXPECT_TRUE(map.keys().empty());
}

TEST_P(HashMapTest, HoldsExactlyMaxEntries) {
    constexpr u32 kEntries = 100;
    TestMap map(GetParam().key_size, kEntries, GetParam().flags);
    ASSERT_NE(map.get(), nullptr);
    for (u32 round = 0; round < 3; ++round) {
        for (u32 i = 0; i < kEntries; ++i) ASSERT_EQ(map.update(i, i), 0) << i;
        EXPECT_EQ(map.update(kEntries, 0), kTooBig);
        EXPECT_EQ(map.keys().size(), size_t{kEntries});
        // Full, yet what is there can be replaced any number of times.
        for (u32 i = 0; i < kEntries; ++i) ASSERT_EQ(map.update(i, i + 1000), 0);
        for (u32 i = 0; i < kEntries; ++i) ASSERT_EQ(map.update(i, i + 2000, BPF_EXIST), 0);
        for (u32 i = 0; i < kEntries; ++i) ASSERT_EQ(map.lookup(i), i + 2000);
        EXPECT_EQ(map.erase(50), 0);
        EXPECT_EQ(map.update(kEntries + 1, 1), 0);
        EXPECT_EQ(map.update(kEntries + 2, 1), kTooBig);
        for (u32 i = 0; i <= kEntries + 1; ++i) map.erase(i);
        EXPECT_TRUE(map.keys().empty());
    }
}

// Many buckets overflow here: two thousand are full with four elements on the mean.
TEST_P(HashMapTest, AgreesWithAnOrderedMap) {
    const u32 kEntries = GetParam().key_size == 1 ? 128 : 4096;
    TestMap map(GetParam().key_size, kEntries, GetParam().flags);
    ASSERT_NE(map.get(), nullptr);
    std::mt19937 random(GetParam().key_size);
    std::map<u32, u32> model;
    for (u32 step = 0; step < 40000; ++step) {
        const u32 number = random() % (kEntries * 3 / 2);
        const auto at = model.find(number);
        if (random() % 3 == 0) {
            ASSERT_EQ(map.erase(number), at == model.end() ? kNoEnt : 0);
            if (at != model.end()) model.erase(at);
        } else {
            const bool full = model.size() == kEntries && at == model.end();
            ASSERT_EQ(map.update(number, step), full ? kTooBig : 0);
            if (!full) model[number] = step;
        }
        const u32 probe = random() % (kEntries * 3 / 2);
        const auto found = model.find(probe);
        ASSERT_EQ(map.lookup(probe), found == model.end() ? -1 : s64{found->second});
    }
    std::set<std::string> expected;
    for (const auto& [number, value] : model) expected.insert(map.key(number));
    EXPECT_EQ(map.keys(), expected);
    u32 overflowing = 0;
    for (u32 i = 0; i <= map.hash()->bucket_mask; ++i) {
        overflowing += map.hash()->buckets[i].overflow.load(host::Order::Relaxed) != 0;
    }
    EXPECT_TRUE(overflowing > 0 || kEntries < 4096) << "the chains were not tested";
}

// Deleting the key that a walk stands on starts it again; deleting others does not disturb it.
TEST_P(HashMapTest, AWalkMeetsEveryKeyThatStays) {
    const u32 count = GetParam().key_size == 1 ? 200 : 1000;
    TestMap map(GetParam().key_size, count, GetParam().flags);
    ASSERT_NE(map.get(), nullptr);
    for (u32 i = 0; i < count; ++i) map.update(i, i);
    std::set<std::string> staying, seen;
    for (u32 i = 0; i < count; i += 2) staying.insert(map.key(i));
    std::string at(map.get()->key_size, '\0'), next = at;
    s64 error = map.get()->ops->next_key(map.get(), nullptr, at.data());
    u32 deleted = 0;
    while (error == 0) {
        seen.insert(at);
        error = map.get()->ops->next_key(map.get(), at.data(), next.data());
        at = next;
        while (deleted < count && staying.count(map.key(deleted))) ++deleted;
        if (deleted < count && map.key(deleted) != at) map.erase(deleted);
        ++deleted;
    }
    for (const std::string& key : staying) EXPECT_EQ(seen.count(key), 1u);

    ASSERT_EQ(map.get()->ops->next_key(map.get(), nullptr, at.data()), 0);
    ASSERT_EQ(map.get()->ops->next_key(map.get(), map.key(count + 20).data(), next.data()), 0);
    EXPECT_EQ(at, next);
}

TEST_P(HashMapTest, LookupAndDeleteGivesTheValueOnce) {
    TestMap map(GetParam().key_size, 10, GetParam().flags);
    ASSERT_NE(map.get(), nullptr);
    map.update(3, 42);
    u64 value = 0;
    const auto take = [&](u64 number) {
        return map.get()->ops->lookup_and_erase(map.get(), map.key(number).data(), &value, 0);
    };
    EXPECT_EQ(take(4), kNoEnt);
    EXPECT_EQ(take(3), 0);
    EXPECT_EQ(value, u64{42});
    EXPECT_EQ(take(3), kNoEnt);
}

TEST_P(HashMapTest, ValuesOfEverySizeAreWhole) {
    for (const u32 size : {1u, 4u, 7u, 9u, 24u, 1001u}) {
        TestMap map(GetParam().key_size, 4, GetParam().flags, size);
        ASSERT_NE(map.get(), nullptr);
        std::vector<u8> value(size), copy(size);
        for (u32 i = 0; i < size; ++i) value[i] = static_cast<u8>(i * 7 + 1);
        const std::string key = map.key(2);
        ASSERT_EQ(map.get()->ops->update(map.get(), key.data(), value.data(), 0), 0);
        const void* found = map.get()->ops->lookup(map.get(), key.data());
        ASSERT_NE(found, nullptr);
        EXPECT_EQ(std::memcmp(found, value.data(), size), 0);
        EXPECT_EQ(reinterpret_cast<uintptr_t>(found) % 8, 0u);
        ASSERT_EQ(map.get()->ops->copy_value(map.get(), key.data(), copy.data(), 0), 0);
        EXPECT_EQ(copy, value);
    }
}

TEST(HashMap, UsesNoMoreMemoryThanLinux) {
    host::Cpu::Entry inside;
    const std::pair<u32, u64> limits[] = {{4, 80}, {16, 88}, {64, 136}};
    for (const auto& [key_size, limit] : limits) {
        TestMap map(key_size, 1u << 16, 0);
        EXPECT_LE(map.get()->memory.bytes() >> 16, limit);
    }
    TestMap sparse(16, 1u << 20, BPF_F_NO_PREALLOC);
    EXPECT_LE(sparse.get()->memory.bytes() >> 20, u64{17});
}

// What an update took before it knew its bucket goes back.
TEST(HashMap, RefusedUpdatesKeepNothing) {
    host::Cpu::Entry inside;
    constexpr u32 kEntries = 1u << 16;  // enough for places to be fetched ahead on many CPUs
    TestMap map(16, kEntries, BPF_F_NO_PREALLOC);
    ASSERT_EQ(map.update(0, 0), 0);
    for (u32 i = 0; i < 1000; ++i) ASSERT_EQ(map.update(0, i, BPF_NOEXIST), kExist);
    const u64 before = map.get()->memory.bytes();
    for (u32 i = 0; i < 2 * kEntries; ++i) {
        ASSERT_EQ(map.update(0, i, BPF_NOEXIST), kExist);
        ASSERT_EQ(map.update(1, i, BPF_EXIST), kNoEnt);
    }
    EXPECT_EQ(map.get()->memory.bytes(), before);
    for (u32 i = 1; i < kEntries; ++i) ASSERT_EQ(map.update(i, i, BPF_NOEXIST), 0) << i;
    EXPECT_EQ(map.update(kEntries, 1, BPF_NOEXIST), kTooBig);
    EXPECT_EQ(map.update(0, 7), 0);
}

TEST(HashMap, SeedsDifferUnlessZeroIsAskedFor) {
    host::Cpu::Entry inside;
    TestMap a(8, 1, 0), b(8, 1, 0), c(8, 1, BPF_F_ZERO_SEED), d(8, 1, BPF_F_ZERO_SEED);
    EXPECT_NE(a.hash()->seed.a, b.hash()->seed.a);
    EXPECT_EQ(c.hash()->seed.a, d.hash()->seed.a);
}

TEST(HashMap, RefusesWhatLinuxRefuses) {
    host::Cpu::Entry inside;
    const auto error = [](u32 key, u32 value, u32 entries, u32 flags) {
        const bpf_attr attr = hash_attr(key, value, entries, flags);
        const auto checked = kHashMapOps.check_attr(attr);
        if (!checked) return to_int(checked.error());
        auto made = kHashMapOps.create(attr);
        return made ? 0 : to_int(made.error());
    };
    EXPECT_EQ(error(0, 8, 1, 0), to_int(Errno::Inval));
    EXPECT_EQ(error(4, 0, 1, 0), to_int(Errno::Inval));
    EXPECT_EQ(error(4, 8, 0, 0), to_int(Errno::Inval));
    EXPECT_EQ(error(4, 8, 1, BPF_F_MMAPABLE), to_int(Errno::Inval));
    EXPECT_EQ(error(4, 8, 1, BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG), to_int(Errno::Inval));
    EXPECT_EQ(error(8, (1u << 22) - 48 - 8, 1, 0), to_int(Errno::TooBig));
    EXPECT_EQ(error(~0u, ~0u, 1, 0), to_int(Errno::TooBig));
    EXPECT_EQ(error(4, 8, (1u << 27) + 1, 0), to_int(Errno::TooBig));
    EXPECT_EQ(error(4, 8, ~0u, BPF_F_NO_PREALLOC), to_int(Errno::TooBig));
    EXPECT_EQ(error(4, 1u << 21, 1u << 27, 0), to_int(Errno::NoMem));
}

TEST(HashMap, EachFailedAllocationIsCleanedUp) {
    host::Cpu::Entry inside;
    for (const u32 flags : {0u, u32{BPF_F_NO_PREALLOC}}) {
        host::rcu_barrier();
        const machine::LiveMemory before = machine::live_memory();
        for (u64 fail = 0;; ++fail) {
            machine::fail_allocation_after(fail);
            Map* map = make_map(hash_attr(16, 8, 100, flags));
            const bool failed = machine::stop_failing_allocations();
            EXPECT_EQ(map == nullptr, failed);
            if (map) map_put(map);
            host::rcu_barrier();
            EXPECT_EQ(machine::live_memory().bytes, before.bytes) << fail;
            EXPECT_EQ(machine::live_memory().blocks, before.blocks) << fail;
            if (!failed) break;
            ASSERT_LT(fail, u64{20});
        }
    }
}

}  // namespace
}  // namespace barebpf
