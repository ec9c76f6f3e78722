// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What stands where, and what may be done there, over all leaves of the page tables.
#include "kernel/host/contract.h"
#include "testkit/guest/frames.h"
#include "testkit/guest/image.h"
#include "testkit/guest/page_table.h"
#include "testkit/test.h"

namespace barebpf::guest {
namespace {

u64 number(const void* address) {
    return reinterpret_cast<u64>(address);
}

// Bits for each frame: how it can be reached by any of its addresses.
enum Reach : u8 { kReadable = 1, kWritable = 2, kExecutable = 4 };
constexpr u64 kFrames = kMaxRam / kPageBytes;

struct Walk {
    u8 reach[kFrames];
    u64 base;  // the lowest frame's number
    u64 leaves;
    u64 outside;      // in none of the layout's windows
    u64 executables;  // outside of the image and the programs' window
    u64 devices;
};
Walk walk;

u8 reach_of(Access access) {
    switch (access) {
        case Access::None:
            return 0;
        case Access::Read:
            return kReadable;
        case Access::ReadWrite:
            return kReadable | kWritable;
        case Access::ReadExecute:
            return kReadable | kExecutable;
    }
    return 0xff;
}

bool in_window(u64 address) {
    return (address >= kDirectBase && address < kDirectBase + (u64{1} << 32)) ||
           (address >= kMappedBase && address < kMappedBase + kMappedSize) ||
           (address >= kDeviceBase && address < kImageBase) || address >= kImageBase;
}

bool may_hold_code(u64 address) {
    return (address >= number(guest_text_begin) && address < number(guest_text_end)) ||
           (address >= kProgramBase && address < kProgramBase + kProgramSize);
}

void visit(void*, u64 address, u64 entry) {
    const u64 frame = arch::entry_physical(entry);
    const Access access = arch::entry_access(entry);
    ++walk.leaves;
    if (!in_window(address)) ++walk.outside;
    if (access == Access::ReadExecute && !may_hold_code(address)) ++walk.executables;
    const u64 index = frame / kPageBytes - walk.base;
    if (frames::is_ram(frame) && index < kFrames) {
        walk.reach[index] |= reach_of(access);
    } else {
        ++walk.devices;
    }
}

void walk_everything() {
    walk = Walk{};
    walk.base = ~u64{0};
    frames::for_each_ram([](u64 first, u64) {
        if (first / kPageBytes < walk.base) walk.base = first / kPageBytes;
    });
    page_table::for_each_leaf(visit, nullptr);
}

u32 frames_that_are_writable_and_executable() {
    u32 count = 0;
    for (u8 reach : walk.reach) count += (reach & kWritable) && (reach & kExecutable);
    return count;
}

// Whatever a JIT or a bug writes, it cannot be what is executed: not by the same address, nor by another.
TEST(GuestMemoryMap, NoFrameIsWritableAndExecutable) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    host::ExecMemory code;
    ASSERT_TRUE(host::exec_reserve(100, &code, owner));
    ASSERT_TRUE(host::exec_publish(&code));
    walk_everything();
    EXPECT_GT(walk.leaves, 1000u);
    EXPECT_EQ(walk.outside, 0u);
    EXPECT_EQ(walk.executables, 0u);
    EXPECT_EQ(frames_that_are_writable_and_executable(), 0u);
    host::exec_free(&code, owner);
}

// The alias that a program is written through is the one exception, and ends with publish().
TEST(GuestMemoryMap, AProgramBeingWrittenHasOneWritableAlias) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    host::ExecMemory code;
    ASSERT_TRUE(host::exec_reserve(100, &code, owner));
    walk_everything();
    EXPECT_EQ(frames_that_are_writable_and_executable(), 1u);
    ASSERT_TRUE(host::exec_publish(&code));
    walk_everything();
    EXPECT_EQ(frames_that_are_writable_and_executable(), 0u);
    host::exec_free(&code, owner);
}

TEST(GuestMemoryMap, TheImageHasItsProtections) {
    EXPECT_EQ(page_table::access_at(number(guest_text_begin)), Access::ReadExecute);
    EXPECT_EQ(page_table::access_at(number(guest_text_end) - 1), Access::ReadExecute);
    EXPECT_EQ(page_table::access_at(number(guest_rodata_begin)), Access::Read);
    EXPECT_EQ(page_table::access_at(number(guest_image_end) - 1), Access::ReadWrite);
    EXPECT_EQ(page_table::access_at(number(&walk)), Access::ReadWrite);
}

// The tables say so, and the machine obeys them.
TEST(GuestMemoryMap, TextCannotBeWrittenThroughTheDirectMap) {
    void* alias = direct(image_physical(guest_text_begin));
    EXPECT_EQ(page_table::access_at(number(alias)), Access::Read);
    u8 byte;
    ASSERT_TRUE(arch::copy_nofault(&byte, alias, 1));
    EXPECT_FALSE(arch::copy_nofault(alias, &byte, 1));
    EXPECT_FALSE(arch::copy_nofault(guest_text_begin, &byte, 1));
    EXPECT_FALSE(arch::copy_nofault(guest_rodata_begin, &byte, 1));
}

TEST(GuestMemoryMap, NothingIsAtNull) {
    u8 byte = 0;
    EXPECT_FALSE(arch::copy_nofault(&byte, nullptr, 1));
    EXPECT_FALSE(arch::copy_nofault(nullptr, &byte, 1));
    EXPECT_EQ(page_table::access_at(0), Access::None);
}

TEST(GuestMemoryMap, StacksHaveHolesBelow) {
    for (u32 cpu = 0; cpu < test::cpus(); ++cpu) {
        const CpuArea& area = cpu_areas[cpu];
        EXPECT_EQ(page_table::access_at(area.stack_top - 1), Access::ReadWrite);
        EXPECT_EQ(page_table::access_at(area.stack_top - kStackBytes), Access::ReadWrite);
        EXPECT_EQ(page_table::access_at(area.stack_top - kStackBytes - 1), Access::None);
        EXPECT_EQ(page_table::access_at(area.stack_top), Access::None);
        for (u64 top : area.trap_stack_top)
            EXPECT_EQ(page_table::access_at(top - kTrapStackBytes - 1), Access::None);
    }
}

}  // namespace
}  // namespace barebpf::guest
