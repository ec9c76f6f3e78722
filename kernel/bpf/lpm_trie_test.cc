// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/lpm_trie.h"

#include <algorithm>
#include <vector>

#include "kernel/bpf/free_in_steps_test.h"
#include "kernel/bpf/lpm_model_test.h"
#include "kernel/bpf/lpm_shortcut.h"
#include "testkit/inject.h"
#include "testkit/machine.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using lpm_test::expect_same_walk;
using lpm_test::Model;
using lpm_test::Prefix;
using lpm_test::random_prefix;
using lpm_test::TestTrie;
using lpm_test::trie_attr;
using test::make_map;

constexpr s64 kNoEnt = -to_int(Errno::NoEnt);
constexpr s64 kInval = -to_int(Errno::Inval);

Prefix ipv4(u32 a, u32 b, u32 c, u32 d, u32 length) {
    const char bytes[4] = {char(a), char(b), char(c), char(d)};
    return {length, std::string(bytes, 4)};
}
Prefix ipv4(u32 address, u32 length) {
    return ipv4(address >> 24, address >> 16, address >> 8, address, length);
}

class LpmTest : public ::testing::Test {
protected:
    host::Cpu::Entry inside_;
    std::mt19937 random_{static_cast<u32>(test::setting("seed", 1))};
};

TEST_F(LpmTest, AttributesAreCheckedAsLinuxDoes) {
    const MapOps* ops = map_ops(BPF_MAP_TYPE_LPM_TRIE);
    const auto ok = [&](auto change) {
        bpf_attr attr = trie_attr(4, 1);
        change(attr);
        return ops->check_attr(attr).ok();
    };
    EXPECT_TRUE(ok([](bpf_attr&) {}));
    EXPECT_TRUE(ok([](bpf_attr& a) { a.key_size = 5; }));
    EXPECT_TRUE(ok([](bpf_attr& a) { a.key_size = 260; }));
    EXPECT_TRUE(ok([](bpf_attr& a) { a.map_flags |= BPF_F_RDONLY_PROG; }));
    EXPECT_FALSE(ok([](bpf_attr& a) { a.key_size = 4; }));
    EXPECT_FALSE(ok([](bpf_attr& a) { a.key_size = 261; }));
    EXPECT_FALSE(ok([](bpf_attr& a) { a.value_size = 0; }));
    EXPECT_FALSE(ok([](bpf_attr& a) { a.value_size = 1u << 22; }));
    EXPECT_FALSE(ok([](bpf_attr& a) { a.max_entries = 0; }));
    EXPECT_FALSE(ok([](bpf_attr& a) { a.map_flags = 0; }));
    EXPECT_FALSE(ok([](bpf_attr& a) { a.map_flags |= BPF_F_MMAPABLE; }));
}

TEST_F(LpmTest, TheLongestPrefixWins) {
    TestTrie trie(4, 10);
    EXPECT_EQ(trie.update(ipv4(10, 0, 0, 0, 8), 1), 0);
    EXPECT_EQ(trie.update(ipv4(10, 1, 0, 0, 16), 2), 0);
    EXPECT_EQ(trie.update(ipv4(10, 1, 2, 128, 25), 3), 0);
    EXPECT_EQ(trie.lookup(ipv4(10, 1, 2, 200, 32)), 3);
    EXPECT_EQ(trie.lookup(ipv4(10, 1, 2, 100, 32)), 2);
    EXPECT_EQ(trie.lookup(ipv4(10, 2, 2, 100, 32)), 1);
    EXPECT_EQ(trie.lookup(ipv4(11, 1, 2, 200, 32)), -1);
    // A key with a length finds what is no longer than that.
    EXPECT_EQ(trie.lookup(ipv4(10, 1, 2, 200, 25)), 3);
    EXPECT_EQ(trie.lookup(ipv4(10, 1, 2, 200, 24)), 2);
    EXPECT_EQ(trie.lookup(ipv4(10, 1, 2, 200, 8)), 1);
    EXPECT_EQ(trie.lookup(ipv4(10, 1, 2, 200, 7)), -1);
    EXPECT_EQ(trie.update(ipv4(0, 0, 0, 0, 0), 9), 0);
    EXPECT_EQ(trie.lookup(ipv4(11, 1, 2, 200, 32)), 9);
    EXPECT_EQ(trie.lookup(ipv4(11, 1, 2, 200, 0)), 9);
    EXPECT_EQ(trie.erase(ipv4(10, 1, 99, 99, 16)), 0);  // bits behind the length do not count
    EXPECT_EQ(trie.lookup(ipv4(10, 1, 2, 100, 32)), 1);
    EXPECT_EQ(trie.erase(ipv4(10, 1, 0, 0, 16)), kNoEnt);
}

