// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// bpf(2)'s batches: portions, faults, walks by key and by bucket. Buckets are those of a type made up here,
// so that their sizes are known.
#include <cstring>
#include <numeric>
#include <vector>

#include "kernel/bpf/map.h"
#include "kernel/bpf/map_client_test.h"
#include "testkit/inject.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using test::Batch;
using test::error;

// What bpf(2) returns; count is updated.
s64 run(Batch& b) {
    return Client::batch(b);
}

class SyscallBatch : public test::WithDescriptors {
protected:
    int make(u32 type, u32 value_size, u32 entries, u32 flags = 0) {
        return keep(Client::create(type, 4, value_size, entries, flags));
    }
};

TEST_F(SyscallBatch, AnArrayInStepsOfEverySize) {
    const int fd = make(BPF_MAP_TYPE_ARRAY, 4, 600);
    std::vector<u32> keys(600), values(600);
    std::iota(keys.begin(), keys.end(), 0);
    for (u32 i = 0; i < 600; ++i) values[i] = i * 3 + 1;
    Batch update = {.command = BPF_MAP_UPDATE_BATCH,
                    .fd = fd,
                    .count = 600,
                    .keys = keys.data(),
                    .values = values.data()};
    ASSERT_EQ(run(update), 0);
    EXPECT_EQ(update.count, 600u);
    for (const u32 step : {1u, 255u, 256u, 257u, 599u, 600u, 601u}) {
        std::vector<u32> k(700), v(700);
        u32 cursor = 0, done = 0;
        s64 result = 0;
        while (result == 0) {
            Batch walk = {.command = BPF_MAP_LOOKUP_BATCH,
                          .fd = fd,
                          .count = std::min(step, 700 - done),
                          .keys = &k[done],
                          .values = &v[done],
                          .in = done ? &cursor : nullptr,
                          .out = &cursor};
            result = run(walk);
            done += walk.count;
        }
        EXPECT_EQ(result, error(Errno::NoEnt));
        ASSERT_EQ(done, 600u) << step;
        for (u32 i = 0; i < 600; ++i) {
            ASSERT_EQ(k[i], i);
            ASSERT_EQ(v[i], i * 3 + 1);
        }
    }
}

TEST_F(SyscallBatch, PerCpuValuesStandSideBySide) {
    const int fd = make(BPF_MAP_TYPE_PERCPU_ARRAY, 8, 300);
    const u32 cpus = host::possible_cpus();
    std::vector<u32> keys(300);
    std::iota(keys.begin(), keys.end(), 0);
    std::vector<u64> values(300 * cpus);
    std::iota(values.begin(), values.end(), 5);
    Batch b = {.command = BPF_MAP_UPDATE_BATCH,
               .fd = fd,
               .count = 300,
               .keys = keys.data(),
               .values = values.data()};
    ASSERT_EQ(run(b), 0);
    std::vector<u64> one(cpus);
    const u32 key = 200;
    ASSERT_EQ(Client::lookup(fd, &key, one.data()), 0);
    for (u32 cpu = 0; cpu < cpus; ++cpu) EXPECT_EQ(one[cpu], 5 + u64{200} * cpus + cpu);
    std::vector<u64> read(300 * cpus);
    u32 cursor;
    b.command = BPF_MAP_LOOKUP_BATCH;
    b.values = read.data();
    b.out = &cursor;
    ASSERT_EQ(run(b), 0);
    EXPECT_EQ(read, values);
}

TEST_F(SyscallBatch, AnErrorSaysHowManyWereDone) {
    const int fd = make(BPF_MAP_TYPE_ARRAY, 4, 600);
    std::vector<u32> keys(600, 1), values(600, 2);
    for (const u32 bad : {0u, 1u, 255u, 256u, 599u}) {
        std::fill(keys.begin(), keys.end(), 1);
        keys[bad] = 600;
        Batch b = {.command = BPF_MAP_UPDATE_BATCH,
                   .fd = fd,
                   .count = 600,
                   .keys = keys.data(),
                   .values = values.data()};
        EXPECT_EQ(run(b), error(Errno::TooBig));
        EXPECT_EQ(b.count, bad);
    }
    Batch b = {.command = BPF_MAP_UPDATE_BATCH,
               .fd = fd,
               .count = 2,
               .keys = reinterpret_cast<void*>(8),
               .values = values.data()};
    EXPECT_EQ(run(b), error(Errno::Fault));
    EXPECT_EQ(b.count, 0u);
}

