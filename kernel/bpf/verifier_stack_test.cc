// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/verifier_case_test.h"

namespace barebpf::test {

using namespace insn;

TEST(VerifierStack, Bounds) {
    check_cases({
        {"below",
         {store_imm(BPF_DW, R10, -520, 0), mov_imm(R0, 0), exit()},
         Errno::Acces,
         "invalid write to stack R10 off=-520 size=8"},
        {"above",
         {store_imm(BPF_DW, R10, 0, 0), mov_imm(R0, 0), exit()},
         Errno::Acces,
         "invalid write to stack R10 off=0 size=8"},
        {"lowest", {store_imm(BPF_DW, R10, -512, 0), mov_imm(R0, 0), exit()}},
        {"across the top",
         {store_imm(BPF_DW, R10, -4, 0), mov_imm(R0, 0), exit()},
         Errno::Acces,
         "misaligned stack access"},
        {"misaligned",
         {store_imm(BPF_DW, R10, -12, 0), mov_imm(R0, 0), exit()},
         Errno::Acces,
         "misaligned stack access off (0x0; 0x0)+0+-12 size 8"},
        {"never written",
         {load(BPF_DW, R0, R10, -8), exit()},
         Errno::Acces,
         "invalid read from stack"},
        {"partly written",
         {store_imm(BPF_W, R10, -8, 0), load(BPF_DW, R0, R10, -8), exit()},
         Errno::Acces,
         "invalid read from stack off -8+4 size 8"},
        {"through a copy of fp",
         {mov(R2, R10), add_imm(R2, -8), store_imm(BPF_DW, R2, 0, 7), load(BPF_DW, R0, R10, -8),
          exit()}},
        {"fp moved up",
         {mov(R2, R10), add_imm(R2, 8), store_imm(BPF_DW, R2, 0, 7), mov_imm(R0, 0), exit()},
         Errno::Acces,
         "invalid write to stack R2 off=8 size=8"},
        {"subtract from fp",
         {mov(R2, R10), alu_imm(BPF_SUB, R2, 8), mov_imm(R0, 0), exit()},
         Errno::Acces,
         "R2 subtraction from stack pointer prohibited"},
    });
}

TEST(VerifierStack, SpillAndFill) {
    check_cases({
        {"context",
         {store(BPF_DW, R10, -8, R1), load(BPF_DW, R2, R10, -8), load(BPF_W, R0, R2, 0), exit()}},
        {"half of a pointer",
         {store(BPF_W, R10, -8, R1), mov_imm(R0, 0), exit()},
         Errno::Acces,
         "invalid size of register spill"},
        {"fill half of a pointer",
         {store(BPF_DW, R10, -8, R1), load(BPF_W, R0, R10, -8), exit()},
         Errno::Acces,
         "invalid size of register fill"},
        {"overwritten in part",
         {store(BPF_DW, R10, -8, R1), store_imm(BPF_B, R10, -8, 1), load(BPF_DW, R2, R10, -8),
          load(BPF_W, R0, R2, 0), exit()},
         Errno::Acces,
         "R2 invalid mem access 'scalar'"},
        {"number keeps its range",
         {ld_low(R2, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0), load(BPF_W, R3, R1, 0),
          alu_imm(BPF_AND, R3, 7), store(BPF_DW, R10, -8, R3), load(BPF_DW, R4, R10, -8),
          alu(BPF_ADD, R2, R4), load(BPF_B, R0, R2, 0), exit()}},
        {"32 bits keep their range",
         {ld_low(R2, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0), load(BPF_W, R3, R1, 0),
          alu_imm(BPF_AND, R3, 7), store(BPF_W, R10, -8, R3), load(BPF_W, R4, R10, -8),
          alu(BPF_ADD, R2, R4), load(BPF_B, R0, R2, 0), exit()}},
        {"16 bits do not",
         {ld_low(R2, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0), load(BPF_W, R3, R1, 0),
          alu_imm(BPF_AND, R3, 7), store(BPF_H, R10, -8, R3), load(BPF_H, R4, R10, -8),
          alu(BPF_ADD, R2, R4), load(BPF_B, R0, R2, 0), exit()},
         Errno::Acces,
         "R2 max value is outside of the allowed memory range"},
        {"a check on the register reaches the copy",
         {ld_low(R2, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0), load(BPF_W, R3, R1, 0),
          store(BPF_DW, R10, -8, R3), jump_imm(BPF_JGT, R3, 40, 3), load(BPF_DW, R4, R10, -8),
          alu(BPF_ADD, R2, R4), load(BPF_B, R0, R2, 0), mov_imm(R0, 0), exit()}},
        {"zero",
         {ld_low(R2, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0), store_imm(BPF_H, R10, -4, 0),
          load(BPF_H, R3, R10, -4), alu(BPF_ADD, R2, R3), load(BPF_DW, R0, R2, 40), exit()}},
        {"zero no more",
         {ld_low(R2, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0), store_imm(BPF_H, R10, -4, 0),
          store_imm(BPF_B, R10, -3, 1), load(BPF_H, R3, R10, -4), alu(BPF_ADD, R2, R3),
          load(BPF_DW, R0, R2, 40), exit()},
         Errno::Acces,
         "R2 max value is outside of the allowed memory range"},
        {"unprivileged: corrupt a pointer",
         {store(BPF_DW, R10, -8, R1), store_imm(BPF_B, R10, -8, 1), mov_imm(R0, 0), exit()},
         Errno::Acces,
         "attempt to corrupt spilled pointer on stack",
         As::Packet,
         0,
         false},
    });
}

TEST(VerifierStack, VariableOffset) {
    const auto with = [](std::vector<bpf_insn> tail) {
        std::vector<bpf_insn> all = {store_imm(BPF_DW, R10, -8, 0),
                                     store_imm(BPF_DW, R10, -16, 0),
                                     load(BPF_W, R2, R1, 0),
                                     alu_imm(BPF_AND, R2, 8),
                                     mov(R3, R10),
                                     alu(BPF_ADD, R3, R2)};
        for (const bpf_insn& one : tail) all.push_back(one);
        return all;
    };
    check_cases({
        {"read", with({load(BPF_DW, R0, R3, -16), exit()})},
        {"read past what is written", with({load(BPF_DW, R0, R3, -24), exit()}), Errno::Acces,
         "invalid variable-offset read from stack R3"},
        {"write", with({store_imm(BPF_DW, R3, -16, 5), load(BPF_DW, R0, R10, -8), exit()})},
        {"write past the top", with({store_imm(BPF_DW, R3, -8, 5), mov_imm(R0, 0), exit()}),
         Errno::Acces, "invalid variable-offset write to stack R3"},
        {"unbounded",
         {load(BPF_W, R2, R1, 0), mov(R3, R10), alu(BPF_ADD, R3, R2), store_imm(BPF_B, R3, -8, 0),
          mov_imm(R0, 0), exit()},
         Errno::Acces,
         "invalid unbounded variable-offset write to stack R3"},
        {"a pointer that may be overwritten is none",
         with({store(BPF_DW, R10, -8, R1), store_imm(BPF_DW, R3, -16, 5), load(BPF_DW, R4, R10, -8),
               load(BPF_W, R0, R4, 0), exit()}),
         Errno::Acces, "R4 invalid mem access 'scalar'"},
        {"unprivileged", with({load(BPF_DW, R0, R3, -16), exit()}), Errno::Acces,
         "R3 variable stack access prohibited for !root", As::Packet, 0, false},
    });
}

// Two ways that differ in what they left on the stack meet; the second must not be taken for the
// first where the difference is read later.
TEST(VerifierStack, PruningSeesTheStack) {
    check_cases({
        {"a pointer on one way, a number on the other",
         {load(BPF_W, R6, R1, 0), store(BPF_DW, R10, -8, R1), jump_imm(BPF_JEQ, R6, 0, 1),
          store_imm(BPF_DW, R10, -8, 0), mov_imm(R0, 0), mov_imm(R0, 0), mov_imm(R0, 0),
          load(BPF_DW, R2, R10, -8), load(BPF_W, R0, R2, 0), exit()},
         Errno::Acces,
         "R2 invalid mem access 'scalar'",
         As::Packet,
         BPF_F_TEST_STATE_FREQ},
        {"written before it is read",
         {load(BPF_W, R6, R1, 0), store(BPF_DW, R10, -8, R1), jump_imm(BPF_JEQ, R6, 0, 1),
          store_imm(BPF_DW, R10, -8, 0), store(BPF_DW, R10, -8, R1), load(BPF_DW, R2, R10, -8),
          load(BPF_W, R0, R2, 0), exit()},
         kAccepted,
         "",
         As::Packet,
         BPF_F_TEST_STATE_FREQ},
        {"an index on the stack",
         {ld_low(R7, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0), load(BPF_W, R6, R1, 0),
          store_imm(BPF_DW, R10, -8, 8), jump_imm(BPF_JEQ, R6, 0, 1),
          store_imm(BPF_DW, R10, -8, 48), mov_imm(R0, 0), load(BPF_DW, R2, R10, -8),
          alu(BPF_ADD, R7, R2), load(BPF_B, R0, R7, 0), exit()},
         Errno::Acces,
         "invalid access to map value, value_size=48 off=48 size=1",
         As::Packet,
         BPF_F_TEST_STATE_FREQ},
        {"an index on the stack, the other way first",
         {ld_low(R7, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0), load(BPF_W, R6, R1, 0),
          store_imm(BPF_DW, R10, -8, 48), jump_imm(BPF_JEQ, R6, 0, 1),
          store_imm(BPF_DW, R10, -8, 8), mov_imm(R0, 0), load(BPF_DW, R2, R10, -8),
          alu(BPF_ADD, R7, R2), load(BPF_B, R0, R7, 0), exit()},
         Errno::Acces,
         "invalid access to map value, value_size=48 off=48 size=1",
         As::Packet,
         BPF_F_TEST_STATE_FREQ},
    });
}

}  // namespace barebpf::test
