// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Constants of 64 bits in loops, which stand in registers that are free (bpf_jit_frame.cc): every mix of registers that are
// not, and of constants; who calls, takes tail calls, or is called himself.
#include "arch/x86/net/bpf_jit_program_test.h"
#include "testkit/test.h"

namespace barebpf::x86 {
namespace {

using test::append;
using test::exit_insn;
using test::insn;
using test::Insns;
using test::mov_imm;
using test::mov_reg;
using test::TestProgram;

struct Mix {
    u32 used;       // registers from R6 on that hold something
    u32 constants;  // in the loop
    bool calls, tail_call, in_subprogram;
};
constexpr u64 kRounds = 3;

u64 constant(u32 number) {
    return 0x1234'5678'9abc'def0 + number * 0x1'0000'0001;
}
Map no_entries;

u64 nothing() {
    return 0;
}

// for (3 rounds) for (each constant c) sum = (sum ^ c) * 3; the sum of what R6.. hold is added in the end.
Insns loop(const Mix& mix) {
    Insns insns = {insn(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 0),
                   insn(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -16, kRounds)};
    for (u32 i = 0; i < mix.used; ++i) insns.push_back(mov_imm(6 + i, static_cast<s32>(i + 1)));
    const size_t begin = insns.size();
    for (u32 i = 0; i < mix.constants; ++i) {
        test::load_imm64(insns, 1, constant(i));
        append(insns, {insn(BPF_LDX | BPF_MEM | BPF_DW, 2, 10, -8, 0),
                       insn(BPF_ALU64 | BPF_XOR | BPF_X, 2, 1, 0, 0),
                       insn(BPF_ALU64 | BPF_MUL | BPF_K, 2, 0, 0, 3),
                       insn(BPF_STX | BPF_MEM | BPF_DW, 10, 2, -8, 0)});
    }
    if (mix.calls) insns.push_back(test::call_helper(0));
    if (mix.tail_call) {
        // Behind the last entry of the array: goes on. (R2 needs max_entries only.)
        test::load_imm64(insns, 2, reinterpret_cast<u64>(&no_entries));
        append(insns, {mov_imm(3, 1), test::tail_call()});
    }
    append(insns, {insn(BPF_LDX | BPF_MEM | BPF_DW, 3, 10, -16, 0),
                   insn(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -1),
                   insn(BPF_STX | BPF_MEM | BPF_DW, 10, 3, -16, 0)});
    const s32 back = static_cast<s32>(begin) - static_cast<s32>(insns.size()) - 1;
    insns.push_back(insn(BPF_JMP | BPF_JNE | BPF_K, 3, 0, back, 0));
    insns.push_back(insn(BPF_LDX | BPF_MEM | BPF_DW, 0, 10, -8, 0));
    for (u32 i = 0; i < mix.used; ++i) {
        insns.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_X, 0, 6 + i, 0, 0));
    }
    insns.push_back(exit_insn());
    return insns;
}

u64 expected(const Mix& mix) {
    u64 sum = 0;
    for (u64 round = 0; round < kRounds; ++round) {
        for (u32 i = 0; i < mix.constants; ++i) sum = (sum ^ constant(i)) * 3;
    }
    for (u32 i = 0; i < mix.used; ++i) sum += i + 1;
    return sum;
}

// As a function of the program: the caller's R6 to R9 are added.
Insns program_for(const Mix& mix) {
    if (!mix.in_subprogram) return loop(mix);
    Insns insns = {mov_imm(6, 100), mov_imm(7, 200), mov_imm(8, 300), mov_imm(9, 400),
                   insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 5)};
    for (u32 reg = 6; reg <= 9; ++reg) {
        insns.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_X, 0, reg, 0, 0));
    }
    insns.push_back(exit_insn());
    append(insns, loop(mix));
    return insns;
}

void expect_right(const Mix& mix) {
    TestProgram program(program_for(mix), {reinterpret_cast<const void*>(&nothing)});
    ASSERT_TRUE(program.compile());
    u64 result = 0;
    EXPECT_EQ(test::registers_changed_by(program, &result), 0u);
    EXPECT_EQ(result, expected(mix) + (mix.in_subprogram ? 1000 : 0))
        << mix.used << " registers, " << mix.constants << " constants"
        << (mix.calls ? ", calls" : "") << (mix.tail_call ? ", tail call" : "")
        << (mix.in_subprogram ? ", in a function" : "");
}

TEST(BpfJitConstants, OfLoopsAreRight) {
    for (u32 used = 0; used <= 4; ++used) {
        for (u32 constants = 0; constants <= 7; ++constants) {
            for (u32 kinds = 0; kinds < 8; ++kinds) {
                expect_right(
                    {used, constants, (kinds & 1) != 0, (kinds & 2) != 0, (kinds & 4) != 0});
            }
        }
    }
}

}  // namespace
}  // namespace barebpf::x86
