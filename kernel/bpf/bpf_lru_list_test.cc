// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/bpf_lru_list.h"

#include <vector>

#include "testkit/inject.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using Flavour = BpfLruList::Flavour;

// Stands for the hash table: who is in it, and who left it in which order.
class Table {
public:
    explicit Table(u32 nodes) : in_(nodes + 1) {}

    bool evict(u32 node) const {
        if (stuck || !in_[node].exchange(0, Order::AcqRel)) return false;
        if (recording) evicted.push_back(node);
        return true;
    }
    void prefetch(u32) const {}

    void insert(u32 node) { in_[node].store(1, Order::Release); }
    bool erase(u32 node) { return in_[node].exchange(0, Order::AcqRel) != 0; }
    bool has(u32 node) const { return in_[node].load(Order::Acquire) != 0; }
    u32 size() const {
        u32 count = 0;
        for (const Atomic<u32>& present : in_) count += present.load(Order::Relaxed);
        return count;
    }

    bool stuck = false;  // nobody can be evicted
    bool recording = true;
    mutable std::vector<u32> evicted;

private:
    mutable std::vector<Atomic<u32>> in_;
};

class BpfLruListTest : public ::testing::Test {
protected:
    void make(u32 nodes, Flavour flavour = Flavour::Common) {
        nodes_ = nodes;
        ASSERT_TRUE(list_.create(nodes, nodes, flavour, owner_));
    }
    void TearDown() override {
        if (nodes_) expect_whole();
        list_.destroy();
        EXPECT_EQ(owner_.bytes(), 0u);
    }
    void expect_whole() {
        const BpfLruList::Census census = list_.census();
        EXPECT_TRUE(census.sound);
        EXPECT_EQ(census.total(), nodes_);
    }
    // A new element; kNone when there is no room.
    u32 insert(Table& table) {
        const u32 node = list_.take(table);
        if (!node) return node;
        EXPECT_FALSE(table.has(node)) << "a node in use was handed out";
        list_.untouch(list_.element(node));
        table.insert(node);
        return node;
    }
    void erase(Table& table, u32 node) {
        ASSERT_TRUE(table.erase(node));
        list_.give_back(node);
    }
    void touch(u32 node) { list_.touch(list_.element(node)); }

    host::Cpu::Entry inside_;
    host::MemoryOwner owner_;
    BpfLruList list_;
    u32 nodes_ = 0;
};

TEST_F(BpfLruListTest, EveryNodeIsUsedBeforeAnyIsEvicted) {
    for (const u32 nodes : {1u, 2u, 7u, 64u, 1000u}) {
        make(nodes);
        Table table(nodes);
        for (u32 i = 0; i < nodes; ++i) ASSERT_NE(insert(table), 0u) << i << " of " << nodes;
        EXPECT_EQ(table.size(), nodes);
        EXPECT_TRUE(table.evicted.empty());
        expect_whole();
        list_.destroy();
    }
    make(1);
}

TEST_F(BpfLruListTest, AFullTableStaysFull) {
    make(100);
    Table table(100);
    for (u32 i = 0; i < 1000; ++i) {
        ASSERT_NE(insert(table), 0u);
        if (i >= 100) {
            EXPECT_GE(table.size(), 99u);  // all but what is evicted ahead of need
        }
    }
}

TEST_F(BpfLruListTest, WithoutReferencesTheOldestGoesFirst) {
    constexpr u32 kNodes = 1024;
    make(kNodes);
    Table table(kNodes);
    std::vector<u32> order;
    for (u32 i = 0; i < 3 * kNodes; ++i) order.push_back(insert(table));
    ASSERT_EQ(table.evicted.size(), 2 * kNodes + 1);  // one is ahead
    for (u32 i = 0; i < 2 * kNodes; ++i) EXPECT_EQ(table.evicted[i], order[i]) << i;
}

TEST_F(BpfLruListTest, WhatIsReferencedOutlivesWhatIsNot) {
    constexpr u32 kNodes = 1024;
    make(kNodes);
    Table table(kNodes);
    std::vector<u32> nodes;
    for (u32 i = 0; i < kNodes; ++i) nodes.push_back(insert(table));
    for (u32 i = 0; i < kNodes; i += 2) touch(nodes[i]);
    for (u32 i = 0; i < kNodes / 2; ++i) ASSERT_NE(insert(table), 0u);
    std::vector<bool> gone(kNodes + 1);
    for (const u32 node : table.evicted) gone[node] = true;
    for (u32 i = 0; i < kNodes; ++i) EXPECT_EQ(gone[nodes[i]], i % 2 == 1) << i;
}

