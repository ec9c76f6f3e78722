// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Each allocation fails in turn: of creating a map of every type, and of each command on its elements. The error is
// ENOMEM, the map is as it was, and nothing is left behind.
#include <cstring>
#include <vector>

#include "kernel/bpf/map_client_test.h"
#include "testkit/inject.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using test::Batch;
using test::error;

constexpr s64 kNoMem = -to_int(Errno::NoMem);

class MapMemory : public test::WithDescriptors {
protected:
    // Calls operation() with each of its allocations failing: it says ENOMEM then and leaves nothing, and check() finds
    // all as it was. At the end, when none fails, it does what it should. How many there were.
    template <class Operation, class Check>
    u32 fail_each(Operation operation, Check check) {
        test::settle();
        const machine::LiveMemory before = machine::live_memory();
        s64 result = 0;
        const u32 tried = inject::fail_each_allocation(
            [&] { result = operation(); },
            [&](u32 n) {
                EXPECT_EQ(result, kNoMem) << "allocation " << n;
                test::settle();
                EXPECT_EQ(machine::live_memory().blocks, before.blocks) << "allocation " << n;
                EXPECT_EQ(machine::live_memory().bytes, before.bytes) << "allocation " << n;
                check();
            });
        EXPECT_GE(result, 0);
        return tried;
    }
};

// ── Creating ──────────────────────────────────────────────────────────────────────────────────

struct Type {
    const char* name;
    u32 type, key_size, value_size, entries, flags;
    u32 allocations;  // at least
};
constexpr u32 kOnDemand = BPF_F_NO_PREALLOC;
constexpr Type kTypes[] = {
    {"array", BPF_MAP_TYPE_ARRAY, 4, 8, 40, 0, 3},
    {"mapped array", BPF_MAP_TYPE_ARRAY, 4, 8, 40, BPF_F_MMAPABLE, 3},
    {"per-CPU array", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 40, 0, 3},
    {"prog array", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 40, 0, 2},
    {"perf event array", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 40, 0, 2},
    {"cgroup array", BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 40, 0, 2},
    {"array of maps", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 40, 0, 3},
    {"hash", BPF_MAP_TYPE_HASH, 4, 8, 40, 0, 5},
    {"hash on demand", BPF_MAP_TYPE_HASH, 4, 8, 40, kOnDemand, 5},
    {"per-CPU hash", BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 40, 0, 5},
    {"per-CPU hash on demand", BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 40, kOnDemand, 5},
    {"hash of maps", BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 40, 0, 6},
    {"hash of maps on demand", BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 40, kOnDemand, 6},
    {"LRU hash", BPF_MAP_TYPE_LRU_HASH, 4, 8, 40, 0, 8},
    {"LRU hash, lists per CPU", BPF_MAP_TYPE_LRU_HASH, 4, 8, 40, BPF_F_NO_COMMON_LRU, 8},
    {"LRU per-CPU hash", BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, 40, 0, 8},
    {"LRU per-CPU hash, lists per CPU", BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, 40, BPF_F_NO_COMMON_LRU,
     8},
    {"LPM trie", BPF_MAP_TYPE_LPM_TRIE, 8, 8, 40, kOnDemand, 3},
    {"queue", BPF_MAP_TYPE_QUEUE, 0, 8, 40, 0, 3},
    {"stack", BPF_MAP_TYPE_STACK, 0, 8, 40, 0, 3},
    {"bloom filter", BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 40, 0, 3},
    {"stack trace", BPF_MAP_TYPE_STACK_TRACE, 4, 80, 40, 0, 6},
    {"ring buffer", BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0, 3},
    {"user ring buffer", BPF_MAP_TYPE_USER_RINGBUF, 0, 0, 4096, 0, 3},
};

TEST_F(MapMemory, NoCreationThatFailsLeavesAnything) {
    const int inner = keep(Client::create(BPF_MAP_TYPE_ARRAY, 4, 8, 4));
    for (const Type& type : kTypes) {
        bpf_attr attr =
            test::map_attr(type.type, type.key_size, type.value_size, type.entries, type.flags);
        const bool outer =
            type.type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type.type == BPF_MAP_TYPE_HASH_OF_MAPS;
        if (outer) attr.inner_map_fd = static_cast<u32>(inner);
        const auto create = [&]() -> s64 {
            const int fd = Client::create(attr);
            if (fd >= 0) Client::close(fd);
            return fd;
        };
        const u32 tried = fail_each(create, [] {});
        EXPECT_GE(tried, type.allocations) << type.name;
    }
}

