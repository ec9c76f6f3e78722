// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/free_in_steps.h"

#include "kernel/bpf/free_in_steps_test.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using test::Waiting;

TEST(FreeInSteps, OthersHaveTheCpuMeanwhile) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    host::rcu_barrier();
    const machine::LiveMemory before = machine::live_memory();
    for (const size_t size : {kFreeStep, 2 * kFreeStep, 4 * kFreeStep + 4096 + 8}) {
        void* block = host::alloc(size, host::AllocContext::MaySleep, owner);
        ASSERT_NE(block, nullptr);
        __builtin_memset(block, 1, size);
        Waiting waiting;
        free_in_steps(block, size, owner);
        EXPECT_EQ(waiting.ran, size > kFreeStep);
        EXPECT_EQ(owner.bytes(), u64{0});
        EXPECT_EQ(machine::live_memory().bytes, before.bytes);
    }
    free_in_steps(nullptr, 0, owner);
}

TEST(FreeInSteps, ManySmallThingsTakeSteps) {
    host::Cpu::Entry inside;
    for (const u32 count : {kFreeObjects - 1, kFreeObjects, 3 * kFreeObjects}) {
        Waiting waiting;
        FreeSteps steps;
        for (u32 i = 0; i < count; ++i) steps.one_more();
        EXPECT_EQ(waiting.ran, count >= kFreeObjects);
    }
}

}  // namespace
}  // namespace barebpf