TEST_F(LpmTest, FlagsLengthsAndTheLimitAreChecked) {
    TestTrie trie(4, 2);
    EXPECT_EQ(trie.update(ipv4(1, 0, 0, 0, 8), 1, BPF_EXIST), kNoEnt);
    EXPECT_EQ(trie.update(ipv4(1, 0, 0, 0, 8), 1, BPF_NOEXIST), 0);
    EXPECT_EQ(trie.update(ipv4(1, 0, 0, 0, 8), 1, BPF_NOEXIST), -to_int(Errno::Exist));
    EXPECT_EQ(trie.update(ipv4(1, 0, 0, 0, 8), 2, BPF_EXIST), 0);
    EXPECT_EQ(trie.update(ipv4(1, 0, 0, 0, 8), 1, 3), kInval);
    EXPECT_EQ(trie.update(ipv4(1, 0, 0, 0, 8), 1, BPF_F_LOCK), kInval);
    for (const u32 hostile : {33u, 255u, 0x80000000u, ~0u}) {
        EXPECT_EQ(trie.update(ipv4(1, 0, 0, 0, hostile), 1), kInval);
        EXPECT_EQ(trie.erase(ipv4(1, 0, 0, 0, hostile)), kInval);
        EXPECT_EQ(trie.lookup(ipv4(1, 0, 0, 0, hostile)), -1);
        Prefix next{};
        const Prefix after = ipv4(1, 0, 0, 0, hostile);
        EXPECT_EQ(trie.next(&after, &next), 0);
        EXPECT_EQ(next.length, 8u);
    }
    EXPECT_EQ(trie.update(ipv4(2, 0, 0, 0, 8), 2), 0);
    EXPECT_EQ(trie.update(ipv4(3, 0, 0, 0, 8), 3), -to_int(Errno::NoSpc));
    EXPECT_EQ(trie.update(ipv4(2, 0, 0, 0, 8), 4), 0);  // full, yet what is there can be replaced
    EXPECT_EQ(trie.lookup(ipv4(2, 0, 0, 0, 32)), 4);
    EXPECT_EQ(trie.erase(ipv4(1, 0, 0, 0, 8)), 0);
    EXPECT_EQ(trie.update(ipv4(3, 0, 0, 0, 8), 3), 0);
}

// Every set of the fifteen prefixes of up to three bits, at every place in the first two bytes: each key,
// each length, and the walk.
TEST_F(LpmTest, EverySetOfShortPrefixes) {
    for (u32 shift = 0; shift <= 6; ++shift) {
        std::vector<Prefix> all;
        for (u32 length = 0; length <= 3; ++length) {
            for (u32 bits = 0; bits < 1u << length; ++bits) {
                const u32 word = bits << (16 - shift - length);
                all.push_back({shift + length, {char(word >> 8), char(word), 0}});
            }
        }
        const u32 step = test::rounds(100) == 100 ? 1 : 97;
        for (u32 set = 1; set < 1u << all.size(); set += step * (shift == 2 ? 1 : 31)) {
            TestTrie trie(3, 20);
            Model model(20);
            for (u32 i = 0; i < all.size(); ++i) {
                const u32 j = (i * 7 + set) % all.size();
                if (!(set >> j & 1)) continue;
                ASSERT_EQ(trie.update(all[j], j), 0);
                model.update(all[j], j);
            }
            for (u32 word = 0; word < 8; ++word) {
                const u32 bits = word << (16 - shift - 3);
                for (const u32 length : {shift + 3, 24u}) {
                    const Prefix key{length, {char(bits >> 8), char(bits), 0}};
                    ASSERT_EQ(trie.lookup(key), model.lookup(key)) << set << " " << word;
                }
            }
            expect_same_walk(trie, model);
        }
    }
}

