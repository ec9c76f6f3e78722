// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/verifier_case_test.h"

namespace barebpf::test {

using namespace insn;

TEST(VerifierCfg, Shape) {
    check_cases({
        {"smallest", {mov_imm(R0, 0), exit()}},
        {"no exit", {mov_imm(R0, 0)}, Errno::Inval, "last insn is not an exit or jmp"},
        {"dead code",
         {mov_imm(R0, 0), go(1), mov_imm(R0, 1), exit()},
         Errno::Inval,
         "unreachable insn 2"},
        {"jump behind the end",
         {mov_imm(R0, 0), go(5), exit()},
         Errno::Inval,
         "jump out of range from insn 1 to 7"},
        {"jump before the start",
         {mov_imm(R0, 0), jump_imm(BPF_JEQ, R0, 0, -3), exit()},
         Errno::Inval,
         "jump out of range from insn 1 to -1"},
        {"jump into a 64-bit load",
         {mov_imm(R0, 0), jump_imm(BPF_JEQ, R1, 0, 1), ld_low(R0, 0, 1), ld_high(0), exit()},
         Errno::Inval,
         "jump into the middle of ldimm64 insn 3"},
        {"half a 64-bit load",
         {ld_low(R0, 0, 1), exit()},
         Errno::Inval,
         "invalid bpf_ld_imm64 insn"},
        {"goto over nothing", {mov_imm(R0, 0), go(0), exit()}},
        {"gotol", {mov_imm(R0, 0), go_long(0), exit()}},
        {"last is a jump back", {go(1), exit(), mov_imm(R0, 0), go(-3)}},
        {"falls into the next function",
         {call_subprog(1), exit(), mov_imm(R0, 0), call_subprog(1), mov_imm(R0, 0), exit()},
         Errno::Inval,
         "last insn is not an exit or jmp"},
        {"jump into another function",
         {mov_imm(R0, 0), jump_imm(BPF_JEQ, R0, 0, 2), call_subprog(1), exit(), mov_imm(R0, 0),
          exit()},
         Errno::Inval,
         "jump out of range from insn 1 to 4"},
        {"call nowhere", {call_subprog(10), exit()}, Errno::Inval, "call to invalid destination"},
        {"recursion",
         {call_subprog(1), exit(), call_subprog(-1), exit()},
         Errno::Inval,
         "back-edge from insn 2 to 2"},
        {"unprivileged loop",
         {mov_imm(R0, 0), add_imm(R0, 1), jump_imm(BPF_JLT, R0, 4, -2), exit()},
         Errno::Inval,
         "back-edge from insn 2 to 1",
         As::Packet,
         0,
         false},
        {"unprivileged call",
         {call_subprog(1), exit(), mov_imm(R0, 0), exit()},
         Errno::Perm,
         "allowed for CAP_BPF",
         As::Packet,
         0,
         false},
    });
}

TEST(VerifierCfg, Registers) {
    check_cases({
        {"unset", {mov(R0, R2), exit()}, Errno::Acces, "R2 !read_ok"},
        {"no result", {exit()}, Errno::Acces, "R0 !read_ok"},
        {"frame pointer",
         {mov_imm(R10, 0), mov_imm(R0, 0), exit()},
         Errno::Acces,
         "frame pointer is read only"},
        {"lost in a call",
         {call(BPF_FUNC_ktime_get_ns), mov(R0, R1), exit()},
         Errno::Acces,
         "R1 !read_ok"},
        {"kept over a call",
         {mov(R6, R1), call(BPF_FUNC_ktime_get_ns), load(BPF_W, R0, R6, 0), exit()}},
        {"set on one way only",
         {load(BPF_W, R1, R1, 0), jump_imm(BPF_JEQ, R1, 0, 1), mov_imm(R0, 1), exit()},
         Errno::Acces,
         "R0 !read_ok"},
        {"unprivileged result",
         {mov(R0, R1), exit()},
         Errno::Acces,
         "R0 leaks addr as return value",
         As::Packet,
         0,
         false},
        {"privileged result", {mov(R0, R1), exit()}},
    });
}

TEST(VerifierCfg, Figures) {
    const Verdict verdict = verify({"", {mov_imm(R0, 0), exit()}}, 4);
    EXPECT_NE(verdict.log.find("processed 2 insns (limit 1000000) max_states_per_insn 0 "
                               "total_states 0 peak_states 0 mark_read 0"),
              std::string::npos)
        << verdict.log;
}

TEST(VerifierCfg, ManyBranchesArePruned) {
    std::vector<bpf_insn> insns = {mov_imm(R0, 0)};
    for (int i = 0; i < 1000; ++i) {
        insns.push_back(load(BPF_W, R6, R1, 0));
        insns.push_back(jump_imm(BPF_JEQ, R6, i, 1));
        insns.push_back(add_imm(R0, 1));
    }
    insns.push_back(exit());
    const Verdict verdict = verify({"", insns}, 4);
    EXPECT_EQ(to_int(verdict.error), 0);
    EXPECT_LT(verdict.insns, 20'000u);
}

TEST(VerifierCfg, TooManyInstructions) {
    NEEDS_MEMORY(200);
    const Verdict verdict = verify({"",
                                    {mov_imm(R1, 0), add_imm(R1, 1),
                                     jump_imm(BPF_JLT, R1, 1 << 21, -2), mov_imm(R0, 0), exit()}},
                                   4);
    EXPECT_EQ(to_int(verdict.error), to_int(Errno::TooBig));
    EXPECT_NE(verdict.log.find("BPF program is too large. Processed 1000001 insn"),
              std::string::npos);
}

}  // namespace barebpf::test
