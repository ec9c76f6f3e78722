// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/bloom_filter.h"

#include <string>

#include "kernel/bpf/map_test.h"
#include "testkit/inject.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;

constexpr s64 kNoEnt = -to_int(Errno::NoEnt);

bpf_attr bloom_attr(u32 entries, u32 value_size, u64 functions) {
    bpf_attr attr = test::map_attr(BPF_MAP_TYPE_BLOOM_FILTER, 0, value_size, entries);
    attr.map_extra = functions;
    return attr;
}

class BloomTest : public test::WithMap<> {
protected:
    std::string value_of(u32 number) const {
        std::string value(map_->value_size, '\0');
        for (u32 i = 0; i < value.size(); ++i) {
            value[i] = static_cast<char>(number >> (i % 4 * 8) ^ (i / 4));
        }
        return value;
    }
    s64 push(u32 number, u64 flags = 0) {
        return map_->ops->push(map_, value_of(number).data(), flags);
    }
    s64 peek(u32 number) { return map_->ops->peek(map_, value_of(number).data()); }
};

TEST_F(BloomTest, AttributesAreCheckedAsLinuxDoes) {
    const auto ok = [](auto change) {
        bpf_attr attr = bloom_attr(10, 8, 0);
        change(attr);
        return kBloomFilterMapOps.check_attr(attr).ok();
    };
    EXPECT_TRUE(ok([](bpf_attr&) {}));
    EXPECT_TRUE(ok([](bpf_attr& a) { a.map_extra = 15; }));
    EXPECT_TRUE(ok([](bpf_attr& a) { a.map_flags = BPF_F_ZERO_SEED; }));
    EXPECT_FALSE(ok([](bpf_attr& a) { a.map_extra = 16; }));
    EXPECT_FALSE(ok([](bpf_attr& a) { a.key_size = 4; }));
    EXPECT_FALSE(ok([](bpf_attr& a) { a.value_size = 0; }));
    EXPECT_FALSE(ok([](bpf_attr& a) { a.max_entries = 0; }));
    EXPECT_FALSE(ok([](bpf_attr& a) { a.map_flags = BPF_F_NO_PREALLOC; }));
}

// What was pushed is there; of what was not, hardly more than a full filter's share is.
TEST_F(BloomTest, NoFalseNoAndFewFalseYes) {
    constexpr u32 kEntries = 2000;
    for (const u32 size : {4u, 5u, 8u, 16u, 100u}) {
        for (const u64 functions : {0u, 1u, 3u, 10u, 15u}) {
            make(bloom_attr(kEntries, size, functions));
            EXPECT_EQ(peek(1), kNoEnt);
            for (u32 i = 0; i < kEntries; ++i) ASSERT_EQ(push(i), 0);
            for (u32 i = 0; i < kEntries; ++i) ASSERT_EQ(peek(i), 0) << i;
            u32 wrong = 0;
            for (u32 i = 0; i < kEntries; ++i) wrong += peek(1000000 + i) == 0;
            // At most half of the bits are set: 2^-functions of all others, in the mean.
            EXPECT_LE(wrong, (kEntries >> (functions ? functions : 5)) * 3 / 2 + 20)
                << size << " " << functions;
            drop();
        }
    }
}

TEST_F(BloomTest, SizeIsLinuxs) {
    const auto bytes = [&](u32 entries, u64 functions) {
        make(bloom_attr(entries, 8, functions));
        const u64 result = map_->memory.bytes() - sizeof(BloomFilter);
        drop();
        return result;
    };
    EXPECT_EQ(bytes(1, 0), 8u);
    EXPECT_EQ(bytes(9, 5), 8u);
    EXPECT_EQ(bytes(10, 5), 16u);
    EXPECT_EQ(bytes(1000, 5), 1024u);
    EXPECT_EQ(bytes(1000, 10), 2048u);
}

TEST_F(BloomTest, OnlyPushAndPeek) {
    make(bloom_attr(10, 8, 0));
    u64 value = 0;
    EXPECT_EQ(push(1, BPF_NOEXIST), -to_int(Errno::Inval));
    EXPECT_EQ(push(1, BPF_EXIST), -to_int(Errno::Inval));
    EXPECT_EQ(map_->ops->pop(map_, &value), -to_int(Errno::OpNotSupp));
    EXPECT_EQ(map_->ops->erase(map_, &value), -to_int(Errno::OpNotSupp));
    EXPECT_EQ(map_->ops->next_key(map_, nullptr, &value), -to_int(Errno::OpNotSupp));
}

TEST_F(BloomTest, AFailedCreationLeavesNothing) {
    const machine::LiveMemory before = machine::live_memory();
    const u32 allocations = inject::fail_each_allocation(
        [&] {
            if (auto made = kBloomFilterMapOps.create(bloom_attr(1000, 8, 0))) {
                kBloomFilterMapOps.free(made.value());
            }
        },
        [&](u32) { EXPECT_EQ(machine::live_memory().blocks, before.blocks); });
    EXPECT_EQ(allocations, 2u);
}

// All push at once into the same words, NMIs in between: no bit is lost.
TEST_F(BloomTest, NoPushIsLostOnManyCpus) {
    const u32 each = test::rounds(2000);
    const u32 cpus = test::cpus_up_to(4);
    make(bloom_attr(each * cpus, 4, 5));
    struct Nmi {
        Map* map;
        Atomic<u32> next{1u << 30};
        static void run(void* argument) {
            auto* self = static_cast<Nmi*>(argument);
            const u32 number = self->next.fetch_add(1, Order::Relaxed);
            self->map->ops->push(self->map, &number, 0);
        }
    } nmi{map_};
    test::run_on_cpus(cpus, [&](u32 cpu) {
        for (u32 i = 0; i < each; ++i) {
            const u32 number = i * cpus + cpu;
            if (i % 50 == 0) machine::send_nmi(host::cpu_id(), Nmi::run, &nmi);
            map_->ops->push(map_, &number, 0);
            host::Cpu::yield_point();
        }
    });
    u32 lost = 0;
    for (u32 number = 0; number < each * cpus; ++number) {
        lost += map_->ops->peek(map_, &number) != 0;
    }
    for (u32 number = 1u << 30; number < nmi.next.load(Order::Relaxed); ++number) {
        lost += map_->ops->peek(map_, &number) != 0;
    }
    EXPECT_EQ(lost, 0u);
}

}  // namespace
}  // namespace barebpf