TEST_F(SyscallBatch, AccessAndFreezing) {
    u32 key = 0, value = 0, cursor;
    const auto call = [&](u32 command, int fd) {
        Batch b = {.command = command,
                   .fd = fd,
                   .count = 1,
                   .keys = &key,
                   .values = &value,
                   .out = &cursor};
        return run(b);
    };
    const int read_only = make(BPF_MAP_TYPE_ARRAY, 4, 4, BPF_F_RDONLY);
    EXPECT_EQ(call(BPF_MAP_LOOKUP_BATCH, read_only), 0);
    EXPECT_EQ(call(BPF_MAP_UPDATE_BATCH, read_only), error(Errno::Perm));
    EXPECT_EQ(call(BPF_MAP_DELETE_BATCH, read_only), error(Errno::Perm));
    const int write_only = make(BPF_MAP_TYPE_ARRAY, 4, 4, BPF_F_WRONLY);
    EXPECT_EQ(call(BPF_MAP_LOOKUP_BATCH, write_only), error(Errno::Perm));
    EXPECT_EQ(call(BPF_MAP_LOOKUP_AND_DELETE_BATCH, write_only), error(Errno::Perm));
    EXPECT_EQ(call(BPF_MAP_UPDATE_BATCH, write_only), 0);
    const int frozen = make(BPF_MAP_TYPE_ARRAY, 4, 4);
    ASSERT_EQ(Client::freeze(frozen), 0);
    EXPECT_EQ(call(BPF_MAP_LOOKUP_BATCH, frozen), 0);
    EXPECT_EQ(call(BPF_MAP_UPDATE_BATCH, frozen), error(Errno::Perm));
    const int array = make(BPF_MAP_TYPE_ARRAY, 4, 4);
    EXPECT_EQ(call(BPF_MAP_DELETE_BATCH, array), error(Errno::NotSupp));
    EXPECT_EQ(call(BPF_MAP_LOOKUP_AND_DELETE_BATCH, array), error(Errno::NotSupp));
    EXPECT_EQ(Client::freeze(array), 0) << "a batch left the map as being written";
}

// ── By bucket ─────────────────────────────────────────────────────────────────────────────────

// Buckets of made-up sizes; key n is element n from the start, its value n + 1000.
struct Buckets {
    std::vector<u32> sizes;
    std::vector<bool> erased;
    u64 flags = 0;
    u32 failing = ~u32{0};
} made_up;

s64 collect_made_up(Map*, u32 bucket, bool erase, u64 flags, CollectedBucket* out) {
    made_up.flags = flags;
    if (bucket >= made_up.sizes.size()) return error(Errno::NoEnt);
    if (bucket == made_up.failing) return error(Errno::Busy);
    const u32 first = std::accumulate(made_up.sizes.begin(), made_up.sizes.begin() + bucket, 0u);
    out->count = made_up.erased[bucket] ? 0 : made_up.sizes[bucket];
    if (out->count > out->capacity) return 0;
    for (u32 i = 0; i < out->count; ++i) {
        const u32 key = first + i, value = key + 1000;
        std::memcpy(out->keys + 4 * i, &key, 4);
        std::memcpy(out->values + 4 * i, &value, 4);
    }
    if (erase) made_up.erased[bucket] = true;
    return 0;
}

class BucketBatch : public SyscallBatch {
protected:
    void use(std::vector<u32> sizes) {
        made_up.erased.assign(sizes.size(), false);
        made_up.sizes = std::move(sizes);
        made_up.failing = ~u32{0};
        if (map_) return;
        fd_ = make(BPF_MAP_TYPE_HASH, 4, 4);
        const MapRef ref = map_get_by_fd(fd_).release();
        map_ = ref.map;
        map_put(map_);
        ops_ = *map_->ops;
        ops_.collect_bucket = collect_made_up;
        ops_.batch_commands = kBatchLookup | kBatchLookupAndDelete;
        map_->ops = &ops_;
    }
    Batch batch(u32 count, bool first = true) {
        keys_.assign(5000, 0);
        values_.assign(5000, 0);
        return {.command = BPF_MAP_LOOKUP_BATCH,
                .fd = fd_,
                .count = count,
                .keys = keys_.data(),
                .values = values_.data(),
                .in = first ? nullptr : &cursor_,
                .out = &cursor_};
    }
    void expect_keys(u32 from, u32 count) {
        for (u32 i = 0; i < count; ++i) {
            ASSERT_EQ(keys_[i], from + i);
            ASSERT_EQ(values_[i], from + i + 1000);
        }
        EXPECT_EQ(keys_[count], 0u) << "wrote more";
    }

    int fd_ = -1;
    Map* map_ = nullptr;
    MapOps ops_;
    u32 cursor_ = 77;
    std::vector<u32> keys_, values_;
};

TEST_F(BucketBatch, WholeBucketsOnly) {
    use({0, 3, 0, 5, 1, 0});
    Batch b = batch(2);
    EXPECT_EQ(run(b), error(Errno::NoSpc));
    EXPECT_EQ(b.count, 0u);
    EXPECT_EQ(cursor_, 1u);
    b = batch(3, false);
    EXPECT_EQ(run(b), 0);
    EXPECT_EQ(b.count, 3u);
    EXPECT_EQ(cursor_, 3u);
    expect_keys(0, 3);
    b = batch(5, false);
    EXPECT_EQ(run(b), 0);
    EXPECT_EQ(b.count, 5u);
    EXPECT_EQ(cursor_, 4u);
    expect_keys(3, 5);
    b = batch(5, false);
    EXPECT_EQ(run(b), error(Errno::NoEnt));
    EXPECT_EQ(b.count, 1u);
    EXPECT_EQ(cursor_, 6u);
    expect_keys(8, 1);
    b = batch(5, false);
    cursor_ = 6;
    EXPECT_EQ(run(b), error(Errno::NoEnt));
    EXPECT_EQ(b.count, 0u);
    b = batch(9);
    EXPECT_EQ(run(b), error(Errno::NoEnt));
    EXPECT_EQ(b.count, 9u);
    expect_keys(0, 9);
}

