// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/element_limit.h"

#include "kernel/bpf/map_test.h"
#include "testkit/machine.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;

constexpr u32 kLimits[] = {1, 2, 15, 64, 1000, 65536};

class ElementLimitTest : public ::testing::Test {
protected:
    void TearDown() override { limit_.destroy(); }
    void make(u32 limit) {
        limit_.destroy();
        limit_.~ElementLimit();
        new (&limit_) ElementLimit;
        ASSERT_TRUE(limit_.create(limit, owner_));
    }
    u32 take_all() {
        host::Cpu::Pin pin;
        u32 count = 0;
        while (limit_.take()) ++count;
        return count;
    }
    void give(u32 count) {
        host::Cpu::Pin pin;
        while (count--) limit_.give();
    }

    host::Cpu::Entry inside_;
    host::MemoryOwner owner_;
    ElementLimit limit_;
};

TEST_F(ElementLimitTest, HasThatManyPlaces) {
    for (const u32 limit : kLimits) {
        make(limit);
        EXPECT_EQ(take_all(), limit);
        give(1);
        EXPECT_EQ(take_all(), 1u);
        give(limit);
        EXPECT_EQ(take_all(), limit);
        give(limit / 2);
        EXPECT_EQ(take_all(), limit / 2);
    }
}

TEST_F(ElementLimitTest, PlacesThatLieWithOthersAreFound) {
    NEEDS_CPUS(2);
    for (const u32 limit : kLimits) {
        make(limit);
        EXPECT_EQ(take_all(), limit);
        test::run_on_cpus(2, [&](u32 cpu) {
            if (cpu == 1) give(limit);
        });
        EXPECT_EQ(take_all(), limit);
    }
}

// Never more than there are, and none is lost.
TEST_F(ElementLimitTest, AllCpusAtOnce) {
    const u32 cpus = test::cpus_up_to(4), rounds = test::rounds(20'000);
    for (const u32 limit : kLimits) {
        make(limit);
        Atomic<u32> in_use{}, bad{};
        test::run_on_cpus(cpus, [&](u32 cpu) {
            u32 mine = 0;
            for (u32 i = 0; i < rounds || mine; ++i) {
                host::Cpu::Pin pin;
                if (i < rounds && ((i * 8 + cpu) * 2654435761u >> 16) % 5 < 3) {
                    if (!limit_.take()) continue;
                    ++mine;
                    if (in_use.fetch_add(1, Order::Relaxed) >= limit)
                        bad.fetch_add(1, Order::Relaxed);
                } else if (mine) {
                    --mine;
                    in_use.fetch_sub(1, Order::Relaxed);
                    limit_.give();
                }
            }
        });
        EXPECT_EQ(bad.load(Order::Relaxed), 0u) << limit;
        EXPECT_EQ(in_use.load(Order::Relaxed), 0u) << limit;
        EXPECT_EQ(take_all(), limit);
    }
}

}  // namespace
}  // namespace barebpf
