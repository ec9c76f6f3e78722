// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Known byte rows, worked out by hand from the opcode tables and the ModRM, SIB, REX and VEX rules
// of the SDM vol. 2. They need no tool, so every build host can run them; assembler_llvm_test.cc
// covers the rest of the space.
#include <cstring>

#include "arch/x86/net/assembler.h"
#include "testkit/test.h"

namespace barebpf::x86 {
namespace {

using R = Register;
using W = Width;

struct Row {
    const char* text;
    void (*emit)(Assembler& out);
    u32 length;
    u8 bytes[16];
};

const Row kRows[] = {
    {"mov rax, rbx", [](Assembler& a) { a.mov(W::W64, R::Rax, R::Rbx); }, 3, {0x48, 0x89, 0xD8}},
    {"mov eax, ebx", [](Assembler& a) { a.mov(W::W32, R::Rax, R::Rbx); }, 2, {0x89, 0xD8}},
    {"mov r9, r15", [](Assembler& a) { a.mov(W::W64, R::R9, R::R15); }, 3, {0x4D, 0x89, 0xF9}},
    {"mov sil, al", [](Assembler& a) { a.mov(W::W8, R::Rsi, R::Rax); }, 3, {0x40, 0x88, 0xC6}},
    {"mov [rsp], ax",
     [](Assembler& a) { a.mov(W::W16, Memory(R::Rsp), R::Rax); },
     4,
     {0x66, 0x89, 0x04, 0x24}},
    {"mov rax, [rbp]",
     [](Assembler& a) { a.mov(W::W64, R::Rax, Memory(R::Rbp)); },
     4,
     {0x48, 0x8B, 0x45, 0x00}},
    {"mov r8d, [r13+r12*8-1]",
     [](Assembler& a) { a.mov(W::W32, R::R8, Memory(R::R13, R::R12, Scale::X8, -1)); },
     5,
     {0x47, 0x8B, 0x44, 0xE5, 0xFF}},
    {"mov rcx, -1",
     [](Assembler& a) { a.mov(W::W64, R::Rcx, -1); },
     7,
     {0x48, 0xC7, 0xC1, 0xFF, 0xFF, 0xFF, 0xFF}},
    {"movabs r10, ...",
     [](Assembler& a) { a.mov64(R::R10, 0x1122334455667788); },
     10,
     {0x49, 0xBA, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11}},
    {"mov dword [rdi+4], 7",
     [](Assembler& a) { a.mov(W::W32, Memory(R::Rdi, 4), 7); },
     7,
     {0xC7, 0x47, 0x04, 0x07, 0x00, 0x00, 0x00}},
    {"xor r8d, r8d", [](Assembler& a) { a.zero(R::R8); }, 3, {0x45, 0x31, 0xC0}},
    {"movzx eax, dil",
     [](Assembler& a) { a.movzx(R::Rax, W::W8, R::Rdi); },
     4,
     {0x40, 0x0F, 0xB6, 0xC7}},
    {"movsxd rax, ecx",
     [](Assembler& a) { a.movsx(W::W64, R::Rax, W::W32, R::Rcx); },
     3,
     {0x48, 0x63, 0xC1}},
    {"lea rax, [rip+16]",
     [](Assembler& a) { a.lea(W::W64, R::Rax, Memory::rip(16)); },
     7,
     {0x48, 0x8D, 0x05, 0x10, 0x00, 0x00, 0x00}},
    {"mov rax, gs:[40]",
     [](Assembler& a) { a.mov(W::W64, R::Rax, Memory::absolute(40).in(Segment::Gs)); },
     9,
     {0x65, 0x48, 0x8B, 0x04, 0x25, 0x28, 0x00, 0x00, 0x00}},
    {"add rdi, 1", [](Assembler& a) { a.add(W::W64, R::Rdi, 1); }, 4, {0x48, 0x83, 0xC7, 0x01}},
    {"and eax, 0x12345678",
     [](Assembler& a) { a.and_(W::W32, R::Rax, 0x12345678); },
     5,
     {0x25, 0x78, 0x56, 0x34, 0x12}},
    {"cmp word [rsi], 0x800",
     [](Assembler& a) { a.cmp(W::W16, Memory(R::Rsi), 0x800); },
     5,
     {0x66, 0x81, 0x3E, 0x00, 0x08}},
    {"imul rbx, rcx, 100",
     [](Assembler& a) { a.imul(W::W64, R::Rbx, R::Rcx, 100); },
     4,
     {0x48, 0x6B, 0xD9, 0x64}},
    {"div r11d", [](Assembler& a) { a.div(W::W32, R::R11); }, 3, {0x41, 0xF7, 0xF3}},
    {"cqo", [](Assembler& a) { a.cqo(); }, 2, {0x48, 0x99}},
    {"shl rax, cl",
     [](Assembler& a) { a.shift_cl(Shift::Shl, W::W64, R::Rax); },
     3,
     {0x48, 0xD3, 0xE0}},
    {"rol ecx, 7", [](Assembler& a) { a.rol(W::W32, R::Rcx, 7); }, 3, {0xC1, 0xC1, 0x07}},
    {"rorx rax, r8, 13",
     [](Assembler& a) { a.rorx(W::W64, R::Rax, R::R8, 13); },
     6,
     {0xC4, 0xC3, 0xFB, 0xF0, 0xC0, 0x0D}},
    {"shlx r9, rbx, r10",
     [](Assembler& a) { a.shiftx(Shift::Shl, W::W64, R::R9, R::Rbx, R::R10); },
     5,
     {0xC4, 0x62, 0xA9, 0xF7, 0xCB}},
    {"bswap r12", [](Assembler& a) { a.bswap(W::W64, R::R12); }, 3, {0x49, 0x0F, 0xCC}},
    {"lock xadd [rax+8], rcx",
     [](Assembler& a) { a.lock_xadd(W::W64, Memory(R::Rax, 8), R::Rcx); },
     6,
     {0xF0, 0x48, 0x0F, 0xC1, 0x48, 0x08}},
    {"lock cmpxchg [r14], edx",
     [](Assembler& a) { a.lock_cmpxchg(W::W32, Memory(R::R14), R::Rdx); },
     5,
     {0xF0, 0x41, 0x0F, 0xB1, 0x16}},
    {"jmp rax", [](Assembler& a) { a.jump(R::Rax); }, 2, {0xFF, 0xE0}},
    {"call [rbx+16]", [](Assembler& a) { a.call(Memory(R::Rbx, 16)); }, 3, {0xFF, 0x53, 0x10}},
    {"call +0x1000",
     [](Assembler& a) { a.call_relative(0x1000); },
     5,
     {0xE8, 0x00, 0x10, 0x00, 0x00}},
    {"endbr64", [](Assembler& a) { a.endbr64(); }, 4, {0xF3, 0x0F, 0x1E, 0xFA}},
    {"11 bytes of nop",
     [](Assembler& a) { a.nop(11); },
     11,
     {0x66, 0x0F, 0x1F, 0x84, 0, 0, 0, 0, 0, 0x66, 0x90}},
};

TEST(AssemblerBytes, KnownRows) {
    for (const Row& row : kRows) {
        u8 buffer[16] = {};
        Layout layout(nullptr, 0, nullptr, 0);
        Assembler assembler({buffer, sizeof buffer}, &layout);
        row.emit(assembler);
        EXPECT_TRUE(assembler.ok()) << row.text;
        ASSERT_EQ(assembler.position(), row.length) << row.text;
        EXPECT_EQ(memcmp(buffer, row.bytes, row.length), 0) << row.text;
    }
}

TEST(AssemblerBytes, CountsWithoutABuffer) {
    Layout layout(nullptr, 0, nullptr, 0);
    Assembler assembler({}, &layout);
    for (const Row& row : kRows) {
        u32 before = assembler.position();
        row.emit(assembler);
        EXPECT_EQ(assembler.position() - before, row.length) << row.text;
    }
    EXPECT_TRUE(assembler.ok());
    EXPECT_FALSE(assembler.overflowed());
}

TEST(AssemblerBytes, StopsWritingAtTheEndAndSaysSo) {
    u8 buffer[8];
    memset(buffer, 0xEE, sizeof buffer);
    Layout layout(nullptr, 0, nullptr, 0);
    Assembler assembler({buffer, 4}, &layout);
    assembler.mov(Width::W64, R::Rax, R::Rbx);
    EXPECT_TRUE(assembler.ok());
    assembler.ret();
    EXPECT_TRUE(assembler.ok());
    assembler.ret();
    EXPECT_TRUE(assembler.overflowed());
    EXPECT_FALSE(assembler.ok());
    EXPECT_EQ(assembler.position(), 5u);
    EXPECT_EQ(buffer[3], 0xC3);
    EXPECT_EQ(buffer[4], 0xEE);
}

TEST(AssemblerBytes, RefusesWhatHasNoEncoding) {
    void (*const bad[])(Assembler&) = {
        [](Assembler& a) { a.mov(W::W64, R::Rax, Memory(R::Rax, R::Rsp, Scale::X1)); },
        [](Assembler& a) { a.shl(W::W32, R::Rax, 32); },
        [](Assembler& a) { a.shiftx(Shift::Rol, W::W64, R::Rax, R::Rax, R::Rax); },
        [](Assembler& a) { a.shiftx(Shift::Shl, W::W16, R::Rax, R::Rax, R::Rax); },
        [](Assembler& a) { a.bswap(W::W16, R::Rax); },
        [](Assembler& a) { a.lock_alu(Alu::Cmp, W::W64, Memory(R::Rax), R::Rax); },
        [](Assembler& a) { a.movsx(W::W32, R::Rax, W::W32, R::Rax); },
        [](Assembler& a) { a.imul(W::W8, R::Rax, R::Rbx); },
        [](Assembler& a) { a.rorx(W::W32, R::Rax, R::Rbx, 32); },
    };
    for (auto emit : bad) {
        Layout layout(nullptr, 0, nullptr, 0);
        Assembler assembler({}, &layout);
        emit(assembler);
        EXPECT_FALSE(assembler.ok());
    }
}

}  // namespace
}  // namespace barebpf::x86