TEST_F(BucketBatch, LargerThanAPortion) {
    use({100, 200, 1000, 3, 0, 300});
    Batch b = batch(2000);
    EXPECT_EQ(run(b), error(Errno::NoEnt));
    EXPECT_EQ(b.count, 1603u);
    expect_keys(0, 1603);
    b = batch(1299);
    EXPECT_EQ(run(b), 0);
    EXPECT_EQ(b.count, 300u);
    EXPECT_EQ(cursor_, 2u);
    use(std::vector<u32>(10000, 0));
    made_up.sizes[9000] = 4;
    b = batch(4);
    EXPECT_EQ(run(b), error(Errno::NoEnt));
    EXPECT_EQ(b.count, 4u);
    expect_keys(0, 4);
}

TEST_F(BucketBatch, EachIsTakenOnce) {
    use({1, 2, 3, 4, 5});
    u32 total = 0;
    bool first = true;
    for (s64 result = 0; result == 0; first = false) {
        Batch b = batch(5, first);
        b.command = BPF_MAP_LOOKUP_AND_DELETE_BATCH;
        result = run(b);
        expect_keys(total, b.count);
        total += b.count;
    }
    EXPECT_EQ(total, 15u);
    Batch b = batch(15);
    EXPECT_EQ(run(b), error(Errno::NoEnt));
    EXPECT_EQ(b.count, 0u);
}

TEST_F(BucketBatch, ErrorsOnTheWay) {
    use({4, 4, 4});
    made_up.failing = 1;
    Batch b = batch(100);
    EXPECT_EQ(run(b), error(Errno::Busy));
    EXPECT_EQ(b.count, 4u);
    EXPECT_EQ(cursor_, 1u);
    use({4, 4, 4});
    b = batch(100);
    b.flags = 1;
    EXPECT_EQ(run(b), error(Errno::Inval));
    EXPECT_EQ(b.count, 100u);
    b = batch(100);
    b.elem_flags = BPF_F_LOCK;
    EXPECT_EQ(run(b), error(Errno::Inval));
    b = batch(100);
    b.values = nullptr;
    EXPECT_EQ(run(b), error(Errno::Fault));
    EXPECT_EQ(b.count, 0u);
    b = batch(100);
    b.out = nullptr;
    EXPECT_EQ(run(b), error(Errno::Fault));
    b = batch(100);
    b.in = reinterpret_cast<void*>(8);
    EXPECT_EQ(run(b), error(Errno::Fault));
    b = batch(0);
    EXPECT_EQ(run(b), 0);
}

TEST_F(BucketBatch, NoMemory) {
    use({300, 3});
    host::rcu_barrier();
    const auto before = machine::live_memory();
    const u32 tried = inject::fail_each_allocation(
        [&] {
            Batch b = batch(1000);
            const s64 result = run(b);
            EXPECT_TRUE(result == error(Errno::NoEnt) || result == error(Errno::NoMem)) << result;
            EXPECT_EQ(b.count, result == error(Errno::NoEnt) ? 303u : 0u);
        },
        [&](u32) { EXPECT_EQ(machine::live_memory().blocks, before.blocks); });
    EXPECT_EQ(tried, 2u);
}

// What was taken out before memory ran out is counted, and where the walk is says where to go on.
TEST_F(BucketBatch, NoMemoryOnTheWay) {
    use({3, 300, 2});
    host::rcu_barrier();
    const auto before = machine::live_memory();
    u32 taken = 0;
    const auto take = [&](bool first) {
        Batch b = batch(1000, first);
        b.command = BPF_MAP_LOOKUP_AND_DELETE_BATCH;
        const s64 result = run(b);
        expect_keys(taken, b.count);
        taken += b.count;
        return result;
    };
    machine::fail_allocation_after(1);
    EXPECT_EQ(take(true), error(Errno::NoMem));
    EXPECT_TRUE(machine::stop_failing_allocations());
    EXPECT_EQ(taken, 3u);
    EXPECT_EQ(cursor_, 1u);
    EXPECT_FALSE(made_up.erased[1]);
    EXPECT_EQ(machine::live_memory().blocks, before.blocks);
    EXPECT_EQ(take(false), error(Errno::NoEnt));
    EXPECT_EQ(taken, 305u);
}

}  // namespace
}  // namespace barebpf