// Whatever type is added gets its line above.
TEST_F(MapMemory, EveryTypeIsThere) {
    for (u32 type = 0; type < 64; ++type) {
        bool listed = false;
        for (const Type& one : kTypes) listed |= one.type == type;
        EXPECT_EQ(listed, map_ops(type) != nullptr) << type;
    }
}

// ── Elements ──────────────────────────────────────────────────────────────────────────────────

// Keys and values that are too large for what bpf(2) has on its stack.
struct Key {
    u8 bytes[200];
    explicit Key(u32 number) { std::memset(bytes, static_cast<int>(number), sizeof bytes); }
};
struct Value {
    u8 bytes[300];
    explicit Value(u32 number = 0) { std::memset(bytes, static_cast<int>(number), sizeof bytes); }
    bool operator==(const Value& other) const {
        return std::memcmp(bytes, other.bytes, sizeof bytes) == 0;
    }
};

class ElementMemory : public MapMemory {
protected:
    static constexpr u32 kCount = 5;  // elements that are there: key n has value 10 + n

    void make() {
        fd_ = keep(Client::create(BPF_MAP_TYPE_HASH, sizeof(Key), sizeof(Value), 2 * kCount));
        for (u32 i = 0; i < kCount; ++i) put(i, 10 + i);
    }
    void put(u32 key, u32 value) {
        const Key k(key);
        const Value v(value);
        ASSERT_EQ(Client::update(fd_, &k, &v), 0);
    }
    void expect(u32 key, u32 value) {
        const Key k(key);
        Value v;
        ASSERT_EQ(Client::lookup(fd_, &k, &v), 0) << key;
        EXPECT_EQ(v, Value(value)) << key;
    }
    void expect_absent(u32 key) {
        const Key k(key);
        Value v;
        EXPECT_EQ(Client::lookup(fd_, &k, &v), error(Errno::NoEnt)) << key;
    }
    void expect_as_before() {
        for (u32 i = 0; i < kCount; ++i) expect(i, 10 + i);
        expect_absent(kCount);
    }
    // A command with so many allocations.
    template <class Operation>
    void each_of(u32 allocations, Operation operation) {
        EXPECT_EQ(fail_each(operation, [&] { expect_as_before(); }), allocations);
    }

    int fd_ = -1;
};

TEST_F(ElementMemory, SingleElements) {
    make();
    const Key first(0), fresh(kCount);
    Key next(99);
    const Value other(77);
    Value read;
    each_of(2, [&] { return Client::lookup(fd_, &first, &read); });
    EXPECT_EQ(read, Value(10));
    // Behind a key that is not there comes the first one.
    each_of(2, [&] { return Client::next_key(fd_, &fresh, &next); });
    EXPECT_NE(next.bytes[0], 99);
    each_of(2, [&] { return Client::update(fd_, &fresh, &other, BPF_NOEXIST); });
    expect(kCount, 77);
    Client::erase(fd_, &fresh);
    each_of(2, [&] { return Client::update(fd_, &first, &other, BPF_EXIST); });
    expect(0, 77);
    put(0, 10);
    each_of(2, [&] { return Client::take(fd_, &first, &read); });
    EXPECT_EQ(read, Value(10));
    expect_absent(0);
    put(0, 10);
    each_of(1, [&] { return Client::erase(fd_, &first); });
    expect_absent(0);
}

// Elements beside each other, as a batch has them.
struct Some {
    std::vector<Key> keys;
    std::vector<Value> values;
    u32 cursor[sizeof(Key) / 4] = {};

    Some(u32 first, u32 count, u32 value) {
        for (u32 i = 0; i < count; ++i) {
            keys.emplace_back(first + i);
            values.emplace_back(value + i);
        }
    }
    Batch batch(u32 command, int fd) {
        return {.command = command,
                .fd = fd,
                .count = static_cast<u32>(keys.size()),
                .keys = keys.data(),
                .values = values.data(),
                .out = command == BPF_MAP_LOOKUP_BATCH || command == BPF_MAP_LOOKUP_AND_DELETE_BATCH
                           ? cursor
                           : nullptr};
    }
};

TEST_F(ElementMemory, Batches) {
    make();
    Batch b{};
    const auto run = [&](u32 command, Some& some) {
        return [this, command, &some, &b] {
            b = some.batch(command, fd_);
            return Client::batch(b);
        };
    };
    Some update(0, kCount, 50);
    each_of(1, run(BPF_MAP_UPDATE_BATCH, update));
    EXPECT_EQ(b.count, kCount);
    for (u32 i = 0; i < kCount; ++i) {
        expect(i, 50 + i);
        put(i, 10 + i);
    }
    Some gone(0, kCount, 0);
    each_of(1, run(BPF_MAP_DELETE_BATCH, gone));
    EXPECT_EQ(b.count, kCount);
    for (u32 i = 0; i < kCount; ++i) {
        expect_absent(i);
        put(i, 10 + i);
    }
}