// Referenced twice, it is in active, and outlives whole generations of those that came and went.
TEST_F(BpfLruListTest, ActiveOnesSurviveAScan) {
    constexpr u32 kNodes = 1024;
    make(kNodes);
    Table table(kNodes);
    std::vector<u32> hot;
    for (u32 i = 0; i < 32; ++i) hot.push_back(insert(table));
    for (u32 i = 0; i < 10 * kNodes; ++i) {
        ASSERT_NE(insert(table), 0u);
        if (i % 128 == 0) {
            for (const u32 node : hot) touch(node);
        }
    }
    for (const u32 node : hot) EXPECT_TRUE(table.has(node));
}

TEST_F(BpfLruListTest, AVictimThatIsReferencedMeanwhileIsSpared) {
    constexpr u32 kNodes = 1024;
    make(kNodes);
    const u32 batch = list_.batch();
    ASSERT_GT(batch, 2u);
    Table table(kNodes);
    std::vector<u32> nodes;
    for (u32 i = 0; i < kNodes; ++i) nodes.push_back(insert(table));
    ASSERT_NE(insert(table), 0u);  // chooses a batch, uses one
    EXPECT_EQ(list_.census().victims, batch - 2);
    EXPECT_EQ(list_.census().local_free, 1u);
    touch(nodes[2]);
    ASSERT_NE(insert(table), 0u);
    EXPECT_EQ(table.evicted, (std::vector<u32>{nodes[0], nodes[1], nodes[3]}));
}

TEST_F(BpfLruListTest, WhereAllAreReferencedOneIsForcedOut) {
    for (const Flavour flavour : {Flavour::Common, Flavour::PerCpu}) {
        constexpr u32 kNodes = 64;
        make(kNodes, flavour);
        Table table(kNodes);
        for (u32 i = 0; i < 500; ++i) {
            for (u32 node = 1; node <= kNodes; ++node) touch(node);
            ASSERT_NE(insert(table), 0u);
        }
        expect_whole();
        list_.destroy();
    }
    make(1);
}

TEST_F(BpfLruListTest, NoneWhereNothingCanBeEvictedAndNothingIsLost) {
    for (const Flavour flavour : {Flavour::Common, Flavour::PerCpu}) {
        const u32 kNodes = 8 * host::possible_cpus();  // nothing is evicted ahead of need
        make(kNodes, flavour);
        Table table(kNodes);
        for (u32 i = 0; i < 2 * kNodes; ++i) insert(table);
        table.stuck = true;
        for (u32 i = 0; i < 10; ++i) EXPECT_EQ(insert(table), 0u);
        expect_whole();
        table.stuck = false;
        for (u32 i = 0; i < kNodes; ++i) EXPECT_NE(insert(table), 0u);
        const bool common = flavour == Flavour::Common;
        EXPECT_EQ(table.size(), common ? kNodes : kNodes / host::possible_cpus());
        expect_whole();
        list_.destroy();
    }
    make(1);
}

TEST_F(BpfLruListTest, WhatIsGivenBackIsUsedBeforeAnythingIsEvicted) {
    constexpr u32 kNodes = 512;
    make(kNodes);
    Table table(kNodes);
    std::vector<u32> nodes;
    for (u32 i = 0; i < kNodes; ++i) nodes.push_back(insert(table));
    for (u32 i = 0; i < kNodes; i += 3) touch(nodes[i]);
    for (u32 i = 0; i < kNodes + 5; ++i) ASSERT_NE(insert(table), 0u);
    const BpfLruList::Census before = list_.census();
    EXPECT_GT(before.active, 0u);
    EXPECT_GT(before.inactive, 0u);
    EXPECT_GT(before.victims, 0u);
    EXPECT_GT(before.pending, 0u);
    // From everywhere: some are in each of the lists.
    u32 erased = 0;
    for (u32 node = 1; node <= kNodes; node += 2) {
        if (!table.erase(node)) continue;  // evicted ahead
        list_.give_back(node);
        ++erased;
    }
    expect_whole();
    const BpfLruList::Census after = list_.census();
    EXPECT_EQ(after.free + after.local_free, erased + before.local_free);
    table.evicted.clear();
    for (u32 i = 0; i < erased; ++i) ASSERT_NE(insert(table), 0u);
    EXPECT_TRUE(table.evicted.empty());
    EXPECT_EQ(table.size(), kNodes - before.local_free);
}

TEST_F(BpfLruListTest, TheBatchFollowsSizeAndCpus) {
    const u32 cpus = host::possible_cpus();
    const struct {
        u32 nodes, batch;
    } cases[] = {{1, 1}, {cpus, 1}, {cpus * 8, 2}, {cpus * 200, 50}, {cpus * 1000, 128}};
    for (const auto& c : cases) {
        make(c.nodes);
        EXPECT_EQ(list_.batch(), c.batch) << c.nodes;
        list_.destroy();
    }
    make(cpus * 1000, Flavour::PerCpu);
    EXPECT_EQ(list_.batch(), 4u);
}

