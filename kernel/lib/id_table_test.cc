// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/lib/id_table.h"

#include <map>
#include <random>
#include <vector>

#include "testkit/inject.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

struct Thing {
    u32 id = 0;
    bool dying = false;
};

class IdTableTest : public ::testing::Test {
protected:
    void TearDown() override { table_.reset(); }
    Thing* find(u32 id) {
        return table_.find(id, [](Thing* thing) { return !thing->dying; });
    }
    u32 insert(Thing* thing) { return table_.insert(thing) ? thing->id : 0; }
    IdTable<Thing> table_;
    host::Cpu::Entry inside_;
};

TEST_F(IdTableTest, CountsFromOneAndDoesNotReuse) {
    Thing a, b, c;
    EXPECT_EQ(insert(&a), u32{1});
    EXPECT_EQ(insert(&b), u32{2});
    table_.erase(1);
    EXPECT_EQ(insert(&c), u32{3});
    EXPECT_EQ(find(1), nullptr);
    EXPECT_EQ(find(2), &b);
    EXPECT_EQ(find(3), &c);
    EXPECT_EQ(find(0), nullptr);
    EXPECT_EQ(find(64), nullptr);
    EXPECT_EQ(find(~0u), nullptr);
    b.dying = true;
    EXPECT_EQ(find(2), nullptr);
}

TEST_F(IdTableTest, KeepsNothingForIdsThatAreGone) {
    const s64 blocks = machine::live_memory().blocks;
    Thing thing;
    for (u32 id = 1; id <= 200; ++id) EXPECT_EQ(insert(&thing), id);
    EXPECT_GT(machine::live_memory().blocks, blocks);
    for (u32 id = 1; id <= 200; ++id) table_.erase(id);
    EXPECT_EQ(machine::live_memory().blocks, blocks);
    EXPECT_EQ(insert(&thing), u32{201});
    EXPECT_EQ(find(201), &thing);
    table_.erase(201);
    EXPECT_EQ(table_.next_id(0).error(), Errno::NoEnt);
    EXPECT_EQ(machine::live_memory().blocks, blocks);
}

TEST_F(IdTableTest, AnInsertionThatFailsLeavesNothing) {
    const s64 blocks = machine::live_memory().blocks;
    Thing thing, neighbour;
    table_.reset(5000);
    const u32 allocations = inject::fail_each_allocation(
        [&] { table_.erase(insert(&thing)); },
        [&](u32) { EXPECT_EQ(machine::live_memory().blocks, blocks); });
    EXPECT_EQ(allocations, 3u);
    // Beside another one, whose nodes stay.
    table_.reset(4095);
    EXPECT_EQ(insert(&neighbour), u32{4095});
    const s64 with_neighbour = machine::live_memory().blocks;
    inject::fail_each_allocation(
        [&] { table_.erase(insert(&thing)); },
        [&](u32) { EXPECT_LE(machine::live_memory().blocks, with_neighbour + 1); });
    EXPECT_EQ(find(4095), &neighbour);
    table_.erase(4095);
    EXPECT_EQ(machine::live_memory().blocks, blocks);
}

TEST_F(IdTableTest, NextIdSkipsHoles) {
    EXPECT_EQ(table_.next_id(0).error(), Errno::NoEnt);
    Thing thing;
    for (u32 i = 0; i < 300; ++i) insert(&thing);
    for (u32 id = 2; id < 300; ++id) table_.erase(id);
    EXPECT_EQ(table_.next_id(0).value(), u32{1});
    EXPECT_EQ(table_.next_id(1).value(), u32{300});
    EXPECT_EQ(table_.next_id(299).value(), u32{300});
    EXPECT_EQ(table_.next_id(300).error(), Errno::NoEnt);
    EXPECT_EQ(table_.next_id(0x7ffffffe).error(), Errno::NoEnt);
    EXPECT_EQ(table_.next_id(~0u).error(), Errno::NoEnt);
}

TEST_F(IdTableTest, WrapsAtTheLastId) {
    Thing a, b, c, d;
    EXPECT_EQ(insert(&a), u32{1});
    table_.reset(0x7ffffffd);
    EXPECT_EQ(insert(&a), u32{0x7ffffffd});
    EXPECT_EQ(insert(&b), u32{0x7ffffffe});
    EXPECT_EQ(insert(&c), u32{1});
    EXPECT_EQ(find(0x7ffffffe), &b);
    EXPECT_EQ(table_.next_id(1).value(), u32{0x7ffffffd});
    table_.erase(0x7ffffffd);
    EXPECT_EQ(insert(&d), u32{2});
}

TEST_F(IdTableTest, AgreesWithAnOrderedMap) {
    std::mt19937 random(7);
    std::map<u32, Thing*> model;
    std::vector<Thing> things(6000);
    u32 used = 0;
    for (u32 step = 0; step < 20000; ++step) {
        if (random() % 5 < 3 && used < things.size()) {
            const u32 id = insert(&things[used]);
            ASSERT_NE(id, u32{0});
            ASSERT_TRUE(model.emplace(id, &things[used++]).second);
        } else if (!model.empty()) {
            auto victim = model.lower_bound(static_cast<u32>(random() % (used + 1)));
            if (victim == model.end()) victim = model.begin();
            table_.erase(victim->first);
            model.erase(victim);
        }
        const u32 probe = static_cast<u32>(random() % 7000);
        const auto here = model.find(probe);
        ASSERT_EQ(find(probe), here == model.end() ? nullptr : here->second);
        const auto next = model.upper_bound(probe);
        Result<u32> id = table_.next_id(probe);
        ASSERT_EQ(id ? id.value() : 0, next == model.end() ? 0 : next->first);
    }
}

TEST_F(IdTableTest, IdsGivenOutAtOnceAreDistinct) {
    constexpr u32 kEach = 500;
    const u32 cpus = test::cpus_up_to(3);
    std::vector<Thing> things(cpus * kEach);
    test::run_on_cpus(cpus, [&](u32 cpu) {
        for (u32 i = 0; i < kEach; ++i) {
            Thing& thing = things[cpu * kEach + i];
            EXPECT_NE(insert(&thing), u32{0});
            if (i % 3 == 0) table_.erase(thing.id);
        }
    });
    for (u32 i = 0; i < things.size(); ++i) {
        if (i % kEach % 3 != 0) {
            ASSERT_EQ(find(things[i].id), &things[i]);
        }
    }
}

// Also by those that find the object in the moment in which it comes in.
TEST_F(IdTableTest, WhatIsFoundHasItsId) {
    const u32 cpus = test::cpus_up_to(3);
    std::vector<Thing> things(cpus * 500);
    host::Atomic<u32> wrong{};
    test::run_on_cpus(cpus, [&](u32 cpu) {
        for (u32 i = cpu; i < things.size(); i += cpus) {
            EXPECT_NE(insert(&things[i]), u32{0});
            for (u32 id = things[i].id; id < things[i].id + 3; ++id) {
                const Thing* found = find(id);
                if (found && found->id != id) wrong.fetch_add(1, host::Order::Relaxed);
            }
        }
    });
    EXPECT_EQ(wrong.load(host::Order::Relaxed), u32{0});
}

}  // namespace
}  // namespace barebpf
