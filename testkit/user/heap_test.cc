// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <sys/mman.h>

#include "testkit/test.h"
#include "testkit/user/user.h"

namespace barebpf::user {
namespace {

using host::AllocContext;

class Heap : public testing::Test {
protected:
    void SetUp() override { before_ = live_memory(); }
    void TearDown() override {
        EXPECT_EQ(live_memory().bytes, before_.bytes);
        EXPECT_EQ(live_memory().blocks, before_.blocks);
    }
    LiveMemory before_;
    host::MemoryOwner owner_;
};

TEST_F(Heap, LiveMemoryIsCounted) {
    host::Cpu::Entry inside;
    void* small = host::alloc(100, AllocContext::Atomic, owner_);
    void* large = host::alloc(10 << 20, AllocContext::MaySleep, owner_);
    EXPECT_EQ(live_memory().bytes - before_.bytes, 100 + (10 << 20));
    EXPECT_EQ(live_memory().blocks - before_.blocks, 2);
    // From 2 MiB up a huge page can back it.
    EXPECT_EQ(reinterpret_cast<uintptr_t>(large) % (2 << 20), 0u);
    host::free(small, 100, owner_);
    host::free(large, 10 << 20, owner_);
}

// Not all together when the last of them has been freed, which would take long.
TEST_F(Heap, EachLargerBlockGoesBackWhenItIsFreed) {
    constexpr size_t kSize = 40 << 10;
    host::Cpu::Entry inside;
    void* blocks[64];
    for (void*& block : blocks) {
        block = host::alloc(kSize, AllocContext::Atomic, owner_);
        ASSERT_NE(block, nullptr);
    }
    for (void* block : blocks) {
        unsigned char resident;
        EXPECT_EQ(mincore(block, 4096, &resident), 0);
        host::free(block, kSize, owner_);
        EXPECT_EQ(mincore(block, 4096, &resident), -1);
    }
}

// What is freed on another CPU than it was allocated on still balances.
TEST_F(Heap, CountsAcrossCpus) {
    void* memory[4];
    test::run_on_cpus(
        4, [&](u32 cpu) { memory[cpu] = host::alloc(1000, AllocContext::MaySleep, owner_); });
    EXPECT_EQ(live_memory().blocks - before_.blocks, 4);
    test::run_on_cpus(4, [&](u32 cpu) { host::free(memory[3 - cpu], 1000, owner_); });
    EXPECT_EQ(owner_.bytes(), 0u);
}

// Each kind of memory in turn is the one that fails, and leaves nothing behind.
TEST_F(Heap, EachAllocationCanBeMadeToFail) {
    host::Cpu::Entry inside;
    auto scenario = [&]() -> bool {
        host::Buffer<u64> buffer;
        if (!buffer.allocate(10, AllocContext::MaySleep, owner_)) return false;
        host::PerCpu<u64> counter;
        if (!counter.create(owner_)) return false;
        host::MappedPages pages;  // a list, the pages, the mapping
        bool ok = pages.create(4, 2, owner_);
        host::ExecMemory code;
        ok = ok && host::exec_reserve(100, &code, owner_);
        host::exec_free(&code, owner_);
        counter.destroy();
        return ok;
    };
    u32 points = 0;
    for (;; ++points) {
        ASSERT_LT(points, 100u);
        fail_allocation_after(points);
        bool ok = scenario();
        bool failed = stop_failing_allocations();
        EXPECT_NE(ok, failed);
        EXPECT_EQ(owner_.bytes(), 0u);
        EXPECT_EQ(live_memory().bytes, before_.bytes);
        if (!failed) break;
    }
    EXPECT_EQ(points, 6u);
}

TEST_F(Heap, BeyondTheMachineFails) {
    host::Cpu::Entry inside;
    EXPECT_FALSE(host::alloc(size_t{1} << 46, AllocContext::MaySleep, owner_));
    host::PerCpuMemory memory;
    EXPECT_FALSE(memory.create(SIZE_MAX - 10, owner_));
    EXPECT_FALSE(memory.create(SIZE_MAX / 4, owner_));
}

// An interrupt that allocates while the thread is in the allocator.
TEST_F(Heap, InterruptsMayAllocate) {
    EntryOn inside(0);
    for (u32 i = 0; i < 2000; ++i) {
        send_irq(
            0,
            [](void* owner) {
                auto& to = *static_cast<host::MemoryOwner*>(owner);
                host::free(host::alloc(200, AllocContext::Atomic, to), 200, to);
            },
            &owner_);
        host::free(host::alloc(200, AllocContext::MaySleep, owner_), 200, owner_);
    }
}

}  // namespace
}  // namespace barebpf::user
