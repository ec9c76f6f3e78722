// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// HASH_OF_MAPS beyond what all maps of maps share (map_in_map_test.cc): flags, storage, references.
#include "kernel/bpf/hashtab.h"
#include "kernel/bpf/map_client_test.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using host::Atomic;
using host::Order;
using test::map_of;

constexpr s64 kNoEnt = -to_int(Errno::NoEnt);

class HashOfMaps : public ::testing::TestWithParam<u32> {
protected:
    static constexpr u32 kInner = 4;

    void make(u32 entries) {
        for (int& fd : inner_) {
            fd = Client::create(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
            ASSERT_GE(fd, 0);
        }
        outer_ = Client::create_outer(BPF_MAP_TYPE_HASH_OF_MAPS, 8, entries, inner_[0], GetParam());
        ASSERT_GE(outer_, 0);
    }
    void TearDown() override {
        if (outer_ >= 0) Client::close(outer_);
        for (const int fd : inner_) {
            if (fd >= 0) Client::close(fd);
        }
        host::rcu_barrier();
    }
    s64 put(u64 key, u32 inner, u64 flags = BPF_ANY) {
        return Client::update(outer_, &key, &inner_[inner], flags);
    }
    s64 erase(u64 key) { return Client::erase(outer_, &key); }
    u32 refs(u32 inner) { return map_of(inner_[inner])->refs.count(); }
    Map* look(u64 key) {
        Map* outer = map_of(outer_);
        return static_cast<Map*>(outer->ops->lookup(outer, &key));
    }

    host::Cpu::Entry inside_;
    int inner_[kInner] = {-1, -1, -1, -1};
    int outer_ = -1;
};
INSTANTIATE_TEST_SUITE_P(Kinds, HashOfMaps, ::testing::Values(0u, u32{BPF_F_NO_PREALLOC}),
                         [](const auto& kind) {
                             return std::string(kind.param ? "OnDemand" : "Preallocated");
                         });

TEST_P(HashOfMaps, EveryElementHoldsOneReference) {
    make(3);
    EXPECT_EQ(put(1, 0, BPF_EXIST), kNoEnt);
    EXPECT_EQ(put(1, 0, 7), -to_int(Errno::Inval));
    EXPECT_EQ(put(1, 0, BPF_F_LOCK), -to_int(Errno::Inval));
    EXPECT_EQ(refs(0), 1u);
    EXPECT_EQ(put(1, 0, BPF_NOEXIST), 0);
    EXPECT_EQ(refs(0), 2u);
    EXPECT_EQ(put(1, 1, BPF_NOEXIST), -to_int(Errno::Exist));
    EXPECT_EQ(refs(1), 1u);
    EXPECT_EQ(look(1), map_of(inner_[0]));
    EXPECT_EQ(put(1, 1), 0);
    EXPECT_EQ(refs(0), 1u);
    EXPECT_EQ(refs(1), 2u);
    EXPECT_EQ(look(1), map_of(inner_[1]));
    EXPECT_EQ(put(2, 1), 0);
    EXPECT_EQ(put(3, 1), 0);
    EXPECT_EQ(refs(1), 4u);
    EXPECT_EQ(put(4, 1), -to_int(Errno::TooBig));
    EXPECT_EQ(refs(1), 4u);
    EXPECT_EQ(erase(2), 0);
    EXPECT_EQ(erase(2), kNoEnt);
    EXPECT_EQ(refs(1), 3u);
    EXPECT_EQ(look(2), nullptr);
    u32 id;
    const u64 key = 1;
    EXPECT_EQ(Client::take(outer_, &key, &id), -to_int(Errno::NotSupp));
    Client::close(outer_);
    outer_ = -1;
    host::rcu_barrier();
    EXPECT_EQ(refs(1), 1u) << "the rest goes with the map";
}

TEST_P(HashOfMaps, ManyElementsAreDroppedWithTheMap) {
    constexpr u32 kCount = 3000;  // some buckets overflow
    make(kCount);
    for (u64 i = 0; i < kCount; ++i) ASSERT_EQ(put(i, i % kInner), 0);
    EXPECT_EQ(refs(0), kCount / kInner + 1);
    Client::close(outer_);
    outer_ = -1;
    for (u32 i = 0; i < 3; ++i) host::rcu_barrier();
    for (u32 i = 0; i < kInner; ++i) EXPECT_EQ(refs(i), 1u);
}

// A program that found an inner map may use it until it ends, whoever takes it out and closes it.
TEST_P(HashOfMaps, AFoundMapStaysForTheReadSection) {
    make(2);
    ASSERT_EQ(put(1, 3), 0);
    Client::close(inner_[3]);  // the element alone holds it
    inner_[3] = -1;
    const s64 live = machine::live_memory().blocks;
    {
        host::Cpu::Pin pin;
        host::RcuReadGuard rcu;
        Map* found = look(1);
        Map* outer = map_of(outer_);
        const u64 key = 1;
        ASSERT_EQ(outer->ops->erase(outer, &key), 0);
        EXPECT_EQ(found->refs.count(), 0u);
        const u32 index = 0;
        *static_cast<u64*>(found->ops->lookup(found, &index)) = 17;
        EXPECT_EQ(machine::live_memory().blocks, live);
    }
    host::rcu_barrier();
    EXPECT_LT(machine::live_memory().blocks, live);
}

// Look-ups while elements are exchanged, taken out and put in again under other keys: each key's
// inner map is one that was put there.
TEST_P(HashOfMaps, ALookupFindsAMapOfItsKey) {
    make(4);
    Map* outer = map_of(outer_);
    Map* inner[kInner];
    for (u32 i = 0; i < kInner; ++i) inner[i] = map_of(inner_[i]);
    Atomic<u32> wrong{}, found{};
    const u32 turns = test::rounds(20000);
    // Key k holds inner map k % 2, or k % 2 + 2.
    test::run_on_cpus(test::cpus_up_to(3), [&](u32 cpu) {
        for (u32 turn = 0; turn < turns; ++turn) {
            const u64 key = (turn * 7 + cpu) % 6;
            if (cpu % 2 == 0) {
                put(key, key % 2 + turn % 2 * 2);
                if (turn % 3) erase(key);
            } else {
                host::Cpu::Pin pin;
                host::RcuReadGuard rcu;
                const void* map = outer->ops->lookup(outer, &key);
                if (map) found.fetch_add(1, Order::Relaxed);
                if (map && map != inner[key % 2] && map != inner[key % 2 + 2]) {
                    wrong.fetch_add(1, Order::Relaxed);
                }
            }
            host::Cpu::yield_point();
        }
    });
    EXPECT_EQ(wrong.load(Order::Relaxed), 0u);
    for (u64 key = 0; key < 6; ++key) erase(key);
    host::rcu_barrier();
    for (u32 i = 0; i < kInner; ++i) EXPECT_EQ(refs(i), 1u);
}

}  // namespace
}  // namespace barebpf
