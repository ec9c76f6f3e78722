// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Standing LPM tries (lpm_shortcut.h): who is one, and that what look-ups go through stays where it is.
#include "kernel/bpf/lpm_model_test.h"
#include "kernel/bpf/lpm_shortcut.h"
#include "testkit/machine.h"

namespace barebpf {
namespace {

using host::Order;
using lpm::Standing;
using lpm_test::expect_same_walk;
using lpm_test::Model;
using lpm_test::Prefix;
using lpm_test::prefix4;
using lpm_test::TestTrie;

class LpmStanding : public ::testing::Test {
protected:
    // Few blocks of 16 bits, all lengths.
    Prefix random_prefix() {
        const u32 address = 0x0a000000 + (random_() % 8 << 16) + (random_() & 0xffff);
        return prefix4(address, random_() % 8 ? 9 + random_() % 20 : random_() % 33);
    }

    host::Cpu::Entry inside_;
    std::mt19937 random_{11};
};

TEST_F(LpmStanding, OfFourBytesAndManyEntries) {
    EXPECT_NE(TestTrie(4, Standing::kFrom).trie()->standing, nullptr);
    EXPECT_EQ(TestTrie(4, Standing::kFrom - 1).trie()->standing, nullptr);
    EXPECT_EQ(TestTrie(16, Standing::kFrom).trie()->standing, nullptr);
    EXPECT_EQ(TestTrie(2, Standing::kFrom).trie()->standing, nullptr);
    TestTrie trie(4, Standing::kFrom);
    EXPECT_EQ(trie.trie()->shortcut.get_locked(), &trie.trie()->standing->shortcut);
    EXPECT_LT(trie.map()->memory.bytes(), u64{1} << 20);
}

TEST_F(LpmStanding, AnswersAsAListDoes) {
    TestTrie trie(4, Standing::kFrom);
    Model model(Standing::kFrom);
    for (u32 step = 0; step < test::rounds(3000); ++step) {
        const Prefix at = random_prefix();
        if (random_() % 3) {
            ASSERT_EQ(trie.update(at, step), model.update(at, step));
        } else {
            ASSERT_EQ(trie.erase(at), model.erase(at));
        }
        for (u32 i = 0; i < 2; ++i) {
            const Prefix key = i ? prefix4(random_(), 32) : Prefix{32, random_prefix().data};
            ASSERT_EQ(trie.lookup(key), model.lookup(key)) << step;
        }
        if (step % 64 == 0) host::Cpu::yield_point();
    }
    expect_same_walk(trie, model);
}

// Compiled programs have its address.
TEST_F(LpmStanding, StaysWhereItIs) {
    const machine::LiveMemory before = machine::live_memory();
    {
        TestTrie trie(4, Standing::kFrom);
        LpmTrie* map = trie.trie();
        const u32 count = test::rounds(40'000);
        for (u32 i = 0; i < count; ++i) {
            ASSERT_EQ(trie.update(prefix4(i * 2654435761u, 24), i, BPF_ANY), 0);
            if (i % 64 == 0) host::Cpu::yield_point();
        }
        EXPECT_EQ(map->shortcut.get_locked(), &map->standing->shortcut);
        EXPECT_EQ(map->grow_at.load(Order::Relaxed), ~0u);
        // By the table of chunks that is in it, as a compiled look-up does.
        const auto* sides = reinterpret_cast<const host::Atomic<uintptr_t>*>(
            map->standing->chunks + ObjectSpace::sides_in_whole_table());
        host::RcuReadGuard rcu;
        for (u32 i = 0; i < count; i += 7) {
            const std::string key = prefix4(i * 2654435761u, 32).key();
            const u32 place = lpm::Shortcut::place_of(reinterpret_cast<const u8*>(key.data()) +
                                                      lpm::kLengthBytes);
            const lpm::Wide* wide = map->standing->shortcut.wide(place).load(Order::Acquire);
            const u32 entry = lpm::load_run(wide, static_cast<u8>(key[6]));
            ASSERT_TRUE(entry & lpm::kShortLeaf);
            const uintptr_t value = sides[entry >> ObjectSpace::kChunkShift].load(Order::Relaxed) +
                                    size_t{lpm::number_of(entry)} * 8 / ObjectSpace::kNumberStep;
            ASSERT_EQ(reinterpret_cast<void*>(value), map->ops->lookup(map, key.data()));
        }
    }
    const machine::LiveMemory after = machine::live_memory();
    EXPECT_EQ(after.bytes, before.bytes);
    EXPECT_EQ(after.blocks, before.blocks);
}

// Without the memory it is a trie like others, whose table comes later.
TEST_F(LpmStanding, WithoutMemoryTheTableComesLater) {
    machine::fail_allocation_after(1);
    TestTrie trie(4, Standing::kFrom);
    machine::stop_failing_allocations();
    ASSERT_NE(trie.map(), nullptr);
    LpmTrie* map = trie.trie();
    ASSERT_EQ(map->standing, nullptr);
    EXPECT_EQ(map->shortcut.get_locked(), nullptr);
    EXPECT_EQ(map->grow_at.load(Order::Relaxed), lpm::shortcut_first_size(map));
    map->grow_at.store(1, Order::Relaxed);
    for (u32 i = 0; i < 1200; ++i) ASSERT_EQ(trie.update(prefix4(0x0a000000, 24), i), 0);
    EXPECT_NE(map->shortcut.get_locked(), nullptr);
    EXPECT_EQ(trie.lookup(prefix4(0x0a000001, 32)), 1199);
}

}  // namespace
}  // namespace barebpf
