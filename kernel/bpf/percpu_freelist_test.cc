// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/percpu_freelist.h"

#include <vector>

#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

class PercpuFreelistTest : public ::testing::Test {
protected:
    auto link() {
        return [this](u32 index) -> host::Atomic<u32>& { return links_[index]; };
    }
    void make(u32 count) {
        links_ = std::vector<host::Atomic<u32>>(count + 1);
        ASSERT_TRUE(list_.create(owner_));
        list_.populate(1, count, link());
    }
    void TearDown() override { list_.destroy(); }
    u32 pop() { return list_.pop(link()); }
    void push(u32 index) { list_.push(index, link()); }
    // How often each index is still in the lists.
    std::vector<u32> drain() {
        std::vector<u32> seen(links_.size());
        while (const u32 index = pop()) ++seen[index];
        return seen;
    }

    host::Cpu::Entry inside_;
    host::MemoryOwner owner_;
    std::vector<host::Atomic<u32>> links_;
    PercpuFreelist list_;
};

TEST_F(PercpuFreelistTest, GivesEveryElementOnceAndThenNone) {
    for (const u32 count : {1u, 7u, 8u, 9u, 100u}) {
        make(count);
        const std::vector<u32> seen = drain();
        for (u32 i = 1; i <= count; ++i) EXPECT_EQ(seen[i], 1u) << i << " of " << count;
        EXPECT_EQ(pop(), PercpuFreelist::kNone);
        EXPECT_EQ(pop(), PercpuFreelist::kNone);
        list_.destroy();
    }
    make(1);
}

TEST_F(PercpuFreelistTest, IsLastInFirstOutOnOneCpu) {
    make(16);
    const u32 first = pop();
    const u32 second = pop();
    push(first);
    push(second);
    EXPECT_EQ(pop(), second);
    EXPECT_EQ(pop(), first);
}

TEST_F(PercpuFreelistTest, SharesFairlyAtFirst) {
    make(19);  // 8 CPUs: 3 3 3 2 2 2 2 2
    for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) EXPECT_FALSE(list_.cpu_is_empty(cpu));
}

TEST_F(PercpuFreelistTest, KnowsWhoseListIsEmpty) {
    const u32 cpus = host::possible_cpus();
    const u32 self = host::cpu_id();
    const auto empty_lists = [&] {
        u32 count = 0;
        for (u32 cpu = 0; cpu < cpus; ++cpu) count += list_.cpu_is_empty(cpu);
        return count;
    };
    make(2 * cpus);
    EXPECT_EQ(empty_lists(), 0u);
    EXPECT_FALSE(list_.this_cpu_is_empty());
    const u32 first = pop();
    EXPECT_FALSE(list_.this_cpu_is_empty()) << "one of two is left";
    pop();
    EXPECT_TRUE(list_.this_cpu_is_empty());
    EXPECT_TRUE(list_.cpu_is_empty(self));
    EXPECT_EQ(empty_lists(), 1u) << "others still have theirs";
    drain();
    EXPECT_EQ(empty_lists(), cpus);
    push(first);
    EXPECT_FALSE(list_.this_cpu_is_empty());
    EXPECT_FALSE(list_.cpu_is_empty(self));
    EXPECT_EQ(empty_lists(), cpus - 1);
}

// Few elements, many CPUs: everybody takes from everybody.
TEST_F(PercpuFreelistTest, NothingIsLostOrHandedOutTwice) {
    constexpr u32 kCount = 24;
    constexpr u32 kTurns = 20000;
    make(kCount);
    std::vector<host::Atomic<u32>> owners(kCount + 1);
    host::Atomic<u32> conflicts{};
    test::run_on_cpus(test::cpus_up_to(8), [&](u32 cpu) {
        u32 held[4];
        for (u32 turn = 0; turn < kTurns; ++turn) {
            u32 count = 0;
            for (; count < 1 + (turn + cpu) % 4; ++count) {
                held[count] = pop();
                if (!held[count]) break;
                if (owners[held[count]].exchange(cpu + 1, host::Order::Relaxed)) {
                    conflicts.fetch_add(1, host::Order::Relaxed);
                }
            }
            while (count--) {
                owners[held[count]].store(0, host::Order::Relaxed);
                push(held[count]);
            }
        }
    });
    EXPECT_EQ(conflicts.load(host::Order::Relaxed), 0u);
    const std::vector<u32> seen = drain();
    for (u32 i = 1; i <= kCount; ++i) EXPECT_EQ(seen[i], 1u) << i;
}

// An NMI at any point of a push or pop on the same CPU pops and pushes too.
TEST_F(PercpuFreelistTest, SurvivesNmis) {
    constexpr u32 kCount = 16;
    make(kCount);
    NEEDS_CPUS(2);
    host::Atomic<u32> nmis{};
    struct Shared {
        PercpuFreelistTest* test;
        host::Atomic<u32>* nmis;
        static void in_nmi(void* argument) {
            auto* self = static_cast<Shared*>(argument);
            auto* test = static_cast<PercpuFreelistTest_SurvivesNmis_Test*>(self->test);
            const u32 a = test->pop();
            const u32 b = test->pop();
            if (a) test->push(a);
            if (b) test->push(b);
            self->nmis->fetch_add(1, host::Order::Relaxed);
        }
    } shared{this, &nmis};
    host::Atomic<u32> target{~0u};
    test::run_on_cpus(2, [&](u32 number) {
        if (number == 0) {
            target.store(host::cpu_id(), host::Order::Release);
            while (nmis.load(host::Order::Relaxed) < 300) {
                const u32 a = pop();
                const u32 b = pop();
                if (b) push(b);
                if (a) push(a);
            }
            return;
        }
        while (target.load(host::Order::Acquire) == ~0u) host::spin_hint();
        // No longer: who is interrupted before each instruction gets nowhere.
        while (nmis.load(host::Order::Relaxed) < 300) {
            machine::send_nmi(target.load(host::Order::Relaxed), Shared::in_nmi, &shared);
        }
    });
    EXPECT_GE(nmis.load(host::Order::Relaxed), 300u);
    const std::vector<u32> seen = drain();
    for (u32 i = 1; i <= kCount; ++i) EXPECT_EQ(seen[i], 1u) << i;
}

}  // namespace
}  // namespace barebpf
