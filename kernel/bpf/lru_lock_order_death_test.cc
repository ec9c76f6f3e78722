// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The locks of LRU maps in a wrong order end the run of a checked build, whatever the compiler did not see
// (testkit/codegen/lock_order_test.py): each case in a process of its own.
#include "kernel/bpf/bpf_lru_list.h"
#include "kernel/host/lock_validator.h"
#include "testkit/test.h"

#if defined(BAREBPF_LOCK_VALIDATOR)

namespace barebpf {
namespace {

using host::Guard;
using host::IrqSave;
using host::SpinLock;

class LruLockOrderDeathTest : public testing::Test {
protected:
    void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

template <class Outer, class Inner>
void nest() {
    host::Cpu::Entry inside;
    SpinLock<Outer> outer;
    SpinLock<Inner> inner;
    Guard<SpinLock<Outer>, IrqSave> outer_guard(outer);
    host::IrqState irq;
    if (inner.acquire_in_any_context(&irq)) {
        Guard<SpinLock<Inner>, host::Adopt> inner_guard(inner, irq);
    }
}

TEST_F(LruLockOrderDeathTest, OfEachTwoOneIsTheOuter) {
    nest<LruLocalClass, LruListClass>();
    nest<LruLocalClass, HashBucketClass>();
    nest<LruListClass, HashBucketClass>();
    EXPECT_DEATH((nest<LruListClass, LruLocalClass>()),
                 "wrong order: lru_local .rank 30. while holding lru_list .rank 40.");
    EXPECT_DEATH((nest<HashBucketClass, LruLocalClass>()),
                 "wrong order: lru_local .rank 30. while holding hash_bucket .rank 50.");
    EXPECT_DEATH((nest<HashBucketClass, LruListClass>()),
                 "wrong order: lru_list .rank 40. while holding hash_bucket .rank 50.");
}

struct Everybody {
    bool evict(u32) const { return true; }
    void prefetch(u32) const {}
};

// A full list whose newest node is in none of the CPU's own chains.
u32 fill(BpfLruList* list, host::MemoryOwner& owner) {
    const u32 nodes = 64 * host::possible_cpus();
    if (!list->create(nodes, nodes, BpfLruList::Flavour::Common, owner)) return BpfLruList::kNone;
    u32 newest = BpfLruList::kNone;
    for (u32 i = 0; i < nodes; ++i) newest = list->take(Everybody{});
    list->take(Everybody{});
    return newest;
}

void take_under_a_bucket() NO_THREAD_SAFETY_ANALYSIS {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    BpfLruList list;
    fill(&list, owner);
    HashBucket bucket{};
    Guard<HashBucket::Lock, IrqSave> guard(bucket.lock);
    list.take(Everybody{});
}

void give_back_under_a_bucket() NO_THREAD_SAFETY_ANALYSIS {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    BpfLruList list;
    const u32 node = fill(&list, owner);
    HashBucket bucket{};
    Guard<HashBucket::Lock, IrqSave> guard(bucket.lock);
    list.give_back(node);
}

TEST_F(LruLockOrderDeathTest, TheListsUnderABucket) {
    EXPECT_DEATH(take_under_a_bucket(), "wrong order: lru_local .* while holding hash_bucket");
    EXPECT_DEATH(give_back_under_a_bucket(), "wrong order: lru_list .* while holding hash_bucket");
}

}  // namespace
}  // namespace barebpf

#endif
