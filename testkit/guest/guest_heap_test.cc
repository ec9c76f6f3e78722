// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The heap from the side of its use. That it finds misuse is shown by planted deeds (plant=, testkit/guest/plant.cc):
// each ends the run.
#include "kernel/host/contract.h"
#include "testkit/guest/frames.h"
#include "testkit/guest/guest.h"
#include "testkit/guest/heap.h"
#include "testkit/guest/kernel.h"
#include "testkit/guest/page_table.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf::guest {
namespace {

using host::AllocContext;

u8* allocate(size_t size, host::MemoryOwner& owner) {
    return static_cast<u8*>(host::alloc(size, AllocContext::Atomic, owner));
}

TEST(GuestHeap, SizesAroundEveryBoundary) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    for (size_t size = 0; size < 9000; size += size < 200 ? 1 : 61) {
        u8* block = allocate(size, owner);
        ASSERT_TRUE(block);
        EXPECT_EQ(reinterpret_cast<u64>(block) % (size < 4096 ? 64 : 4096), 0u);
        for (size_t i = 0; i < size; ++i) {
            ASSERT_EQ(block[i], 0u);
            block[i] = static_cast<u8>(size);
        }
        host::free(block, size, owner);
    }
    heap_check();
}

// A freed block rests: the next one of its size is another.
TEST(GuestHeap, AFreedBlockIsNotUsedAgainAtOnce) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    for (size_t size : {size_t{40}, size_t{5000}}) {
        u8* freed[16];
        for (u8*& block : freed) {
            block = allocate(size, owner);
            ASSERT_TRUE(block);
            host::free(block, size, owner);
        }
        u8* next = allocate(size, owner);
        for (u8* block : freed) EXPECT_NE(block, next);
        host::free(next, size, owner);
    }
}

TEST(GuestHeap, AFreedLargeBlockFaults) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    u8* block = allocate(20000, owner);
    ASSERT_TRUE(block);
    u8 byte = 1;
    EXPECT_TRUE(arch::copy_nofault(block + 19999, &byte, 1));
    EXPECT_FALSE(arch::copy_nofault(block + 5 * kPageBytes, &byte, 1));
    EXPECT_FALSE(arch::copy_nofault(block - 1, &byte, 1));
    host::free(block, 20000, owner);
    EXPECT_FALSE(arch::copy_nofault(&byte, block, 1));
    EXPECT_FALSE(arch::copy_nofault(&byte, block + 19999, 1));
}

// Nothing but what is in use stays taken.
TEST(GuestHeap, MemoryComesBack) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    auto churn = [&] {
        static u8* blocks[400];
        for (u32 i = 0; i < 400; ++i) blocks[i] = allocate(1 + i * 53, owner);
        for (u32 i = 0; i < 400; ++i) host::free(blocks[i], 1 + i * 53, owner);
        heap::shrink();
    };
    churn();  // a slab of each class stays
    // Addresses go round, so tables are made for a while.
    const u64 before = frames::free_count() + page_table::table_count();
    for (u32 i = 0; i < 3; ++i) churn();
    // More, where a slab of another's had become empty meanwhile.
    EXPECT_GE(frames::free_count() + page_table::table_count(), before);
    EXPECT_EQ(owner.bytes(), 0u);
}

TEST(GuestHeap, CpusAndInterruptsAtOnce) {
    static host::MemoryOwner owner;
    static Atomic<u32> sent;
    static Atomic<u32> handled;
    sent.store(0, Order::Relaxed);
    handled.store(0, Order::Relaxed);
    const auto before = machine::live_memory();
    auto allocate_in_interrupt = [](void*) {
        u8* block = allocate(300, owner);
        if (block) host::free(block, 300, owner);
        handled.fetch_add(1, Order::Release);
    };
    test::run_on_cpus(test::cpus(), [=](u32 cpu) {
        for (u32 i = 0; i < 300; ++i) {
            const size_t size = 1 + (i * 131 + cpu * 17) % 6000;
            u8* block = allocate(size, owner);
            const u32 other = (cpu + 1) % test::cpus();
            if (i % 8 == 0 && machine::send_irq(other, allocate_in_interrupt, nullptr))
                sent.fetch_add(1, Order::Relaxed);
            if (block) host::free(block, size, owner);
        }
    });
    // The last interrupts may still be on their way.
    const u32 expected = sent.load(Order::Relaxed);
    for (u32 i = 0; i < 1000 && handled.load(Order::Acquire) < expected; ++i) sleep_ns(1000000);
    EXPECT_EQ(handled.load(Order::Acquire), expected);
    EXPECT_EQ(owner.bytes(), 0u);
    EXPECT_EQ(machine::live_memory().blocks, before.blocks);
    heap_check();
}

TEST(GuestHeap, EachAllocationCanBeMadeToFail) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    const auto before = machine::live_memory();
    auto scenario = [&]() -> bool {
        host::Buffer<u64> buffer;
        if (!buffer.allocate(10, AllocContext::MaySleep, owner)) return false;
        host::PerCpu<u64> counter;
        if (!counter.create(owner)) return false;
        host::MappedPages pages;  // a list, the pages, the mapping
        bool ok = pages.create(4, 2, owner);
        host::ExecMemory code;
        ok = ok && host::exec_reserve(100, &code, owner);
        host::exec_free(&code, owner);
        counter.destroy();
        return ok;
    };
    u32 points = 0;
    for (;; ++points) {
        ASSERT_LT(points, 100u);
        machine::fail_allocation_after(points);
        const bool ok = scenario();
        const bool failed = machine::stop_failing_allocations();
        EXPECT_NE(ok, failed);
        EXPECT_EQ(owner.bytes(), 0u);
        EXPECT_EQ(machine::live_memory().bytes, before.bytes);
        if (!failed) break;
    }
    EXPECT_EQ(points, 6u);
}

}  // namespace
}  // namespace barebpf::guest