TEST_F(BpfLruListTest, AListOfACpuHasItsShareOnly) {
    const u32 cpus = host::possible_cpus();
    constexpr u32 kShare = 10;
    make(cpus * kShare, Flavour::PerCpu);
    Table table(nodes_);
    for (u32 i = 0; i < 5 * kShare; ++i) ASSERT_NE(insert(table), 0u);
    EXPECT_EQ(table.size(), kShare);
}

TEST_F(BpfLruListTest, EachFailingAllocationLeavesNothingBehind) {
    const u32 allocations = inject::fail_each_allocation(
        [&] {
            if (list_.create(100, 110, Flavour::Common, owner_)) list_.destroy();
        },
        [&](u32 n) { EXPECT_EQ(owner_.bytes(), 0u) << n; });
    EXPECT_EQ(allocations, 5u);
}

// ── Several CPUs ──

// Few nodes, many CPUs: each finds one, wherever the others keep them.
TEST_F(BpfLruListTest, NobodyStarves) {
    for (const u32 nodes : {1u, 4u, 9u, 40u}) {
        make(nodes);
        Table table(nodes);
        table.recording = false;
        Atomic<u32> turn{};
        Atomic<u32> failed{};
        test::run_on_cpus(test::cpus(), [&](u32 cpu) {
            while (turn.load(Order::Acquire) != cpu) host::spin_hint();
            for (u32 i = 0; i < 3 * nodes; ++i) {
                if (!insert(table)) failed.fetch_add(1, Order::Relaxed);
            }
            turn.store(cpu + 1, Order::Release);
        });
        EXPECT_EQ(failed.load(Order::Relaxed), 0u) << nodes;
        EXPECT_EQ(table.size(), nodes);
        expect_whole();
        list_.destroy();
    }
    make(1);
}

// A CPU took a batch of free nodes, used one and is never heard of again: the others get the rest.
TEST_F(BpfLruListTest, AnIdleCpuGivesBackWhatItHolds) {
    NEEDS_CPUS(3);
    const u32 kNodes = host::possible_cpus() * 16;
    make(kNodes);
    Table table(kNodes);
    table.recording = false;
    Atomic<u32> turn{};
    test::run_on_cpus(test::cpus(), [&](u32 cpu) {
        while (turn.load(Order::Acquire) != cpu) host::spin_hint();
        const u32 inserts = cpu + 1 == test::cpus() ? 100 * kNodes : 1;
        for (u32 i = 0; i < inserts; ++i) insert(table);
        turn.store(cpu + 1, Order::Release);
    });
    EXPECT_EQ(table.size(), kNodes);
    EXPECT_EQ(list_.census().local_free, 0u);
}

// Everybody inserts, references and erases. A node is never handed out while it is in use, and in
// the end all of them can be.
class LruTorture : public BpfLruListTest {
protected:
    void storm(u32 nodes, Flavour flavour) {
        constexpr u32 kTurns = 20000;
        make(nodes, flavour);
        Table table(nodes);
        table.recording = false;
        Atomic<u32> doubled{}, failed{};
        test::run_on_cpus(test::cpus_up_to(4), [&](u32 cpu) {
            u32 random = cpu + 1;
            for (u32 turn = 0; turn < kTurns; ++turn) {
                random = random * 1664525 + 1013904223;
                const u32 number = 1 + (random >> 8) % nodes;
                if (random >> 30 == 0) {
                    if (table.erase(number)) list_.give_back(number);
                } else if (random >> 30 == 1) {
                    touch(number);
                } else if (const u32 node = list_.take(table)) {
                    if (table.has(node)) doubled.fetch_add(1, Order::Relaxed);
                    table.insert(node);
                } else {
                    failed.fetch_add(1, Order::Relaxed);
                }
                host::Cpu::yield_point();
            }
        });
        EXPECT_EQ(doubled.load(Order::Relaxed), 0u);
        if (nodes >= 64) {
            EXPECT_EQ(failed.load(Order::Relaxed), 0u);
        }
        expect_whole();
        const BpfLruList::Census census = list_.census();
        EXPECT_EQ(census.free + census.local_free, nodes - table.size());
        for (u32 i = 0; i < 100 * nodes; ++i) insert(table);
        if (flavour == Flavour::Common) {
            EXPECT_GE(table.size() + (list_.batch() >= BpfLruList::kAheadBatch), nodes);
        }
        expect_whole();
        list_.destroy();
    }
};

TEST_F(LruTorture, ACommonList) {
    for (const u32 nodes : {3u, 16u, 64u, 400u}) storm(nodes, Flavour::Common);
    make(1);
}

TEST_F(LruTorture, ListsOfEachCpu) {
    const u32 cpus = host::possible_cpus();
    for (const u32 share : {1u, 2u, 16u, 100u}) storm(share * cpus, Flavour::PerCpu);
    make(cpus, Flavour::PerCpu);
}

