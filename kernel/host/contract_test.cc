// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The contract as the core sees it: what every backend must do alike.
#include "kernel/host/contract.h"

#include "testkit/test.h"

namespace barebpf::host {
namespace {

struct OuterClass {
    static constexpr LockClass kClass{"outer", 10};
};
struct InnerClass {
    static constexpr LockClass kClass{"inner", 20};
};
using OuterLock = SpinLock<OuterClass>;
using InnerLock = SpinLock<InnerClass>;

TEST(Contract, LocksExcludeOneAnother) {
    const u32 cpus = test::cpus_up_to(4);
    constexpr u32 kTurns = 20000;
    static OuterLock outer;
    static InnerLock inner;
    static u64 plain;
    plain = 0;
    test::run_on_cpus(cpus, [](u32) {
        for (u32 i = 0; i < kTurns; ++i) {
            Guard<OuterLock, IrqSave> outer_guard(outer);
            Guard<InnerLock, NoIrq> inner_guard(inner);
            ++plain;
        }
    });
    EXPECT_EQ(plain, u64{cpus} * kTurns);
}

// What code in an interrupted context does; the analysis knows only one context.
bool try_and_release(OuterLock& lock) NO_THREAD_SAFETY_ANALYSIS {
    IrqState irq;
    if (!lock.acquire_in_any_context(&irq)) return false;
    Guard<OuterLock, Adopt> guard(lock, irq);
    return true;
}

TEST(Contract, AcquireInAnyContextFailsOnAHeldLockOfThisCpu) {
    Cpu::Entry inside;
    OuterLock lock;
    {
        Guard<OuterLock, IrqSave> guard(lock);
        EXPECT_FALSE(try_and_release(lock));
    }
    EXPECT_TRUE(try_and_release(lock));
    EXPECT_TRUE(try_and_release(lock));
}

TEST(Contract, PerCpuCopiesAreApartAndZero) {
    Cpu::Entry inside;
    MemoryOwner owner;
    PerCpu<u64> counter;
    ASSERT_TRUE(counter.create(owner));
    EXPECT_EQ(owner.bytes(), sizeof(u64) * possible_cpus());
    for (u32 cpu = 0; cpu < possible_cpus(); ++cpu) {
        EXPECT_EQ(*counter.cpu(cpu), 0u);
        *counter.cpu(cpu) = cpu + 1;
        auto line = [](const void* at) { return reinterpret_cast<uintptr_t>(at) / 64; };
        if (cpu == 0) continue;
        EXPECT_NE(line(counter.cpu(cpu)), line(counter.cpu(cpu - 1)));
    }
    EXPECT_EQ(*counter.this_cpu(), cpu_id() + 1);
    counter.destroy();
    EXPECT_EQ(owner.bytes(), 0u);
}

TEST(Contract, AllocationsAreZeroAlignedAndAccounted) {
    Cpu::Entry inside;
    MemoryOwner owner;
    constexpr size_t kSizes[] = {1, 16, 63, 64, 65, 100, 4095, 4096, 70000, 300000, 5000000};
    for (size_t size : kSizes) {
        // Twice, so that the second may get what the first has dirtied.
        for (u32 turn = 0; turn < 2; ++turn) {
            auto* memory = static_cast<u8*>(alloc(size, AllocContext::MaySleep, owner));
            ASSERT_TRUE(memory);
            EXPECT_EQ(owner.bytes(), size);
            size_t alignment = size >= 4096 ? 4096 : size >= 64 ? 64 : 16;
            EXPECT_EQ(reinterpret_cast<uintptr_t>(memory) % alignment, 0u);
            u8 any = 0;
            for (size_t i = 0; i < size; ++i) any |= memory[i];
            EXPECT_EQ(any, 0);
            for (size_t i = 0; i < size; ++i) memory[i] = 0xa5;
            free(memory, size, owner);
        }
    }
    EXPECT_EQ(owner.bytes(), 0u);
    EXPECT_FALSE(alloc(size_t{1} << 50, AllocContext::MaySleep, owner));
    Buffer<u64> buffer;
    EXPECT_FALSE(buffer.allocate(SIZE_MAX / 4, AllocContext::MaySleep, owner));
}

TEST(Contract, PagesMayStandTwiceInAMapping) {
    Cpu::Entry inside;
    MemoryOwner owner;
    for (u32 turn = 0; turn < 2; ++turn) {
        MappedPages ring;
        ASSERT_TRUE(ring.create(6, 2, owner));
        EXPECT_EQ(ring.mapped_count(), 10u);
        EXPECT_GE(owner.bytes(), 6 * kPageSize);
        auto* bytes = static_cast<u8*>(ring.address());
        for (size_t i = 0; i < 10 * kPageSize; ++i) ASSERT_EQ(bytes[i], 0);
        for (u32 page = 2; page < 6; ++page) {
            // The compiler takes two addresses for two objects, so atomically.
            atomic_at<u8>(bytes + page * kPageSize + 7)
                .store(static_cast<u8>(page), Order::Relaxed);
            fence(Order::SeqCst);
            EXPECT_EQ(atomic_at<u8>(bytes + (page + 4) * kPageSize + 7).load(Order::Relaxed), page);
        }
        // A write across the seam shows at the start.
        u64 seam = 0x1122334455667788;
        __builtin_memcpy(bytes + 6 * kPageSize - 4, &seam, 8);
        fence(Order::SeqCst);
        u32 wrapped;
        __builtin_memcpy(&wrapped, bytes + 2 * kPageSize, 4);
        EXPECT_EQ(wrapped, 0x11223344u);
    }
    EXPECT_EQ(owner.bytes(), 0u);
}

struct Node {
    RcuHead head;
    u32* freed;
};

void count_freed(RcuHead* head) {
    ++*reinterpret_cast<Node*>(head)->freed;
}

TEST(Contract, BarrierRunsEveryCallback) {
    Cpu::Entry inside;
    u32 freed = 0;
    Node nodes[10];
    for (u32 i = 0; i < 10; ++i) {
        nodes[i].freed = &freed;
        if (i % 2) {
            call_rcu(&nodes[i].head, count_freed);
        } else {
            call_rcu_process(&nodes[i].head, count_freed);
        }
    }
    synchronize_rcu();
    EXPECT_EQ(freed, 0u);
    rcu_barrier();
    EXPECT_EQ(freed, 10u);
}

TEST(Contract, ClocksGoForward) {
    u64 before = Clock::monotonic_ns();
    EXPECT_LE(before, Clock::monotonic_ns());
    const u64 coarse = Clock::monotonic_coarse_ns();  // read first
    EXPECT_LE(coarse, Clock::monotonic_ns());
    EXPECT_GE(Clock::boottime_ns() + 1000000000, before);
    EXPECT_NE(Clock::tai_ns(), 0u);
    EXPECT_NE(Clock::jiffies64(), 0u);
    EXPECT_NE(random_u64(), random_u64());
}

}  // namespace
}  // namespace barebpf::host
