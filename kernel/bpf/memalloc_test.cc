// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/memalloc.h"

#include <set>
#include <vector>

#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

class MemallocTest : public ::testing::Test {
protected:
    void make(u32 stride, u32 expected) { ASSERT_TRUE(pool_.create(stride, expected, owner_)); }
    void TearDown() override {
        while (!pool_.try_destroy()) host::rcu_barrier();
        EXPECT_EQ(owner_.bytes(), u64{0});
    }
    u32 alloc() {
        pool_.prepare();
        return pool_.alloc();
    }
    static constexpr u32 kGathered =
        16;  // before they wait for a grace period, where objects are small
    u64& word(u32 index) { return *reinterpret_cast<u64*>(pool_.at(index) + 8); }

    host::Cpu::Entry entry_;
    host::MemoryOwner owner_;
    Memalloc pool_;
};

TEST_F(MemallocTest, ObjectsAreDistinctAndApart) {
    for (const u32 stride : {16u, 40u, 5000u, 300000u}) {
        const u32 count = stride > 100000 ? 30 : 300;
        make(stride, count);
        std::set<u32> indices;
        for (u32 i = 0; i < count; ++i) {
            const u32 index = alloc();
            ASSERT_NE(index, Memalloc::kNone) << stride;
            ASSERT_TRUE(indices.insert(index).second);
            word(index) = index;
        }
        for (u32 index : indices) ASSERT_EQ(word(index), index);
        while (!pool_.try_destroy()) host::rcu_barrier();
        EXPECT_EQ(owner_.bytes(), u64{0});
    }
    make(16, 1);
}

TEST_F(MemallocTest, MemoryFollowsUse) {
    make(64, 1u << 20);
    const u64 empty = owner_.bytes();
    EXPECT_LT(empty, u64{128} << 10);
    alloc();
    EXPECT_LE(owner_.bytes() - empty, u64{256} << 10);
}

TEST_F(MemallocTest, FreedObjectsWaitForReaders) {
    make(16, 4);
    const u32 index = alloc();
    std::set<u32> others;
    {
        host::RcuReadGuard reader;
        pool_.free_rcu(index);
        for (u32 i = 1; i < kGathered; ++i) pool_.free_rcu(alloc());
        for (u32 i = 0; i < 8; ++i) others.insert(alloc());
    }
    EXPECT_EQ(others.count(index), 0u);
    host::rcu_barrier();
    std::set<u32> later;
    for (u32 i = 0; i < 4096; ++i) {
        const u32 again = alloc();
        if (!again) break;
        later.insert(again);
    }
    EXPECT_EQ(later.count(index), 1u);
}

// Replacing one object again and again inside one read section must go on for ever.
TEST_F(MemallocTest, ReplacingWithinOneReadSectionNeverRunsOut) {
    make(16, 1);
    const u64 bound = u64{1} << 20;
    host::RcuReadGuard reader;
    u32 held = alloc();
    for (u32 i = 0; i < 200000; ++i) {
        const u32 fresh = alloc();
        ASSERT_NE(fresh, Memalloc::kNone) << i;
        ASSERT_NE(fresh, held);
        pool_.free_rcu(held);
        held = fresh;
    }
    EXPECT_LT(owner_.bytes(), bound);
}

// In an NMI there are objects too, from the first on, and again once memory could be had in between.
TEST_F(MemallocTest, AnNmiHasAReserve) {
    make(16, 1000);
    struct Burst {
        Memalloc* pool;
        u32 wanted, got;
        host::Atomic<u32> over{};
        static void run(void* argument) {
            auto* self = static_cast<Burst*>(argument);
            for (u32 i = 0; i < self->wanted; ++i) {
                self->pool->prepare();
                self->got += self->pool->alloc() != Memalloc::kNone;
            }
            self->over.store(1, host::Order::Release);  // pairs with in_nmi()
        }
        // A sanitizer may put the signal off.
        void in_nmi() {
            got = 0;
            over.store(0, host::Order::Relaxed);
            ASSERT_TRUE(machine::send_nmi(host::cpu_id(), run, this));
            while (!over.load(host::Order::Acquire)) test::lose_processor();
        }
    };
    u32 total = 0;
    for (u32 round = 0; round < 4; ++round) {
        Burst burst{&pool_, 200, 0};
        burst.in_nmi();
        EXPECT_EQ(burst.got, 200u);
        Burst rest{&pool_, 1, 0};  // until nothing is left
        for (rest.in_nmi(); rest.got; rest.in_nmi()) total += rest.got;
        total += burst.got;
        pool_.prepare();
    }
    EXPECT_GE(total, 800u);
}

