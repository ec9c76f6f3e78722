// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Pointer arithmetic of unprivileged programs: what is refused, and how the rest is kept in bounds on
// paths that only a mispredicting CPU takes.
#include "kernel/bpf/verifier_calls_test.h"
#include "testkit/test.h"

namespace barebpf::test {
namespace {

using namespace insn;
constexpr Errno kOk{};
constexpr TestLoad kUnprivileged{.privileged = false};

// R6 = the value of an array (48 bytes) plus off, R7 = any number of 32 bits.
Insns start(s32 off = 0) {
    return Insns{load(BPF_W, R7, R1, 8)} + load_value(R6, kArray, off);
}
// R6 = the value plus 24 to 40.
Insns between() {
    return start() + Insns{load(BPF_W, R8, R1, 8), alu_imm(BPF_AND, R8, 16), add_imm(R8, 24),
                           alu(BPF_ADD, R6, R8)};
}
Insns finish(u8 pointer = R6) {
    return {load(BPF_B, R0, pointer, 0), mov_imm(R0, 0), exit()};
}

struct Case {
    const char* name;
    Insns insns;
    Errno error;
    const char* text;
};

void run(std::initializer_list<Case> cases) {
    for (const Case& c : cases) expect_verdict(c.name, c.insns, c.error, c.text, kUnprivileged);
}

TEST(Unprivileged, IndexesWithinBounds) {
    run({
        {"masked", start() + Insns{alu_imm(BPF_AND, R7, 31), alu(BPF_ADD, R6, R7)} + finish(), kOk,
         ""},
        {"compared",
         start() +
             Insns{jump_imm(BPF_JLT, R7, 48, 2), mov_imm(R0, 0), exit(), alu(BPF_ADD, R6, R7)} +
             finish(),
         kOk, ""},
        {"the number plus the pointer",
         start() + Insns{alu_imm(BPF_AND, R7, 31), alu(BPF_ADD, R7, R6)} + finish(R7), kOk, ""},
        {"back", between() + Insns{alu_imm(BPF_AND, R7, 7), alu(BPF_SUB, R6, R7)} + finish(), kOk,
         ""},
        {"not from 0",
         start() + Insns{alu_imm(BPF_AND, R7, 15), alu_imm(BPF_ADD, R7, 8), alu(BPF_ADD, R6, R7)} +
             finish(),
         kOk, ""},
        {"a constant in a register",
         start() + Insns{mov_imm(R7, 8), alu(BPF_ADD, R6, R7)} + finish(), kOk, ""},
        {"two numbers", start() + Insns{mov_imm(R0, 8), alu(BPF_ADD, R0, R7), exit()}, kOk, ""},
    });
}

TEST(Unprivileged, LeavesNoBounds) {
    run({
        {"too far", start() + Insns{alu_imm(BPF_AND, R7, 63), alu(BPF_ADD, R6, R7)} + finish(),
         Errno::Acces, "pointer arithmetic of map value goes out of range, prohibited for !root"},
        {"too far, corrected later",
         start() + Insns{alu_imm(BPF_AND, R7, 63), alu(BPF_ADD, R6, R7), add_imm(R6, -16)} +
             finish(),
         Errno::Acces, "goes out of range, prohibited for !root"},
        {"before the value",
         start(8) + Insns{alu_imm(BPF_AND, R7, 15), alu(BPF_SUB, R6, R7)} + finish(), Errno::Acces,
         "goes out of range, prohibited for !root"},
        {"negative or not",
         start(8) + Insns{load_signed(BPF_B, R7, R6, 0), alu(BPF_ADD, R6, R7)} + finish(),
         Errno::Acces,
         "R7 has unknown scalar with mixed signed bounds, pointer arithmetic with it prohibited "
         "for "
         "!root"},
        {"the packet",
         Insns{load(BPF_W, R6, R1, 0), load(BPF_W, R7, R1, 8), alu_imm(BPF_AND, R7, 7),
               alu(BPF_ADD, R6, R7)} +
             leave(),
         Errno::Acces, "R6 has pointer with unsupported alu operation"},
        {"the stack",
         start() +
             Insns{mov(R6, R10), add_imm(R6, -32), alu_imm(BPF_AND, R7, 7), alu(BPF_ADD, R6, R7)} +
             leave(),
         Errno::Acces, "R6 variable stack access prohibited for !root"},
    });
}

// One instruction, one guard.
TEST(Unprivileged, MixesNothing) {
    constexpr const char* kMixed = "from different maps, paths or scalars";
    const Insns branch = {load(BPF_W, R8, R1, 8), load(BPF_W, R7, R1, 8)};
    const Insns value = load_value(R6, kArray, 0);
    run({
        {"limits",
         branch + value +
             Insns{alu_imm(BPF_AND, R7, 15), jump_imm(BPF_JEQ, R8, 0, 1), alu_imm(BPF_AND, R7, 7),
                   alu(BPF_ADD, R6, R7)} +
             finish(),
         Errno::Acces, kMixed},
        {"constants",
         branch + value +
             Insns{mov_imm(R7, 8), jump_imm(BPF_JEQ, R8, 0, 1), mov_imm(R7, 16),
                   alu(BPF_ADD, R6, R7)} +
             finish(),
         Errno::Acces, kMixed},
        {"pointers and numbers",
         branch + value +
             Insns{alu_imm(BPF_AND, R7, 15), jump_imm(BPF_JEQ, R8, 0, 1), mov_imm(R6, 0),
                   alu(BPF_ADD, R6, R7)} +
             leave(),
         Errno::Acces, kMixed},
    });
}

// The instructions that run.
bpf_insn guarded(const Insns& insns, u8 code, u32* barriers) {
    const Verified verified = verify(insns, kUnprivileged);
    EXPECT_EQ(to_int(verified.error), 0) << verified.log;
    bpf_insn found{};
    *barriers = 0;
    for (const bpf_insn& insn : verified.insns) {
        if (insn.code == code) found = insn;
        *barriers += insn.code == BPF_NOSPEC;
    }
    return found;
}

TEST(Unprivileged, IsGuardedInTheInstruction) {
    u32 barriers;
    const auto masked = [&](const Insns& arithmetic) {
        return guarded(start(40) + Insns{alu_imm(BPF_AND, R7, 7)} + arithmetic, BPF_MASKED_OFFSET,
                       &barriers);
    };
    bpf_insn insn = masked(Insns{alu(BPF_ADD, R6, R7)} + finish());
    EXPECT_EQ(insn.dst_reg, R6);
    EXPECT_EQ(insn.src_reg, R7);
    EXPECT_EQ(insn.imm, 7);
    EXPECT_EQ(insn.off, 0);
    EXPECT_EQ(barriers, 0u);
    insn = guarded(between() + Insns{alu_imm(BPF_AND, R7, 7), alu(BPF_SUB, R6, R7)} + finish(),
                   BPF_MASKED_OFFSET, &barriers);
    EXPECT_EQ(insn.off, kMaskedSubtract);
    EXPECT_EQ(insn.imm, 7);
    EXPECT_EQ(barriers, 1u);
    EXPECT_EQ(masked(Insns{alu(BPF_ADD, R7, R6)} + finish(R7)).off, kMaskedNumberIsDst);

    insn = guarded(start() + Insns{mov_imm(R7, 8), alu(BPF_ADD, R6, R7)} + finish(),
                   BPF_ALU64 | BPF_ADD | BPF_K, &barriers);
    EXPECT_EQ(insn.dst_reg, R6);
    EXPECT_EQ(insn.imm, 8);
    insn = guarded(
        start() + Insns{alu_imm(BPF_AND, R7, 7), alu_imm(BPF_OR, R7, 8), alu(BPF_ADD, R6, R7)} +
            finish(),
        BPF_ALU64 | BPF_ADD | BPF_X, &barriers);
    EXPECT_EQ(insn.dst_reg, R6);
    EXPECT_EQ(barriers, 1u);
}

}  // namespace
}  // namespace barebpf::test
