// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The LPM trie's shortcut of long keys, from the first prefixes on: what it gathers, its growth, want of memory.
#include "kernel/bpf/lpm_shortcut.h"

#include <set>
#include <vector>

#include "kernel/bpf/lpm_model_test.h"
#include "testkit/machine.h"

namespace barebpf {
namespace {

using host::Order;
using lpm::kSummary;
using lpm::kSummaryClass;
using lpm::Summary;
using lpm_test::expect_same_walk;
using lpm_test::Model;
using lpm_test::Prefix;
using lpm_test::TestTrie;

class LpmShortcut : public ::testing::TestWithParam<u32> {
protected:
    void SetUp() override {
        trie_.trie()->grow_at.store(1, Order::Relaxed);
        for (u32 i = 0; i < 4; ++i) update(prefix(0x10000000 + i, 0, 32));
        ASSERT_NE(trie_.trie()->shortcut.dereference(), nullptr);
    }
    // The first 32 bits, the 16 after them, the rest at random.
    Prefix prefix(u32 first, u32 next, u32 length) {
        Prefix made{length, std::string(GetParam(), '\0')};
        for (char& byte : made.data) byte = static_cast<char>(random_());
        for (u32 i = 0; i < 4; ++i) made.data[i] = static_cast<char>(first >> (24 - 8 * i));
        made.data[4] = static_cast<char>(next >> 8);
        made.data[5] = static_cast<char>(next);
        return made;
    }
    Prefix address(u32 first, u32 next) { return prefix(first, next, 8 * GetParam()); }
    void update(const Prefix& prefix) {
        ++value_;
        ASSERT_EQ(trie_.update(prefix, value_), model_.update(prefix, value_));
    }
    void erase(Prefix prefix) { ASSERT_EQ(trie_.erase(prefix), model_.erase(prefix)); }
    void expect_same(const Prefix& key) {
        ASSERT_EQ(trie_.lookup(key), model_.lookup(key)) << key.length;
    }
    // All values of the 16 bits at which the answer may change.
    void expect_same_below(u32 first) {
        std::vector<u32> values = {0, 0xffff};
        for (const auto& [prefix, value] : model_.values()) {
            const u32 next = static_cast<u8>(prefix.data[4]) << 8 | static_cast<u8>(prefix.data[5]);
            const u32 behind =
                prefix.length < 48 && prefix.length > 32 ? (1u << (48 - prefix.length)) - 1 : 0;
            for (const u32 at :
                 {(next & ~behind) - 1, next & ~behind, next, next | behind, (next | behind) + 1}) {
                values.push_back(at & 0xffff);
            }
        }
        for (const u32 value : values) expect_same(address(first, value));
    }
    bool gathered(u32 first) {
        host::RcuReadGuard rcu;
        lpm::Shortcut* table = trie_.trie()->shortcut.dereference();
        return (table->entry_of(first) & kSummary) == kSummary;
    }

    // So many first bits that all want the same place, in a bucket with nothing in it; and no other table comes.
    std::vector<u32> wanting_one_place(u32 count) {
        // Without places of their own.
        for (u32 i = 0; i < 300; ++i) update(prefix(0x40000000 + (i << 8), 0, 24));
        EXPECT_FALSE(works_on_tables());
        trie_.trie()->grow_at.store(~0u, Order::Relaxed);
        host::RcuReadGuard rcu;
        lpm::Shortcut* table = trie_.trie()->shortcut.dereference();
        const auto is_empty = [&](u32 bucket) {
            for (u32 i = 0; i < lpm::Shortcut::kBucket; ++i) {
                if (table->hashed(bucket + i).load(Order::Relaxed)) return false;
            }
            return true;
        };
        u32 bucket = 0;
        while (!is_empty(bucket)) bucket += lpm::Shortcut::kBucket;
        std::vector<u32> found;
        for (u32 first = 0x30000000; found.size() < count; ++first) {
            if (table->first_choice(first) == bucket + 1) found.push_back(first);
        }
        return found;
    }

    bool works_on_tables() {
        LpmTrie* trie = trie_.trie();
        host::Guard<LpmTrie::Lock, host::IrqSave> guard(trie->lock);
        return trie->growing || trie->draining;
    }
    // Until none is free.
    std::vector<u32> take_all_summaries() {
        std::vector<u32> taken;
        ObjectSpace& space = trie_.trie()->space;
        for (u32 c = kSummaryClass; c < space.classes(); ++c) {
            while (const u32 number = space.alloc(c)) taken.push_back(number);
        }
        return taken;
    }