// The callback of a grace period takes the chain by its ends.
TEST_F(MemallocTest, ManyFreedAtOnceComeBack) {
    constexpr u32 kCount = 300 * kGathered;
    make(16, kCount);
    std::set<u32> held, again;
    for (u32 i = 0; i < kCount; ++i) held.insert(alloc());
    for (u32 index : held) pool_.free_rcu(index);
    host::rcu_barrier();
    host::rcu_barrier();
    u32 next;
    while ((next = pool_.alloc()) != Memalloc::kNone) ASSERT_TRUE(again.insert(next).second);
    for (const u32 index : held) ASSERT_EQ(again.count(index), 1u);
}

// What is gathered is used when there is nothing else.
TEST_F(MemallocTest, GatheredObjectsAreNotLost) {
    make(16, 1);
    std::set<u32> held, again;
    for (u32 index; (index = alloc()) != Memalloc::kNone;) held.insert(index);
    const u32 count = static_cast<u32>(held.size());
    auto free_some = [&](u32 some) {
        for (u32 i = 0; i < some; ++i) {
            pool_.free_rcu(*held.begin());
            held.erase(held.begin());
        }
    };
    free_some(kGathered - 1);
    for (u32 index; (index = alloc()) != Memalloc::kNone;) ASSERT_TRUE(again.insert(index).second);
    EXPECT_EQ(again.size(), kGathered - 1);
    for (const u32 index : again) EXPECT_EQ(held.count(index), 0u);
    EXPECT_EQ(held.size() + again.size(), count);
}

TEST_F(MemallocTest, FailsCleanlyWithoutMemory) {
    for (u64 fail = 0;; ++fail) {
        machine::fail_allocation_after(fail);
        const bool made = pool_.create(32, 100, owner_);
        const u32 index = made ? alloc() : 0;
        const bool failed = machine::stop_failing_allocations();
        if (made) {
            EXPECT_NE(index, Memalloc::kNone) << "the reserve is for this, too";
            EXPECT_NE(alloc(), Memalloc::kNone);
            ASSERT_TRUE(pool_.try_destroy());
        }
        EXPECT_EQ(owner_.bytes(), u64{0}) << fail;
        if (!failed) break;
    }
    make(16, 1);
}

TEST_F(MemallocTest, NothingIsLostOrHandedOutTwice) {
    constexpr u32 kTurns = 5000;
    make(16, 64);
    host::Atomic<u32> conflicts{};
    test::run_on_cpus(test::cpus_up_to(4), [&](u32 cpu) {
        u32 held[8];
        for (u32 turn = 0; turn < kTurns; ++turn) {
            u32 count = 0;
            for (; count < 1 + turn % 8; ++count) {
                held[count] = alloc();
                if (!held[count]) break;
                auto& owner = host::atomic_at<u64>(pool_.at(held[count]) + 8);
                if (owner.exchange(cpu + 1, host::Order::Relaxed)) {
                    conflicts.fetch_add(1, host::Order::Relaxed);
                }
            }
            while (count--) {
                host::atomic_at<u64>(pool_.at(held[count]) + 8).store(0, host::Order::Relaxed);
                if (turn % 2) {
                    pool_.free(held[count]);
                } else {
                    pool_.free_rcu(held[count]);
                }
            }
            host::Cpu::yield_point();
        }
    });
    EXPECT_EQ(conflicts.load(host::Order::Relaxed), 0u);
    host::rcu_barrier();
    const u64 bytes = owner_.bytes();
    // All that was given back can be had again, each once, without another byte.
    std::set<u32> seen;
    u32 index;
    while ((index = pool_.alloc()) != Memalloc::kNone) ASSERT_TRUE(seen.insert(index).second);
    EXPECT_EQ(owner_.bytes(), bytes);
    EXPECT_GE(seen.size(), 8u);
}

}  // namespace
}  // namespace barebpf