// By bucket: the walk ends with ENOENT, so that a good one is told apart by its count.
TEST_F(ElementMemory, BatchesByBucket) {
    make();
    for (const u32 command : {BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH}) {
        Some read(90, 2 * kCount, 0);
        u32 done = 0;
        each_of(1, [&] {
            Batch b = read.batch(command, fd_);
            const s64 result = Client::batch(b);
            done = b.count;
            EXPECT_EQ(b.count, result == kNoMem ? 0 : kCount);
            return result == error(Errno::NoEnt) ? 0 : result;
        });
        ASSERT_EQ(done, kCount);
        for (u32 i = 0; i < done; ++i) EXPECT_EQ(read.values[i], Value(10 + read.keys[i].bytes[0]));
    }
    for (u32 i = 0; i < kCount; ++i) expect_absent(i);
}

TEST_F(MapMemory, ABatchByKey) {
    constexpr u32 kCount = 40;
    const int fd = keep(Client::create(BPF_MAP_TYPE_ARRAY, 4, 8, kCount));
    std::vector<u32> keys(kCount);
    std::vector<u64> values(kCount);
    u32 out = 0;
    Batch b{};
    const u32 tried = fail_each(
        [&] {
            b = {.command = BPF_MAP_LOOKUP_BATCH,
                 .fd = fd,
                 .count = kCount,
                 .keys = keys.data(),
                 .values = values.data(),
                 .out = &out};
            return Client::batch(b);
        },
        [&] { EXPECT_EQ(b.count, 0u); });
    EXPECT_EQ(tried, 2u);  // the elements on their way, and where the walk is
    EXPECT_EQ(b.count, kCount);
}

// ── A hash that gets no memory any more ───────────────────────────────────────────────────────

// An NMI gets none from the host, so one that goes on inserting comes to the end of what the map has in reserve.
struct Inserter {
    Map* map;
    u32 next = 0;  // key, and value
    s64 result = 0;
    s64 replaced = 0;  // the result for key 0, when nothing could be inserted any more

    static void run(void* argument) {
        auto* self = static_cast<Inserter*>(argument);
        while ((self->result = self->update(self->next)) == 0) ++self->next;
        self->replaced = self->update(0, 1000);
    }
    s64 update(u32 key) { return update(key, key); }
    s64 update(u32 key, u64 value) {
        host::RcuReadGuard rcu;
        return map->ops->update(map, &key, &value, BPF_ANY);
    }
    bool look(u32 key, u64 expected) {
        host::RcuReadGuard rcu;
        const void* value = map->ops->lookup(map, &key);
        return value && host::atomic_at<u64>(value).load(host::Order::Relaxed) == expected;
    }
    u32 walk() {
        u32 count = 0, at, next_key;
        s64 error = map->ops->next_key(map, nullptr, &at);
        for (; error == 0; ++count, at = next_key) error = map->ops->next_key(map, &at, &next_key);
        return count;
    }
};

class HashWithoutMemory : public test::WithMap<> {};

TEST_F(HashWithoutMemory, IsWholeAndGoesOn) {
    constexpr u32 kEntries = 4000;
    for (const u32 type : {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH}) {
        make(test::map_attr(type, 4, 8, kEntries, BPF_F_NO_PREALLOC));
        Inserter inserter{map_};
        ASSERT_TRUE(machine::send_nmi(host::cpu_id(), Inserter::run, &inserter));
        EXPECT_EQ(inserter.result, kNoMem);
        ASSERT_GT(inserter.next, 0u);
        ASSERT_LT(inserter.next, kEntries);
        EXPECT_EQ(inserter.walk(), inserter.next);
        // A value in place needs no memory.
        const bool in_place = type == BPF_MAP_TYPE_PERCPU_HASH;
        EXPECT_EQ(inserter.replaced, in_place ? 0 : kNoMem);
        EXPECT_TRUE(inserter.look(0, in_place ? 1000 : 0));
        for (u32 key = 1; key < inserter.next; ++key) ASSERT_TRUE(inserter.look(key, key)) << key;
        // Where there is memory it takes as many as ever.
        for (u32 key = inserter.next; key < kEntries; ++key) ASSERT_EQ(inserter.update(key), 0);
        EXPECT_EQ(inserter.update(kEntries), error(Errno::TooBig));
        EXPECT_EQ(inserter.walk(), kEntries);
        for (u32 key = 0; key < kEntries; ++key) ASSERT_EQ(map_->ops->erase(map_, &key), 0);
        EXPECT_EQ(inserter.walk(), 0u);
        drop();
    }
}

}  // namespace
}  // namespace barebpf