// ── NMIs ──

struct Intruder {
    BpfLruList* list;
    Table* table;
    u32 nodes;
    Atomic<u32> turns{}, taken{}, refused{}, doubled{};
    Atomic<u32> steps{},
        interrupted{};  // of who is interrupted; the one in which the last turn was

    static void run(void* argument) { static_cast<Intruder*>(argument)->once(); }
    // Once in a step: on a machine with other work many may come in one, and what they give back is only settled by it.
    static void run_once_in_a_step(void* argument) {
        auto* self = static_cast<Intruder*>(argument);
        const u32 step = self->steps.load(Order::Relaxed);
        if (self->interrupted.exchange(step, Order::Relaxed) != step) self->once();
    }
    void once() {
        // One of theirs, wherever it is.
        const u32 any = 1 + turns.fetch_add(1, Order::Relaxed) % nodes;
        if (table->erase(any)) list->give_back(any);
        const u32 node = list->take(*table);
        if (!node) {
            refused.fetch_add(1, Order::Relaxed);
            return;
        }
        taken.fetch_add(1, Order::Relaxed);
        if (table->has(node)) doubled.fetch_add(1, Order::Relaxed);
        table->insert(node);
        list->touch(list->element(node));
        if (taken.load(Order::Relaxed) % 2 && table->erase(node)) list->give_back(node);
    }
};

TEST_F(BpfLruListTest, NmisTakeAndGiveBackAnywhere) {
    constexpr u32 kNodes = 24;
    constexpr u32 kNmis = 300;
    make(kNodes);
    Table table(kNodes);
    table.recording = false;
    Intruder intruder{.list = &list_, .table = &table, .nodes = kNodes};
    Atomic<u32> failed{};
    test::run_on_cpus(1, [&](u32) {
        inject::Storm storm({.kind = inject::Kind::Nmi, .cpu_count = 1, .mean_gap_ns = 20'000},
                            Intruder::run_once_in_a_step, &intruder);
        while (storm.served() < kNmis) {
            for (u32 i = 0; i < 20; ++i) {
                intruder.steps.fetch_add(1, Order::Relaxed);
                const u32 node = list_.take(table);
                if (!node) {
                    failed.fetch_add(1, Order::Relaxed);
                    continue;
                }
                table.insert(node);
                if (i % 3 == 0 && table.erase(node)) list_.give_back(node);
            }
            host::Cpu::yield_point();
        }
    });
    EXPECT_EQ(failed.load(Order::Relaxed), 0u);
    EXPECT_EQ(intruder.doubled.load(Order::Relaxed), 0u);
    EXPECT_GT(intruder.taken.load(Order::Relaxed), intruder.turns.load(Order::Relaxed) / 8);
    for (u32 i = 0; i < 20 * kNodes; ++i) insert(table);  // what was returned comes back as well
    EXPECT_EQ(table.size(), kNodes);
    EXPECT_EQ(list_.census().returned, 0u);
}

inject::Trace trace;  // a quarter of a megabyte

struct Step {
    BpfLruList* list;
    Table* table;
    bool erase;
    u32 node;
};

NOINLINE void run_step(void* argument) {
    auto* step = static_cast<Step*>(argument);
    if (step->erase) {
        if (step->table->erase(step->node)) step->list->give_back(step->node);
        return;
    }
    step->node = step->list->take(*step->table);
    if (step->node) step->table->insert(step->node);
}

// Batches of one (few nodes for the CPUs), so that every take fills up.
TEST_F(BpfLruListTest, AnNmiBeforeEachInstruction) {
    const u32 kNodes = 3 * host::possible_cpus();
    make(kNodes);
    Table table(kNodes);
    table.recording = false;
    for (u32 i = 0; i < 3 * kNodes; ++i) insert(table);
    Intruder intruder{.list = &list_, .table = &table, .nodes = kNodes};
    for (const bool erase : {false, true}) {
        Step step{&list_, &table, erase, erase ? insert(table) : 0};
        if (!trace.record(inject::Trace::Where::Everywhere, run_step, &step)) {
            GTEST_SKIP() << "no single steps here";
        }
        u32 failed = 0;
        inject::at_each_instruction(
            trace, host::cpu_id(),
            [&] {
                step.node = erase ? insert(table) : 0;
                run_step(&step);
                failed += !step.node;
            },
            [&] { intruder.once(); });
        EXPECT_EQ(failed, 0u);
        expect_whole();
    }
    EXPECT_EQ(intruder.doubled.load(Order::Relaxed), 0u);
    EXPECT_GT(intruder.taken.load(Order::Relaxed), 20u);
    for (u32 i = 0; i < 20 * kNodes; ++i) insert(table);
    EXPECT_EQ(table.size(), kNodes);
}

}  // namespace
}  // namespace barebpf
