// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/object_space.h"

#include <cstring>
#include <set>
#include <vector>

#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

class ObjectSpaceTest : public ::testing::Test {
protected:
    static constexpr u32 kSizes[] = {16, 32, 208, 5000, 3u << 20};

    void SetUp() override { ASSERT_TRUE(space_.create(kSizes, 5, {}, owner_)); }
    void TearDown() override {
        while (!space_.try_destroy()) host::rcu_barrier();
        EXPECT_EQ(owner_.bytes(), u64{0});
    }
    u32 alloc(u32 size_class) {
        const u32 number = space_.alloc(size_class);
        if (number) return number;
        return space_.refill(size_class) ? space_.alloc(size_class) : 0;
    }
    u64& word(u32 number) { return *reinterpret_cast<u64*>(space_.at(number) + 8); }
    u64& last_word(u32 number, u32 size_class) {
        return *reinterpret_cast<u64*>(space_.at(number) + kSizes[size_class] - 8);
    }

    host::Cpu::Entry inside_;
    host::MemoryOwner owner_;
    ObjectSpace space_;
};

TEST_F(ObjectSpaceTest, ObjectsOfAllSizesAreDistinctAndApart) {
    const u32 counts[] = {20000, 20000, 3000, 100, 3};
    std::set<u32> numbers;
    for (u32 c = 0; c < 5; ++c) {
        for (u32 i = 0; i < test::rounds(counts[c]); ++i) {
            const u32 number = alloc(c);
            ASSERT_NE(number, 0u);
            ASSERT_EQ(number & ObjectSpace::kUserBits, 0u);
            ASSERT_TRUE(numbers.insert(number).second);
            ASSERT_EQ(space_.at_tagged<1>(number | 1), space_.at(number));
            ASSERT_EQ(space_.at_tagged<2>(number | 2), space_.at(number));
            word(number) = number;
            last_word(number, c) = number;
        }
    }
    for (const u32 number : numbers) ASSERT_EQ(word(number), number);
}

