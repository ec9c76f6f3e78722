// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// For tests of the fix-ups: a program in the state in which the abstract interpretation leaves it, with
// the facts about each instruction set by hand.
#pragma once

#include "kernel/bpf/decode.h"
#include "kernel/bpf/fixups.h"
#include "testkit/test.h"

namespace barebpf::test {

constexpr bpf_insn alu_imm(u8 op, u8 dst, s32 imm) {
    return make_insn(u8(BPF_ALU64 | op | BPF_K), dst, 0, 0, imm);
}
constexpr bpf_insn alu_reg(u8 op, u8 dst, u8 src) {
    return make_insn(u8(BPF_ALU64 | op | BPF_X), dst, src, 0, 0);
}
constexpr bpf_insn may_goto(s16 off) {
    return make_insn(BPF_JMP | BPF_JCOND, 0, 0, off, 0);
}
constexpr bpf_insn helper_call(s32 id) {
    return make_insn(BPF_JMP | BPF_CALL, 0, 0, 0, id);
}
constexpr bpf_insn subprog_call(s32 distance) {
    return make_insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, distance);
}
constexpr bpf_insn wide_low(u8 dst, u8 src, s32 imm) {
    return make_insn(BPF_LD | BPF_IMM | BPF_DW, dst, src, 0, imm);
}
constexpr bpf_insn wide_high(s32 imm) {
    return make_insn(0, 0, 0, 0, imm);
}

inline bool same(const bpf_insn& a, const bpf_insn& b) {
    return __builtin_memcmp(&a, &b, sizeof a) == 0;
}

// Keeps the program and its environment together; all instructions seen, privileged.
class Program {
public:
    Program(const bpf_insn* insns, u32 count) : env(&prog, input) {
        EXPECT_TRUE(prog.insns.allocate(count, host::AllocContext::MaySleep, prog.memory));
        for (u32 i = 0; i < count; ++i) prog.insns[i] = insns[i];
        EXPECT_TRUE(env.aux.allocate(count, host::AllocContext::MaySleep, prog.memory));
        for (InsnAux& aux : env.aux) {
            aux.seen = true;
            aux.live = 0x7ff;
        }
        env.insns = prog.insns.data();
        env.insn_count = count;
        env.bpf_capable = true;
        EXPECT_TRUE(find_subprogs(env).ok());
        for (u32 i = 0; i < count; ++i) {
            const bpf_insn& insn = insns[i];
            if (!is_subprog_call(insn) && !is_subprog_address(insn)) continue;
            env.aux[i].subprog = u32(find_subprog_at(env, i + 1 + u32(insn.imm)));
        }
    }
    template <u32 N>
    explicit Program(const bpf_insn (&insns)[N]) : Program(insns, N) {}

    // The final form holds exactly these.
    template <u32 N>
    void expect(const bpf_insn (&insns)[N]) {
        ASSERT_TRUE(apply_fixups(env).ok());
        ASSERT_EQ(prog.insns.size(), N);
        for (u32 i = 0; i < N; ++i) EXPECT_TRUE(same(prog.insns[i], insns[i])) << "at " << i;
    }
    u64 run(const void* ctx = nullptr) { return interpret(ctx, &prog); }

    host::Cpu::Entry entry;
    Prog prog;
    VerifierInput input;
    VerifierEnv env;
};

}  // namespace barebpf::test
