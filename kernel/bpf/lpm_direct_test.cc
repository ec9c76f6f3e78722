// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The LPM trie's shortcut of keys of four bytes, from the first prefixes on: its wide nodes and what covers them.
#include <vector>

#include "kernel/bpf/lpm_model_test.h"
#include "kernel/bpf/lpm_shortcut.h"
#include "testkit/machine.h"

namespace barebpf {
namespace {

using host::Order;
using lpm::Shortcut;
using lpm::Wide;
using lpm_test::Model;
using lpm_test::Prefix;
using lpm_test::prefix4;
using lpm_test::TestTrie;

// The parameter: bytes of a value.
class LpmDirect : public ::testing::TestWithParam<u32> {
protected:
    static constexpr u32 kBlock =
        0x0a40;  // the first 16 bits of most prefixes, the lowest three at random

    void SetUp() override {
        trie_.trie()->grow_at.store(1, Order::Relaxed);
        // Each update fills some places of the table.
        for (u32 i = 0; i < 1200; ++i) update(prefix4(0xf0000000, 32));
        ASSERT_NE(trie_.trie()->shortcut.dereference(), nullptr);
    }
    void update(const Prefix& prefix) {
        ++value_;
        ASSERT_EQ(trie_.update(prefix, value_), model_.update(prefix, value_));
    }
    void erase(const Prefix& prefix) { ASSERT_EQ(trie_.erase(prefix), model_.erase(prefix)); }
    void expect_same(u32 address) {
        const Prefix key = prefix4(address, 32);
        ASSERT_EQ(trie_.lookup(key), model_.lookup(key)) << address;
    }
    // A node's cover is that of its place, and stands in the runs that are nobody else's, where a look-up finds it without
    // asking. True: it has one.
    bool expect_cover(u32 block) {
        host::RcuReadGuard rcu;
        Shortcut* table = trie_.trie()->shortcut.dereference();
        const u32 place = Shortcut::place_of(block);
        const Wide* wide = table->wide(place).load(Order::Acquire);
        const u32 cover = table->cover(place).load(Order::Relaxed);
        const bool there = wide->header.size_class >= lpm::kWideClass;
        EXPECT_EQ(wide->cover, there && !wide->deep ? cover : 0) << block;
        for (u32 i = 0; i < wide->runs; ++i) {
            const u32 entry = wide->entries[i].load(Order::Relaxed);
            if (entry == wide->cover || !lpm::is_leaf(entry)) continue;
            EXPECT_GT(trie_.trie()->leaf(entry)->prefixlen(), 16u) << block;
        }
        return there && !wide->deep && cover;
    }
    // All objects but leaves.
    std::vector<u32> take_all_nodes() {
        ObjectSpace& space = trie_.trie()->space;
        std::vector<u32> taken;
        for (u32 c = 1; c < space.classes(); ++c) {
            while (const u32 number = space.alloc(c)) taken.push_back(number);
        }
        return taken;
    }

    host::Cpu::Entry inside_;
    TestTrie trie_{4, 1000, GetParam()};
    Model model_{1000};
    std::mt19937 random_{17};
    u64 value_ = 0;
};
INSTANTIATE_TEST_SUITE_P(ValueSizes, LpmDirect, ::testing::Values(8u, 12u, 64u),
                         [](const auto& chosen) { return std::to_string(chosen.param); });

TEST_P(LpmDirect, WhatCoversANodeIsKnownThere) {
    u32 covered = 0;
    for (u32 step = 0; step < test::rounds(20'000); ++step) {
        const u32 address =
            kBlock << 16 | random_() % 8 << 16 | random_() % 64 << 10 | random_() % 256;
        if (random_() % 3 && model_.values().size() > random_() % 60) {
            auto there = model_.values().begin();
            std::advance(there, random_() % model_.values().size());
            erase(Prefix{there->first});
        } else {
            // Most of the others are deep, of which one is enough for a node to have no cover.
            const bool deep = random_() % 16 == 0;
            update(prefix4(address, deep ? 25 + random_() % 8 : 6 + random_() % 19));
        }
        expect_same(address);
        expect_same(address ^ random_() % 0x2000);
        for (u32 block = kBlock; block < kBlock + 8; ++block) covered += expect_cover(block);
        if (step % 64 == 0) {
            lpm_test::expect_same_walk(trie_, model_);
            host::Cpu::yield_point();
        }
    }
    EXPECT_GT(covered, test::rounds(20'000));
}

// The table that is being filled when a cover comes or goes has it when it is complete.
TEST_P(LpmDirect, ATableToComeKnowsItToo) {
    TestTrie other(4, 1000, GetParam());
    other.trie()->grow_at.store(1, Order::Relaxed);
    const u32 address = kBlock << 16;
    ASSERT_EQ(other.update(prefix4(address, 24), 1), 0);
    ASSERT_EQ(other.update(prefix4(address, 12), 2), 0);
    ASSERT_EQ(other.update(prefix4(address, 14), 3), 0);
    for (u32 i = 0; i < 1200; ++i) {
        // Half of the places stand behind that one.
        if (i == 600) {
            ASSERT_EQ(other.erase(prefix4(address, 14)), 0);
        }
        ASSERT_EQ(other.update(prefix4(0xf0000000, 32), i), 0);
    }
    host::RcuReadGuard rcu;
    Shortcut* table = other.trie()->shortcut.dereference();
    ASSERT_NE(table, nullptr);
    const Wide* wide = table->wide(Shortcut::place_of(kBlock)).load(Order::Acquire);
    const u32 cover = wide->cover;
    ASSERT_NE(cover, 0u);
    EXPECT_EQ(other.trie()->leaf(cover)->prefixlen(), 12u);
    EXPECT_EQ(other.lookup(prefix4(address + 0x100, 32)), 2);
}

// Without memory for another node what covers is put into this one.
TEST_P(LpmDirect, WithoutMemoryWhatCoversIsFound) {
    const u32 address = kBlock << 16;
    update(prefix4(address, 12));
    update(prefix4(address, 20));
    update(prefix4(address + 0x220, 28));
    update(prefix4(address + 0x230, 28));
    expect_same(address + 0x220);
    machine::fail_allocation_after(0);
    const std::vector<u32> taken = take_all_nodes();
    erase(prefix4(address + 0x220, 28));
    erase(prefix4(address + 0x230, 28));
    for (u32 slot = 0; slot < 32; ++slot) expect_same(address + (slot << 8) + 0x20);
    for (const u32 number : taken) trie_.trie()->space.free(number);
    machine::stop_failing_allocations();
    for (u32 slot = 0; slot < 32; ++slot) expect_same(address + (slot << 8) + 0x20);
}

}  // namespace
}  // namespace barebpf
