// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Executable memory: its protections by the page tables, its bytes by running them, on every CPU.
#include "kernel/host/contract.h"
#include "testkit/guest/frames.h"
#include "testkit/guest/heap.h"
#include "testkit/guest/kernel.h"
#include "testkit/guest/page_table.h"
#include "testkit/test.h"

namespace barebpf::guest {
namespace {

// A function that returns a constant.
#if defined(__x86_64__)
constexpr u32 kCodeSize = 6;
void write_code(u8* to, u32 value) {
    to[0] = 0xb8;  // mov eax, imm32
    __builtin_memcpy(to + 1, &value, 4);
    to[5] = 0xc3;  // ret
}
constexpr u8 kTrap = 0xcc;
#else
constexpr u32 kCodeSize = 8;
void write_code(u8* to, u32 value) {
    const u32 code[2] = {0x52800000u | (value & 0xffff) << 5, 0xd65f03c0u};  // mov w0, imm16; ret
    __builtin_memcpy(to, code, 8);
}
constexpr u8 kTrap = 0x00;
#endif

Access access_at(const void* address) {
    return page_table::access_at(reinterpret_cast<u64>(address));
}

u32 call(const u8* code) {
    return reinterpret_cast<u32 (*)()>(reinterpret_cast<u64>(code))();
}

TEST(GuestExecMemory, NeverWritableAndExecutableAtOnce) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    host::ExecMemory code;
    ASSERT_TRUE(host::exec_reserve(kCodeSize, &code, owner));
    EXPECT_EQ(access_at(code.exec), Access::ReadExecute);
    EXPECT_EQ(access_at(code.write), Access::ReadWrite);
    EXPECT_EQ(access_at(direct(page_table::frame_at(reinterpret_cast<u64>(code.exec)))),
              Access::Read);
    EXPECT_EQ(code.exec[0], kTrap);
    const u8* alias = code.write;
    write_code(code.write, 1234);
    ASSERT_TRUE(host::exec_publish(&code));
    EXPECT_EQ(code.write, nullptr);
    EXPECT_EQ(access_at(alias), Access::None);
    EXPECT_EQ(call(code.exec), 1234u);
    u8* gone = code.exec;
    host::exec_free(&code, owner);
    u8 byte = kTrap;
    if (access_at(gone) != Access::None) byte = *gone;
    EXPECT_EQ(byte, kTrap);
    EXPECT_EQ(owner.bytes(), 0u);
}

TEST(GuestExecMemory, IsWithinReachOfTheImageOnly) {
    host::Cpu::Entry inside;
    EXPECT_TRUE(host::exec_reachable(reinterpret_cast<const void*>(&write_code)));
    EXPECT_TRUE(host::exec_reachable(reinterpret_cast<const void*>(&host::random_u64)));
    int on_the_stack;
    EXPECT_FALSE(host::exec_reachable(&on_the_stack));
}

// Small programs share pages, large ones span them; each keeps its bytes while neighbours come and go.
TEST(GuestExecMemory, NeighboursAreNotDisturbed) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    constexpr u32 kPrograms = 60;
    static host::ExecMemory programs[kPrograms];
    auto make = [&](u32 i, u32 value) {
        const u32 size = kCodeSize + i * 97 % 10000;
        ASSERT_TRUE(host::exec_reserve(size, &programs[i], owner));
        write_code(programs[i].write, value);
        ASSERT_TRUE(host::exec_publish(&programs[i]));
    };
    for (u32 i = 0; i < kPrograms; ++i) make(i, i);
    for (u32 i = 0; i < kPrograms; i += 3) host::exec_free(&programs[i], owner);
    for (u32 i = 0; i < kPrograms; i += 3) make(i, i + 1000);
    for (u32 i = 0; i < kPrograms; ++i) EXPECT_EQ(call(programs[i].exec), i % 3 ? i : i + 1000);
    for (host::ExecMemory& program : programs) host::exec_free(&program, owner);
    EXPECT_EQ(owner.bytes(), 0u);
}

// The same address gets other code, again and again, and every CPU runs the newest.
TEST(GuestExecMemory, EveryCpuRunsWhatWasPublished) {
    host::MemoryOwner owner;
    static const u8* code_address;
    static u32 value;
    static Atomic<u32> wrong;
    wrong.store(0, Order::Relaxed);
    for (value = 1; value <= 20; ++value) {
        host::ExecMemory code;
        {
            host::Cpu::Entry inside;
            ASSERT_TRUE(host::exec_reserve(kCodeSize, &code, owner));
            write_code(code.write, value);
            ASSERT_TRUE(host::exec_publish(&code));
            code_address = code.exec;
        }
        test::run_on_cpus(test::cpus(), [](u32) {
            if (call(code_address) != value) wrong.fetch_add(1, Order::Relaxed);
        });
        host::Cpu::Entry inside;
        host::exec_free(&code, owner);
    }
    EXPECT_EQ(wrong.load(Order::Relaxed), 0u);
}

// The frames that are left, up to so many, chained through their first words.
u64 take_all_frames_but(u64 left) {
    u64 last = kNoPage;
    while (frames::free_count() > left) {
        const u64 frame = frames::alloc();
        if (frame == kNoPage) break;
        *static_cast<u64*>(direct(frame)) = last;
        last = frame;
    }
    return last;
}

void give_back_frames(u64 last) {
    while (last != kNoPage) {
        const u64 next = *static_cast<u64*>(direct(last));
        frames::free(last);
        last = next;
    }
}

TEST(GuestExecMemory, TooLargeIsRefusedAndNothingStays) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    host::ExecMemory code;
    EXPECT_FALSE(host::exec_reserve(0, &code, owner));
    EXPECT_FALSE(host::exec_reserve(~0u, &code, owner));
    EXPECT_FALSE(host::exec_reserve(kProgramSize + kPageBytes, &code, owner));
    heap::shrink();
    const u64 taken = take_all_frames_but(8);
    // There may be idle pages in the window, so the first ones of these need no frame.
    for (u32 size = 4096; size <= 1 << 20; size *= 2) {
        if (!host::exec_reserve(size, &code, owner)) break;
        host::exec_free(&code, owner);
    }
    EXPECT_FALSE(host::exec_reserve(1 << 20, &code, owner));
    EXPECT_EQ(owner.bytes(), 0u);
    give_back_frames(taken);
    ASSERT_TRUE(host::exec_reserve(1 << 20, &code, owner));
    host::exec_free(&code, owner);
}

}  // namespace
}  // namespace barebpf::guest