class LpmModelTest : public ::testing::TestWithParam<u32> {
protected:
    void SetUp() override { random_.seed(static_cast<u32>(test::setting("seed", GetParam()))); }

    host::Cpu::Entry inside_;
    std::mt19937 random_;
};
INSTANTIATE_TEST_SUITE_P(DataSizes, LpmModelTest,
                         ::testing::Values(1u, 2u, 3u, 4u, 5u, 6u, 8u, 16u, 64u, 255u, 256u),
                         [](const auto& made) { return std::to_string(made.param); });

TEST_P(LpmModelTest, RandomOperationsGiveWhatAListGives) {
    const u32 size = GetParam();
    for (const u32 variety : {2u, 6u, 40u}) {
        constexpr u32 kEntries = 120;
        TestTrie trie(size, kEntries);
        Model model(kEntries);
        for (u32 step = 0; step < test::rounds(size > 16 ? 1500 : 4000); ++step) {
            Prefix prefix = random_prefix(random_, size, variety);
            if (random_() % 3 && !model.values().empty()) {
                // One near a prefix that is there.
                auto there = model.values().begin();
                std::advance(there, random_() % model.values().size());
                prefix.data = there->first.data;
                if (random_() % 2) prefix.length = there->first.length;
                if (random_() % 3 == 0) {
                    prefix.data[random_() % size] ^= static_cast<char>(1 << random_() % 8);
                }
            }
            const u64 flags = random_() % 3 ? u64{BPF_ANY} : random_() % 3;
            const bool shrink = step / 500 % 2;
            const u32 action = random_() % 8;
            Prefix full = prefix;
            full.length = 8 * size;
            if (action < (shrink ? 2u : 4u)) {
                ASSERT_EQ(trie.update(prefix, step, flags), model.update(prefix, step, flags));
            } else if (action < 6) {
                ASSERT_EQ(trie.erase(prefix), model.erase(prefix));
            } else {
                Prefix ours{}, theirs{};
                ASSERT_EQ(trie.next(&prefix, &ours), model.next(&prefix, &theirs));
                ASSERT_EQ(ours.length, theirs.length);
                ASSERT_TRUE(ours.data == theirs.data);
            }
            ASSERT_EQ(trie.lookup(prefix), model.lookup(prefix)) << step;
            ASSERT_EQ(trie.lookup(full), model.lookup(full)) << step;
            host::Cpu::yield_point();
        }
        expect_same_walk(trie, model);
        while (!model.values().empty()) {
            const Prefix prefix = model.values().begin()->first;
            ASSERT_EQ(trie.erase(prefix), 0);
            model.erase(prefix);
        }
        Prefix none{};
        EXPECT_EQ(trie.next(nullptr, &none), kNoEnt);
        EXPECT_EQ(trie.trie()->top.load(Order::Relaxed), 0u);
    }
}