// Objects in two parts: neither part reaches into another, and the sides stand close together.
TEST(ObjectSpaceSides, PartsAreDistinctAndDense) {
    static constexpr u32 kSizes[] = {12, 64};
    static constexpr u32 kSide = 24;
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    ObjectSpace space;
    ASSERT_TRUE(space.create(kSizes, 2, {.side = kSide}, owner));
    const auto alloc = [&](u32 size_class) {
        const u32 number = space.alloc(size_class);
        if (number) return number;
        return space.refill(size_class) ? space.alloc(size_class) : 0;
    };
    std::set<u32> numbers;
    std::set<u8*> sides;
    for (u32 i = 0; i < test::rounds(200'000); ++i) {
        const u32 number = alloc(0);
        ASSERT_NE(number, 0u);
        ASSERT_EQ(number & ObjectSpace::kUserBits, 0u);
        ASSERT_TRUE(numbers.insert(number).second);
        u8* side = space.side(number);
        ASSERT_EQ(reinterpret_cast<uintptr_t>(side) % 8, 0u);
        ASSERT_EQ(space.side<1>(number | 1), side);
        const auto known = space.side_of_size<2, kSide>(number | 2);
        ASSERT_EQ(known, side);
        ASSERT_EQ(reinterpret_cast<u8*>(space.object(number)), space.first(number));
        sides.insert(side);
        std::memset(side, static_cast<int>(number >> 2 & 0xff), kSide);
        std::memcpy(space.first(number) + 8, &number, 4);
        if (i % 16 == 0) {
            const u32 other = alloc(1);
            ASSERT_NE(other, 0u);
            std::memset(space.at(other) + 8, 0xff, 56);
            ASSERT_EQ(reinterpret_cast<u8*>(space.object(other)), space.at(other));
            space.free(other);
        }
    }
    u32 close = 0;
    for (auto at = sides.begin(); std::next(at) != sides.end(); ++at) {
        close += *std::next(at) - *at == kSide;
    }
    EXPECT_GT(close, sides.size() / 100 * 99);
    for (const u32 number : numbers) {
        u32 mark;
        std::memcpy(&mark, space.first(number) + 8, 4);
        ASSERT_EQ(mark, number);
        for (u32 i = 0; i < kSide; ++i) ASSERT_EQ(space.side(number)[i], number >> 2 & 0xff);
        space.free_rcu(number);
    }
    while (!space.try_destroy()) host::rcu_barrier();
    EXPECT_EQ(owner.bytes(), u64{0});
}

// Of some classes all objects stand so far behind the begin of a cache line; they fill their chunk all the same.
TEST(ObjectSpaceLead, ObjectsStandBehindIt) {
    static constexpr u32 kSizes[] = {16, 128, 192, 3136};
    static constexpr u32 kLead = 40;
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    ObjectSpace space;
    ASSERT_TRUE(space.create(kSizes, 4, {.lead_from = 1, .lead = kLead}, owner));
    std::set<u8*> seen;
    for (u32 c = 0; c < 4; ++c) {
        for (u32 i = 0; i < test::rounds(20'000); ++i) {
            u32 number = space.alloc(c);
            if (!number && space.refill(c)) number = space.alloc(c);
            ASSERT_NE(number, 0u);
            u8* object = space.at(number);
            ASSERT_EQ(reinterpret_cast<uintptr_t>(object) % (c ? 64 : 16), c ? kLead : 0u);
            ASSERT_EQ(reinterpret_cast<u8*>(space.object(number)), object);
            std::memset(object + 8, 0xff, kSizes[c] - 8);
            seen.insert(object);
            const auto next = seen.upper_bound(object);
            if (next != seen.end()) {
                ASSERT_GE(*next - object, kSizes[c]);
            }
        }
    }
    EXPECT_EQ(seen.size(), 4 * test::rounds(20'000));
    EXPECT_LT(owner.bytes(), test::rounds(20'000) * (16 + 128 + 192 + 3136) * 5 / 4);
    while (!space.try_destroy()) host::rcu_barrier();
    EXPECT_EQ(owner.bytes(), u64{0});
}

TEST_F(ObjectSpaceTest, FreedObjectsWaitForReaders) {
    const u32 number = alloc(1);
    std::set<u32> others;
    {
        host::RcuReadGuard reader;
        space_.free_rcu(number);
        for (u32 i = 0; i < 500; ++i) others.insert(alloc(1));
    }
    EXPECT_EQ(others.count(number), 0u);
    for (const u32 other : others) space_.free_rcu(other);
    host::rcu_barrier();
    host::rcu_barrier();
    std::set<u32> later;
    for (u32 i = 0; i < 600; ++i) later.insert(alloc(1));
    EXPECT_EQ(later.count(number), 1u);
    for (const u32 other : others) EXPECT_EQ(later.count(other), 1u);
}

TEST_F(ObjectSpaceTest, ObjectsOfSeveralClassesInOneBatchGoHome) {
    std::vector<u32> numbers;
    for (u32 i = 0; i < 300; ++i) numbers.push_back(alloc(i % 3));
    for (const u32 number : numbers) space_.free_rcu(number);
    host::rcu_barrier();
    host::rcu_barrier();
    const u64 before = owner_.bytes();
    std::set<u32> again;
    for (u32 i = 0; i < 300; ++i) again.insert(alloc(i % 3));
    for (const u32 number : numbers) EXPECT_EQ(again.count(number), 1u);
    EXPECT_EQ(owner_.bytes(), before);
}

// An NMI that finds nothing is served after the next grace period.
TEST_F(ObjectSpaceTest, WhatAnNmiMissedIsFetched) {
    struct Attempt {
        ObjectSpace* space;
        u32 number = 0;
        static void run(void* argument) {
            auto* self = static_cast<Attempt*>(argument);
            self->number = self->space->alloc(0);
        }
    };
    Attempt first{&space_}, second{&space_};
    machine::send_nmi(host::cpu_id(), Attempt::run, &first);
    EXPECT_EQ(first.number, 0u);
    host::rcu_barrier();
    host::Cpu::yield_point();
    machine::send_nmi(host::cpu_id(), Attempt::run, &second);
    EXPECT_NE(second.number, 0u);
}

TEST_F(ObjectSpaceTest, WithoutMemoryNothingIsGained) {
    const u64 before = owner_.bytes();
    machine::fail_allocation_after(0);
    EXPECT_FALSE(space_.refill(3));
    EXPECT_TRUE(machine::stop_failing_allocations());
    EXPECT_EQ(owner_.bytes(), before);
    EXPECT_TRUE(space_.refill(3));
}

}  // namespace
}  // namespace barebpf
