// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>

#include <string>
#include <vector>

#include "testkit/test.h"
#include "testkit/user/user.h"

namespace barebpf::user {
namespace {

// A function that returns a constant.
#if defined(__x86_64__)
constexpr u32 kCodeSize = 6;
void write_code(u8* to, u32 value) {
    to[0] = 0xb8;  // mov eax, imm32
    memcpy(to + 1, &value, 4);
    to[5] = 0xc3;  // ret
}
constexpr u8 kTrap = 0xcc;
#else
constexpr u32 kCodeSize = 8;
void write_code(u8* to, u32 value) {
    u32 code[2] = {0x52800000u | (value & 0xffff) << 5, 0xd65f03c0u};  // mov w0, imm16; ret
    memcpy(to, code, 8);
}
constexpr u8 kTrap = 0x00;
#endif

// The protection of the mapping that holds address, as /proc/self/maps tells: "r-xs" and so on.
std::string protection_of(const void* address) {
    FILE* maps = fopen("/proc/self/maps", "r");
    char line[512];
    std::string found = "none";
    while (fgets(line, sizeof(line), maps)) {
        unsigned long start, end;
        char bits[8];
        if (sscanf(line, "%lx-%lx %7s", &start, &end, bits) != 3) continue;
        auto at = reinterpret_cast<unsigned long>(address);
        if (at >= start && at < end) found = bits;
    }
    fclose(maps);
    return found;
}

TEST(ExecMemory, NeverWritableAndExecutableAtOnce) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    host::ExecMemory code;
    ASSERT_TRUE(host::exec_reserve(kCodeSize, &code, owner));
    EXPECT_EQ(protection_of(code.exec), "r-xs");
    EXPECT_EQ(protection_of(code.write), "rw-s");
    EXPECT_EQ(code.exec[0], kTrap);
    u8* alias = code.write;
    write_code(code.write, 1234);
    ASSERT_TRUE(host::exec_publish(&code));
    EXPECT_EQ(code.write, nullptr);
    EXPECT_NE(protection_of(alias), "rw-s");
    EXPECT_EQ(reinterpret_cast<u32 (*)()>(code.exec)(), 1234u);
    u8* gone = code.exec;
    host::exec_free(&code, owner);
    EXPECT_EQ(gone[0], kTrap);
    EXPECT_EQ(owner.bytes(), 0u);
}

TEST(ExecMemory, IsWithinReachOfOurText) {
    host::Cpu::Entry inside;
    EXPECT_TRUE(host::exec_reachable(reinterpret_cast<const void*>(&write_code)));
    EXPECT_TRUE(host::exec_reachable(reinterpret_cast<const void*>(&host::random_u64)));
    int on_the_stack;
    EXPECT_FALSE(host::exec_reachable(&on_the_stack));
}

// Small programs share pages: each keeps its bytes while neighbours come and go.
TEST(ExecMemory, NeighboursAreNotDisturbed) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    std::vector<host::ExecMemory> programs(500);
    for (u32 round = 0; round < 3; ++round) {
        for (u32 i = 0; i < programs.size(); ++i) {
            if (programs[i].exec) continue;
            const u32 size = kCodeSize + (i * 37) % 900;
            ASSERT_TRUE(host::exec_reserve(size, &programs[i], owner));
            write_code(programs[i].write, i);
            ASSERT_TRUE(host::exec_publish(&programs[i]));
        }
        for (u32 i = 0; i < programs.size(); ++i)
            ASSERT_EQ(reinterpret_cast<u32 (*)()>(programs[i].exec)(), i);
        for (u32 i = round; i < programs.size(); i += 2) host::exec_free(&programs[i], owner);
    }
    for (auto& program : programs) host::exec_free(&program, owner);
    EXPECT_EQ(owner.bytes(), 0u);
}

TEST(ExecMemory, LargerThanAChunk) {
    host::Cpu::Entry inside;
    host::MemoryOwner owner;
    host::ExecMemory large, small;
    constexpr u32 kSize = 5 << 20;
    ASSERT_TRUE(host::exec_reserve(kSize, &large, owner));
    memset(large.write, kTrap, kSize);
    write_code(large.write + kSize - kCodeSize, 77);
    ASSERT_TRUE(host::exec_publish(&large));
    ASSERT_TRUE(host::exec_reserve(kCodeSize, &small, owner));
    EXPECT_EQ(reinterpret_cast<u32 (*)()>(large.exec + kSize - kCodeSize)(), 77u);
    host::exec_free(&large, owner);
    host::exec_free(&small, owner);
    EXPECT_FALSE(host::exec_reserve(u32{3} << 30, &large, owner));
    EXPECT_FALSE(host::exec_reserve(0, &large, owner));
}

}  // namespace
}  // namespace barebpf::user