// All prefixes of 16 to 24 bits below the same first ones come and go in any order, with some longer ones:
// wide nodes of every size, prefixes that others hide in whole and that show again.
TEST_F(LpmTest, EveryPrefixOfTheThirdByte) {
    TestTrie trie(4, 1000);
    Model model(1000);
    std::vector<Prefix> all;
    for (u32 length = 16; length <= 26; ++length) {
        const u32 step = length > 25 ? 7 : length == 25 ? 1 : 1u << (24 - length);
        for (u32 third = 0; third < 256; third += step)
            all.push_back(ipv4(10, 1, third, 128, length));
    }
    const auto expect_same = [&](u32 step) {
        for (u32 third = 0; third < 256; third += step) {
            for (const u32 length : {32u, 21u}) {
                const Prefix key = ipv4(10, 1, third, static_cast<u8>(random_()), length);
                ASSERT_EQ(trie.lookup(key), model.lookup(key)) << third;
            }
        }
    };
    const u32 rounds = test::rounds(2);
    for (u32 round = 0; round < rounds; ++round) {
        std::shuffle(all.begin(), all.end(), random_);
        for (u32 i = 0; i < all.size(); ++i) {
            ASSERT_EQ(trie.update(all[i], i), model.update(all[i], i));
            if (i % 3 == 0) {
                const Prefix& again = all[random_() % (i + 1)];
                ASSERT_EQ(trie.update(again, i), model.update(again, i));
            }
            if (i % 8 == 0) expect_same(i % 128 ? 97 : 5);
        }
        expect_same_walk(trie, model);
        std::shuffle(all.begin(), all.end(), random_);
        for (u32 i = 0; i < all.size(); ++i) {
            ASSERT_EQ(trie.erase(all[i]), model.erase(all[i]));
            if (i % 8 == 0) expect_same(i % 128 ? 97 : 5);
            if (i == all.size() / 2) expect_same_walk(trie, model);
        }
    }
    EXPECT_EQ(trie.trie()->top.load(Order::Relaxed), 0u);
}