    host::Cpu::Entry inside_;
    std::mt19937 random_{static_cast<u32>(test::setting("seed", 1))};
    TestTrie trie_{GetParam(), 1'000'000, GetParam() == 7 ? 24u : 8u};
    Model model_{1'000'000};
    u64 value_ = 0;
};
INSTANTIATE_TEST_SUITE_P(DataSizes, LpmShortcut, ::testing::Values(6u, 7u, 16u),
                         [](const auto& chosen) { return std::to_string(chosen.param); });

TEST_P(LpmShortcut, FewPrefixesAreGathered) {
    constexpr u32 kFirst = 0x20010db8;
    EXPECT_FALSE(gathered(kFirst));
    update(prefix(kFirst, 0, 32));
    EXPECT_TRUE(gathered(kFirst));
    expect_same_below(kFirst);
    // Nested, side by side, at both ends, of all lengths between.
    const std::pair<u32, u32> parts[] = {{0x0000, 48}, {0xffff, 48}, {0x8000, 33}, {0xc000, 34},
                                         {0xc100, 40}, {0xc101, 48}, {0xc102, 48}, {0x7fff, 48}};
    for (const auto& [next, length] : parts) {
        update(prefix(kFirst, next, length));
        EXPECT_TRUE(gathered(kFirst)) << next;
        expect_same_below(kFirst);
    }
    erase(prefix(kFirst, 0, 32));
    EXPECT_TRUE(gathered(kFirst));
    expect_same_below(kFirst);
    for (const auto& [next, length] : parts) {
        erase(prefix(kFirst, next, length));
        expect_same_below(kFirst);
    }
    EXPECT_FALSE(gathered(kFirst));
}

TEST_P(LpmShortcut, WhatCoversAllIsGatheredIfItIsLongEnough) {
    constexpr u32 kFirst = 0x20010db8;  // a multiple of eight
    update(prefix(kFirst, 0, 28));
    EXPECT_FALSE(gathered(kFirst));
    update(prefix(kFirst, 0x1200, 40));
    expect_same_below(kFirst);
    const auto expect_all = [&](u32 covered) {
        for (u32 i = 0; i < 16; ++i) {
            EXPECT_EQ(gathered(kFirst + i), i < covered) << i;
            expect_same_below(kFirst + i);
        }
    };
    for (const u32 length : {30u, 29u, 31u, 32u}) {
        update(prefix(kFirst + (length == 32 ? 3 : 0), 0, length));
        expect_all(length == 30 ? 4 : 8);
    }
    erase(prefix(kFirst + 3, 0, 32));
    expect_all(8);
    erase(prefix(kFirst, 0, 29));
    expect_all(4);
    erase(prefix(kFirst, 0, 30));
    expect_all(2);
    erase(prefix(kFirst, 0, 31));
    expect_all(1);
    erase(prefix(kFirst, 0x1200, 40));
    expect_all(0);
}

TEST_P(LpmShortcut, LongerPrefixesAreFoundBehindThem) {
    if (GetParam() == 6) GTEST_SKIP() << "nothing is longer";
    constexpr u32 kFirst = 0x20010db8;
    for (u32 i = 0; i < 4; ++i) update(prefix(kFirst, 0x1000 * i, 40));
    std::vector<Prefix> longer;
    for (const u32 length : {49u, 52u, 56u}) {
        longer.push_back(prefix(kFirst, 0x2034, length));
        update(longer.back());
        EXPECT_TRUE(gathered(kFirst));
        for (Prefix key : longer) {
            key.length = 8 * GetParam();
            expect_same(key);
            key.data[6] ^= 1;  // what covers may be the one of 40 bits now
            expect_same(key);
        }
        expect_same_below(kFirst);
    }
    // Most are longer: it does not pay.
    for (u32 i = 0; i < 8; ++i) update(prefix(kFirst, 0x3000 + i, 56));
    EXPECT_FALSE(gathered(kFirst));
    expect_same_below(kFirst);
}

TEST_P(LpmShortcut, ManyPrefixesAreNot) {
    constexpr u32 kFirst = 0x20010db8;
    for (u32 i = 0; i < 60; ++i) {
        update(prefix(kFirst, 0x20 * i, 44 + i % 5));
        expect_same_below(kFirst);
    }
    EXPECT_FALSE(gathered(kFirst));
    for (u32 i = 3; i < 60; ++i) erase(prefix(kFirst, 0x20 * i, 44 + i % 5));
    EXPECT_TRUE(gathered(kFirst));
    expect_same_below(kFirst);
}

TEST_P(LpmShortcut, RandomOperationsGiveWhatAListGives) {
    const u32 firsts[] = {0x20010db8, 0x20010db9, 0x20010dc8, 0, 0xffffffff};
    u32 seen = 0;
    for (u32 step = 0; step < test::rounds(20'000); ++step) {
        const u32 first = firsts[random_() % 5];
        const u32 next = random_() % 8 << 13 | random_() % 4 << 6 | random_() % 4;
        u32 length = 32 + random_() % 17;
        if (random_() % 8 == 0) length = random_() % (8 * GetParam() + 1);
        if (random_() % 8 == 0) length = 27 + random_() % 6;
        Prefix other = prefix(first, next, length);
        if (random_() % 3 && !model_.values().empty() && model_.values().size() > random_() % 60) {
            auto there = model_.values().begin();
            std::advance(there, random_() % model_.values().size());
            erase(there->first);
        } else {
            update(other);
        }
        other.length = 8 * GetParam();
        expect_same(other);
        expect_same(address(first, next + random_() % 3 - 1));
        expect_same(address(first ^ random_() % 32, next));
        seen += gathered(first);
        if (step % 64 == 0) host::Cpu::yield_point();
    }
    EXPECT_GT(seen, test::rounds(20'000) / 4);
    expect_same_walk(trie_, model_);
}

class LpmBucket : public LpmShortcut {
protected:
    // What an entry of the shortcut may be of.
    enum Kind : u32 { kList, kRuns, kDeepRuns, kTree, kKinds };

    void add(u32 first, u32 kind) {
        static constexpr u32 kCounts[] = {5, 31, 12, 60};
        update(prefix(first, 0, 32));
        for (u32 i = 0; i < kCounts[kind]; ++i) {
            update(prefix(first, 0x400 * i + 0x155, 48));
            if (kind == kDeepRuns && GetParam() > 6 && i % 4 == 1) {
                update(prefix(first, 0x400 * i + 0x156, 56));
            }
        }
        EXPECT_EQ(gathered(first), kind != kTree) << kind;
    }
    void erase_all(const std::vector<u32>& firsts) {
        const auto there = model_.values();
        for (const auto& [prefix, value] : there) {
            for (const u32 first : firsts) {
                if (prefix.length >= 32 && first_of(prefix) == first) erase(prefix);
            }
        }
    }
    static u32 first_of(const Prefix& prefix) {
        return lpm::load_be32(reinterpret_cast<const u8*>(prefix.data.data()));
    }
    // Each prefix that lies below first bits is found with nothing above them: who had to ask the tree for it would
    // find none.
    void expect_no_need_of_the_tree() {
        host::Atomic<u32>& top = trie_.trie()->top;
        const u32 before = top.load(Order::Relaxed);
        top.store(0, Order::Relaxed);
        for (const auto& [prefix, value] : model_.values()) {
            if (prefix.length <= 32) continue;
            Prefix key = prefix;
            key.length = 8 * GetParam();
            EXPECT_EQ(trie_.lookup(key), model_.lookup(key))
                << first_of(prefix) << "/" << prefix.length;
        }
        top.store(before, Order::Relaxed);
    }
};
INSTANTIATE_TEST_SUITE_P(DataSizes, LpmBucket, ::testing::Values(6u, 7u, 16u),
                         [](const auto& chosen) { return std::to_string(chosen.param); });

// All want one place, so three stand beside it; each kind comes to each of the four places.
TEST_P(LpmBucket, AllOfItAreFoundInTheirPlaces) {
    const std::vector<u32> firsts = wanting_one_place(kKinds);
    for (u32 turn = 0; turn < kKinds; ++turn) {
        for (u32 i = 0; i < kKinds; ++i) add(firsts[i], (i + turn) % kKinds);
        expect_no_need_of_the_tree();
        for (const u32 first : firsts) expect_same_below(first);
        erase_all(firsts);
        for (const u32 first : firsts) EXPECT_FALSE(gathered(first));
    }
}

// One that is not there is still found.
TEST_P(LpmBucket, OneTooManyIsFoundInTheTree) {
    const std::vector<u32> firsts = wanting_one_place(lpm::Shortcut::kBucket + 1);
    for (const u32 first : firsts) add(first, kList);
    u32 there = 0;
    for (const u32 first : firsts) {
        there += gathered(first);
        expect_same_below(first);
    }
    EXPECT_EQ(there, lpm::Shortcut::kBucket);
}

// Tables follow one another, and all hold what they should; what is gathered in one that has gone is used again.
TEST_P(LpmShortcut, GrowsAndGivesBack) {
    NEEDS_MEMORY(64);
    const u32 groups = 3000;
    const auto member = [&](u32 i, u32 length) {
        return prefix(0x20000000 + i % groups * 977, i / groups * 0x1111, length);
    };
    u64 bytes = 0;
    for (u32 round = 0; round < 4; ++round) {
        for (u32 i = 0; i < 3 * groups; ++i) {
            update(member(i, 40 + i % 9));
            if (i % 64 == 0) host::Cpu::yield_point();
        }
        u32 there = 0;
        for (u32 i = 0; i < groups; ++i) there += gathered(0x20000000 + i * 977);
        EXPECT_FALSE(works_on_tables());
        EXPECT_GT(there, groups * 9 / 10);
        for (u32 i = 0; i < 3 * groups; i += 7) {
            const Prefix key = member(i, 8 * GetParam());
            ASSERT_GE(trie_.lookup(key), 0) << i;
        }
        const u64 now = trie_.trie()->memory.bytes();
        EXPECT_TRUE(round < 2 || now == bytes) << now << " after " << bytes;
        bytes = now;
    }
}

// A table that is made later has what one has that was there all the time.
TEST_P(LpmShortcut, ATableIsFilledWithAllThatWasThere) {
    TestTrie late(GetParam(), 1000);
    late.trie()->grow_at.store(~0u, Order::Relaxed);
    const u32 first = 0x20010db8;
    const std::pair<u32, u32> parts[] = {{first, 29},          {first + 4, 31},  {first + 7, 32},
                                         {first + 0x2000, 30}, {0xfffffff8, 29}, {first + 1, 45},
                                         {first + 0x3000, 48}, {0, 31}};
    const auto add = [&](u32 bits, u32 length) {
        const Prefix there = prefix(bits, 0x1234, length);
        update(there);
        ASSERT_EQ(late.update(there, value_), 0);
    };
    // So many that no bucket of either table is full; these have no places.
    for (u32 i = 0; i < 300; ++i) add(0x40000000 + (i << 8), 24);
    for (const auto& [bits, length] : parts) add(bits, length);
    late.trie()->grow_at.store(1, Order::Relaxed);
    for (u32 i = 0; i < 50; ++i) ASSERT_EQ(late.update(prefix(0x10000000, 0, 32), 1), 0);
    host::RcuReadGuard rcu;
    lpm::Shortcut* table = late.trie()->shortcut.dereference();
    ASSERT_TRUE(table);
    for (const auto& [bits, length] : parts) {
        for (u32 i = 0; i < 16; ++i) {
            const u32 at = (bits & ~7u) + i;
            EXPECT_EQ((table->entry_of(at) & kSummary) == kSummary, gathered(at)) << at;
            const Prefix key = address(at, 0x1234);
            EXPECT_EQ(late.lookup(key), model_.lookup(key));
        }
    }
}

// Every summary there ever was is in use or free, though tables grew and summaries were replaced.
TEST_P(LpmShortcut, NoSummaryIsLost) {
    constexpr u32 kGroups = 150;
    const auto first_of = [](u32 i) { return 0x20000000 + i * 977; };
    const auto add_all = [&](std::set<u32>* numbers, u32 groups) {
        host::RcuReadGuard rcu;
        lpm::Shortcut* table = trie_.trie()->shortcut.dereference();
        for (u32 i = 0; i < groups; ++i) {
            const u32 entry = table->entry_of(first_of(i));
            if ((entry & kSummary) == kSummary) numbers->insert(lpm::number_of(entry));
        }
    };
    std::set<u32> seen, there;
    for (u32 i = 0; i < 3 * kGroups; ++i) {
        update(prefix(first_of(i % kGroups), i * 0x1000, 36 + i % 8));
        add_all(&seen, i < kGroups ? i + 1 : kGroups);
    }
    EXPECT_GT(seen.size(), 3 * kGroups);
    // The work on tables is done by updates.
    for (u32 i = 0; i < 100; ++i) update(prefix(0x10000000, 0, 31));
    test::settle();
    add_all(&there, kGroups);
    const size_t in_use = there.size();
    EXPECT_GT(in_use, kGroups / 2);
    std::vector<u32> taken = take_all_summaries();
    there.insert(taken.begin(), taken.end());
    u32 lost = 0;
    for (const u32 number : seen) lost += !there.contains(number);
    EXPECT_EQ(lost, 0u);
    EXPECT_EQ(there.size(), in_use + taken.size());
    for (const u32 number : taken) trie_.trie()->space.free(number);
}

TEST_P(LpmShortcut, WithoutMemoryItLeadsIntoTheTree) {
    constexpr u32 kFirst = 0x20010db8;
    LpmTrie* trie = trie_.trie();
    for (u32 i = 0; i < 4; ++i) update(prefix(kFirst, 0x1000 * i, 40));
    EXPECT_TRUE(gathered(kFirst));
    machine::fail_allocation_after(0);
    {
        host::RcuReadGuard rcu;
        const std::vector<u32> taken = take_all_summaries();
        erase(prefix(kFirst, 0x1000, 40));
        EXPECT_FALSE(gathered(kFirst));
        expect_same_below(kFirst);
        for (const u32 number : taken) trie->space.free(number);
    }
    machine::stop_failing_allocations();
    update(prefix(kFirst, 0x5000, 40));
    EXPECT_TRUE(gathered(kFirst));
    expect_same_below(kFirst);
}

}  // namespace
}  // namespace barebpf
