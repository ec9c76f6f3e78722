// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/percpu_array.h"

#include <cstring>
#include <vector>

#include "kernel/bpf/map_client_test.h"
#include "testkit/inject.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using test::error;

bpf_attr percpu_attr(u32 value_size, u32 entries, u32 flags = 0) {
    return test::map_attr(BPF_MAP_TYPE_PERCPU_ARRAY, 4, value_size, entries, flags);
}

class PercpuArrayTest : public test::WithMap<> {
protected:
    void make(u32 value_size, u32 entries) { WithMap::make(percpu_attr(value_size, entries)); }
    u64* lookup(u32 index) { return static_cast<u64*>(map_->ops->lookup(map_, &index)); }
    u64* of_cpu(u32 index, u32 cpu) {
        return static_cast<u64*>(map_->ops->lookup_percpu(map_, &index, cpu));
    }
};

TEST_F(PercpuArrayTest, AProgramSeesItsOwnCpusValue) {
    make(8, 3);
    host::Cpu::Pin pin;
    const u32 self = host::cpu_id();
    for (u32 index = 0; index < 3; ++index) {
        ASSERT_NE(lookup(index), nullptr);
        EXPECT_EQ(lookup(index), of_cpu(index, self));
        const u64 value = 100 + index;
        EXPECT_EQ(map_->ops->update(map_, &index, &value, BPF_ANY), 0);
        for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
            EXPECT_EQ(*of_cpu(index, cpu), cpu == self ? value : u64{0}) << cpu;
        }
    }
    EXPECT_EQ(lookup(3), nullptr);
    EXPECT_EQ(of_cpu(3, 0), nullptr);
    EXPECT_EQ(of_cpu(0, host::possible_cpus()), nullptr);
    EXPECT_EQ(of_cpu(0, ~0u), nullptr);
}

TEST_F(PercpuArrayTest, NoValueOverlapsAnother) {
    for (const u32 size : {1u, 4u, 8u, 13u, 100u}) {
        make(size, 5);
        const u32 step = (size + 7) / 8 * 8;
        for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
            for (u32 index = 0; index < 5; ++index) {
                u8* value = reinterpret_cast<u8*>(of_cpu(index, cpu));
                for (u32 i = 0; i < step; ++i) ASSERT_EQ(value[i], 0);
                std::memset(value, 1 + static_cast<int>(cpu * 5 + index), step);
            }
        }
        for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
            for (u32 index = 0; index < 5; ++index) {
                EXPECT_EQ(*reinterpret_cast<u8*>(of_cpu(index, cpu)),
                          static_cast<u8>(1 + cpu * 5 + index));
            }
        }
        map_put(map_);
    }
    map_ = nullptr;
}

TEST_F(PercpuArrayTest, TakesNoMoreMemoryThanLinux) {
    make(8, 1000);
    // There: a pointer for each element, and the values.
    const u64 linux_bytes = 1000 * (8 + 8 * u64{host::possible_cpus()});
    EXPECT_LE(map_->memory.bytes(), linux_bytes + 512);
    EXPECT_GE(map_->memory.bytes(), 8000 * u64{host::possible_cpus()});
}

TEST_F(PercpuArrayTest, UpdatesByProgramsAreChecked) {
    make(8, 2);
    const u64 value = 1;
    const auto update = [&](u32 index, u64 flags) {
        return map_->ops->update(map_, &index, &value, flags);
    };
    EXPECT_EQ(update(0, BPF_EXIST), 0);
    EXPECT_EQ(update(0, BPF_NOEXIST), error(Errno::Exist));
    EXPECT_EQ(update(2, BPF_NOEXIST), error(Errno::TooBig));
    EXPECT_EQ(update(0, 3), error(Errno::Inval));
    EXPECT_EQ(update(0, BPF_F_LOCK), error(Errno::Inval));
    const u32 index = 0;
    EXPECT_EQ(map_->ops->erase(map_, &index), error(Errno::Inval));
}

struct Counting : ElementVisitor {
    u32 most, seen = 0;
    u64 sum = 0;
};

TEST_F(PercpuArrayTest, ForEachShowsThisCpusValues) {
    make(8, 4);
    host::Cpu::Pin pin;
    for (u32 index = 0; index < 4; ++index) *lookup(index) = index * 10;
    const auto visit = [](ElementVisitor* self, const void* key, void* value) {
        auto* count = static_cast<Counting*>(self);
        u32 index;
        std::memcpy(&index, key, sizeof index);
        EXPECT_EQ(index, count->seen);
        count->sum += *static_cast<u64*>(value);
        return ++count->seen < count->most;
    };
    Counting all{{visit}, 99}, two{{visit}, 2};
    EXPECT_EQ(map_->ops->for_each(map_, &all), 4);
    EXPECT_EQ(all.sum, u64{60});
    EXPECT_EQ(map_->ops->for_each(map_, &two), 2);
    EXPECT_EQ(two.seen, 2u);
}

TEST_F(PercpuArrayTest, UserSpaceSeesAllCpus) {
    const int fd = Client::create(percpu_attr(5, 3));
    ASSERT_GE(fd, 0);
    const u32 cpus = host::possible_cpus();
    const u32 key = 1, beyond = 3;
    std::vector<u64> values(cpus), read(cpus);
    for (u32 cpu = 0; cpu < cpus; ++cpu) values[cpu] = 0xff'0000'0000'00 + cpu + 1;
    EXPECT_EQ(Client::update(fd, &key, values.data()), 0);
    EXPECT_EQ(Client::lookup(fd, &key, read.data()), 0);
    // With the bytes that fill a value up to 8, as on Linux.
    EXPECT_EQ(read, values);
    EXPECT_EQ(Client::update(fd, &key, values.data(), BPF_NOEXIST), error(Errno::Exist));
    EXPECT_EQ(Client::update(fd, &key, values.data(), 3), error(Errno::Inval));
    EXPECT_EQ(Client::update(fd, &beyond, values.data()), error(Errno::TooBig));
    EXPECT_EQ(Client::lookup(fd, &beyond, read.data()), error(Errno::NoEnt));
    Client::close(fd);
}

TEST_F(PercpuArrayTest, LimitsAreLinuxs) {
    EXPECT_EQ(kPercpuArrayMapOps.check_attr(percpu_attr(32768, 1)).ok(), true);
    EXPECT_EQ(kPercpuArrayMapOps.check_attr(percpu_attr(32769, 1)).error(), Errno::TooBig);
    EXPECT_EQ(kPercpuArrayMapOps.check_attr(percpu_attr(8, 1, BPF_F_MMAPABLE)).error(),
              Errno::Inval);
    EXPECT_EQ(kPercpuArrayMapOps.check_attr(percpu_attr(8, 1, BPF_F_NUMA_NODE)).error(),
              Errno::Inval);
}

TEST_F(PercpuArrayTest, AnAllocationThatFailsLeavesNothingBehind) {
    host::rcu_barrier();
    const auto before = machine::live_memory();
    const u32 tried = inject::fail_each_allocation(
        [] {
            const int fd = Client::create(percpu_attr(8, 100));
            if (fd >= 0) Client::close(fd);
        },
        [&](u32) {
            host::rcu_barrier();
            EXPECT_EQ(machine::live_memory().blocks, before.blocks);
        });
    EXPECT_GE(tried, 2u);
}

}  // namespace
}  // namespace barebpf