// Enough prefixes for a shortcut and, of long keys, its successors; what comes and goes while they are filled.
TEST_P(LpmModelTest, ManyPrefixes) {
    const u32 size = GetParam();
    if (size < 4 || size > 16) GTEST_SKIP() << "no shortcut, or too long to wait for";
    NEEDS_MEMORY(256);
    const u32 prefixes = size == 4 ? 60'000 : 20'000;
    TestTrie trie(size, 400'000);
    std::vector<Prefix> there;
    std::map<std::string, u64> values;  // by length and bits
    const auto name = [](const Prefix& prefix) {
        Prefix cut = prefix;
        for (u32 i = cut.length; i < 8 * cut.data.size(); ++i) {
            cut.data[i / 8] &= static_cast<char>(~(128 >> i % 8));
        }
        return cut.key();
    };
    const auto expected = [&](Prefix key) {
        for (;; --key.length) {
            const auto found = values.find(name(key));
            if (found != values.end()) return static_cast<s64>(found->second);
            if (key.length == 0) return s64{-1};
        }
    };
    for (u32 i = 0; i < prefixes; ++i) {
        Prefix prefix{8 + static_cast<u32>(random_() % (8 * size - 7)), std::string(size, '\0')};
        for (char& byte : prefix.data) byte = static_cast<char>(random_());
        if (i % 2) prefix.length = size == 4 ? 24 : 8 * size - 4;
        if (i % 3 == 0 && !there.empty()) {
            prefix.data.replace(0, 2, there[random_() % there.size()].data, 0, 2);
        }
        // Below 10/8 wide nodes of every size, none of them with long prefixes.
        if (size == 4 && i % 5 == 2) {
            prefix = ipv4(10, i / 5 % 8, random_() % 256, 0, 17 + random_() % 8);
        }
        if (size == 4 && prefix.data[0] == 10) prefix.length = std::min(prefix.length, 24u);
        ASSERT_EQ(trie.update(prefix, i), 0);
        values[name(prefix)] = i;
        there.push_back(prefix);
        if (i % 5 == 0) {
            const Prefix victim = there[random_() % there.size()];
            ASSERT_EQ(trie.erase(victim), values.erase(name(victim)) ? 0 : kNoEnt);
        }
        if (i % 16 == 0) {
            Prefix key = there[random_() % there.size()];
            if (i % 32) key.data[random_() % size] ^= static_cast<char>(random_());
            key.length = 8 * size;
            ASSERT_EQ(trie.lookup(key), expected(key)) << i;
            host::Cpu::yield_point();
        }
    }
    EXPECT_TRUE(trie.trie()->shortcut.dereference() != nullptr);
    for (Prefix key : there) {
        key.length = 8 * size;
        ASSERT_EQ(trie.lookup(key), expected(key));
    }
    for (const Prefix& prefix : there) {
        ASSERT_EQ(trie.erase(prefix), values.erase(name(prefix)) ? 0 : kNoEnt);
        host::Cpu::yield_point();
    }
    EXPECT_EQ(trie.trie()->top.load(Order::Relaxed), 0u);
    Prefix key{8 * size, there[0].data};
    EXPECT_EQ(trie.lookup(key), -1);
}

TEST_F(LpmTest, ValuesOfEverySizeKeepTheirBytes) {
    for (const u32 value_size : {1u, 3u, 8u, 13u, 64u, 5000u, 300'000u}) {
        Map* map = make_map(trie_attr(4, 100, value_size));
        ASSERT_NE(map, nullptr);
        std::vector<u8> value(value_size);
        for (u32 i = 0; i < 20; ++i) {
            host::RcuReadGuard rcu;
            std::memset(value.data(), static_cast<int>(i), value.size());
            ASSERT_EQ(map->ops->update(map, ipv4(i, 0, 0, 0, 8 + i).key().data(), value.data(), 0),
                      0);
        }
        for (u32 i = 0; i < 20; ++i) {
            host::RcuReadGuard rcu;
            const void* found = map->ops->lookup(map, ipv4(i, 0, 0, 0, 32).key().data());
            ASSERT_NE(found, nullptr);
            EXPECT_EQ(reinterpret_cast<u64>(found) % 8, 0u);
            std::memset(value.data(), static_cast<int>(i), value.size());
            EXPECT_EQ(std::memcmp(found, value.data(), value_size), 0);
        }
        map_put(map);
        test::settle();
    }
}

TEST_F(LpmTest, AValueStaysForItsReader) {
    TestTrie trie(4, 4);
    ASSERT_EQ(trie.update(ipv4(1, 2, 3, 0, 24), 7), 0);
    {
        host::RcuReadGuard rcu;
        const void* value = trie.map()->ops->lookup(trie.map(), ipv4(1, 2, 3, 4, 32).key().data());
        ASSERT_NE(value, nullptr);
        ASSERT_EQ(trie.update(ipv4(1, 2, 3, 0, 24), 8), 0);
        EXPECT_EQ(trie.erase(ipv4(1, 2, 3, 0, 24)), 0);
        for (u32 i = 0; i < 100; ++i) {
            trie.update(ipv4(i, 0, 0, 0, 24), 1000);
            trie.erase(ipv4(i, 0, 0, 0, 24));
        }
        EXPECT_EQ(host::atomic_at<u64>(value).load(Order::Relaxed), 7u);
    }
}

TEST_F(LpmTest, MemoryIsAccountedAndComesBack) {
    const machine::LiveMemory before = machine::live_memory();
    {
        TestTrie trie(4, 100'000);
        const u64 empty = trie.map()->memory.bytes();
        EXPECT_LT(empty, u64{64} << 10);
        for (u32 i = 0; i < 3000; ++i) ASSERT_EQ(trie.update(ipv4(i * 2654435761u, 24), i), 0);
        // Most are alone below their first 16 bits, the worst case: each has a wide node.
        EXPECT_LT(trie.map()->memory.bytes() - empty, u64{3000} * 224);
    }
    const machine::LiveMemory after = machine::live_memory();
    EXPECT_EQ(after.bytes, before.bytes);
    EXPECT_EQ(after.blocks, before.blocks);
}

// Others have this CPU meanwhile: a callback that waits for it runs before the end.
TEST_F(LpmTest, ALargeTrieIsFreedInSteps) {
    Map* map = make_map(trie_attr(4, 5000, 1024));
    ASSERT_NE(map, nullptr);
    const std::vector<u8> value(1024);
    for (u32 i = 0; i < 4000; ++i) {
        host::RcuReadGuard rcu;
        ASSERT_EQ(map->ops->update(map, ipv4(i * 2654435761u, 24).key().data(), value.data(), 0),
                  0);
    }
    for (u32 i = 0; i < 3; ++i) host::rcu_barrier();  // one batch of old nodes after the other
    const test::Waiting waiting;
    map->ops->free(map);
    EXPECT_TRUE(waiting.ran);
}

// ── Allocations that fail ──

TEST_F(LpmTest, AFailedCreationLeavesNothing) {
    const machine::LiveMemory before = machine::live_memory();
    for (const bpf_attr& attr : {trie_attr(16, 10), trie_attr(4, lpm::Standing::kFrom)}) {
        const u32 allocations = inject::fail_each_allocation(
            [&] {
                if (Map* map = make_map(attr)) map_put(map);
                test::settle();
            },
            [&](u32) { EXPECT_EQ(machine::live_memory().blocks, before.blocks); });
        EXPECT_GT(allocations, 5u);
    }
}

// Every update of a long run may be refused for want of memory, once, and then nothing has happened; a
// delete is never refused.
TEST_F(LpmTest, AFailedUpdateChangesNothing) {
    u32 refused = 0;
    for (const u32 size : {4u, 256u}) {
        for (u32 spacing = 1; spacing <= 3; ++spacing) {
            TestTrie trie(size, 1000);
            Model model(1000);
            for (u32 step = 0; step < test::rounds(size > 16 ? 800 : 3000); ++step) {
                Prefix prefix = random_prefix(random_, size, 20);
                if (random_() % 3 == 0 && !model.values().empty()) {
                    auto there = model.values().begin();
                    std::advance(there, random_() % model.values().size());
                    prefix = there->first;
                }
                if (step % spacing == 0) machine::fail_allocation_after(step % 3);
                if (random_() % 3) {
                    const s64 result = trie.update(prefix, step);
                    if (result == -to_int(Errno::NoMem)) {
                        ++refused;
                    } else {
                        ASSERT_EQ(result, model.update(prefix, step));
                    }
                } else {
                    ASSERT_EQ(trie.erase(prefix), model.erase(prefix));
                }
                machine::stop_failing_allocations();
                ASSERT_EQ(trie.lookup(prefix), model.lookup(prefix)) << step;
                if (step % 64 == 0) host::Cpu::yield_point();
            }
            expect_same_walk(trie, model);
        }
    }
    EXPECT_GT(refused, 0u);
}

// Deletes whose copies find no memory leave empty entries; all that is left is found, walked and
// deleted all the same.
TEST_F(LpmTest, DeletesWithoutAnyMemoryLeaveAWholeTrie) {
    for (const u32 size : {2u, 4u, 16u}) {
        TestTrie trie(size, 400);
        Model model(400);
        for (u32 round = 0; round < 6; ++round) {
            for (u32 i = 0; i < 300; ++i) {
                const Prefix prefix = random_prefix(random_, size, 3);
                ASSERT_EQ(trie.update(prefix, i), model.update(prefix, i));
            }
            // Nothing is free any more.
            std::vector<u32> taken;
            LpmTrie* real = trie.trie();
            host::RcuReadGuard rcu;
            for (u32 c = 1; c < real->space.classes(); ++c) {
                while (const u32 number = real->space.alloc(c)) taken.push_back(number);
            }
            while (model.values().size() > (round == 5 ? 0u : 40u)) {
                auto victim = model.values().begin();
                std::advance(victim, random_() % model.values().size());
                const Prefix prefix = victim->first;
                ASSERT_EQ(trie.erase(prefix), 0);
                model.erase(prefix);
                ASSERT_EQ(trie.lookup(prefix), model.lookup(prefix));
            }
            expect_same_walk(trie, model);
            for (const u32 number : taken) real->space.free(number);
        }
        EXPECT_EQ(trie.trie()->top.load(Order::Relaxed), 0u);
        EXPECT_NE(trie.trie()->holes.load(Order::Relaxed), 0u);
    }
}

// ── Many CPUs ──

// What stays is found by every lookup and every walk, whatever comes and goes around it, above it and
// below it.
TEST_F(LpmTest, PrefixesThatStayAreAlwaysFound) {
    constexpr u32 kStaying = 16;
    const u32 turns = test::rounds(20000);
    TestTrie trie(4, 4096);
    const auto staying = [](u32 i) { return ipv4(10, i & 3, i * 16, 0, i % 2 ? 24 : 20); };
    for (u32 i = 0; i < kStaying; ++i) ASSERT_EQ(trie.update(staying(i), 1000 + i), 0);
    u32 last_number = 0;
    for (u32 i = 1; i < kStaying; ++i) {
        if (lpm_test::WalkOrder()(staying(last_number), staying(i))) last_number = i;
    }
    const Prefix last = staying(last_number);
    Atomic<u32> missed{}, wrong{}, failed{}, lost{};
    test::run_on_cpus(test::cpus_up_to(4), [&](u32 cpu) {
        std::mt19937 random(cpu);
        for (u32 turn = 0; turn < turns; ++turn) {
            const u32 number = random() % kStaying;
            if (cpu % 2) {
                Prefix passing = staying(random() % kStaying);
                passing.length = 1 + random() % 32;
                passing.data[3] = static_cast<char>(random());
                if (random() % 4 == 0) passing.data[1] ^= 1 << random() % 8;
                bool stays = false;
                for (u32 i = 0; i < kStaying; ++i) {
                    const Prefix other = staying(i);
                    stays |= passing.length == other.length && passing.covers(other);
                }
                if (stays) {
                    trie.update(staying(number), 1000 + number, BPF_EXIST);
                } else if (trie.update(passing, passing.length) || trie.erase(passing) > 0) {
                    failed.fetch_add(1, Order::Relaxed);
                }
            }
            Prefix key = staying(number);
            key.length = 32;
            key.data[3] = static_cast<char>(random());
            const s64 found = trie.lookup(key);
            // Something at least as long as what stays.
            if (found == -1) missed.fetch_add(1, Order::Relaxed);
            if (found >= 0 && found < 1000 && found < staying(number).length) {
                wrong.fetch_add(1, Order::Relaxed);
            }
            if (turn % 64 == 0) {
                // From one that stays to the next that does, past what comes and goes: a walk may be
                // sent back to its beginning by a key that has gone, but it never ends early.
                Prefix at = staying(number), next{};
                bool reached = false;
                for (u32 step = 0; step < 20000 && !reached; ++step) {
                    if (trie.next(&at, &next)) break;
                    at = next;
                    reached = at.length == last.length && at.data == last.data;
                }
                if (!reached && number != last_number) lost.fetch_add(1, Order::Relaxed);
            }
            host::Cpu::yield_point();
        }
    });
    EXPECT_EQ(missed.load(Order::Relaxed), 0u);
    EXPECT_EQ(wrong.load(Order::Relaxed), 0u);
    EXPECT_EQ(failed.load(Order::Relaxed), 0u);
    EXPECT_EQ(lost.load(Order::Relaxed), 0u);
    for (u32 i = 0; i < kStaying; ++i) EXPECT_EQ(trie.erase(staying(i)), 0);
}

}  // namespace
}  // namespace barebpf
