// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/verifier_case_test.h"

namespace barebpf::test {

using namespace insn;

namespace {

// R7 = the map's value; then `tail`.
std::vector<bpf_insn> with_value(std::vector<bpf_insn> tail) {
    tail.insert(tail.begin(), {ld_low(R7, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0)});
    return tail;
}

}  // namespace

TEST(VerifierJump, Ranges) {
    const auto ok = [](const char* name, bpf_insn check) {
        return VerifierCase{
            name, with_value({load(BPF_W, R2, R1, 0), mov_imm(R0, 0), check, alu(BPF_ADD, R7, R2),
                              load(BPF_B, R0, R7, 0), exit()})};
    };
    const auto bad = [&](const char* name, bpf_insn check) {
        VerifierCase one = ok(name, check);
        one.verdict = Errno::Acces;
        one.phrase = "R7 ";
        return one;
    };
    check_cases({
        ok("jge", jump_imm(BPF_JGE, R2, 48, 2)),
        bad("jge too far", jump_imm(BPF_JGE, R2, 49, 2)),
        ok("jgt", jump_imm(BPF_JGT, R2, 47, 2)),
        bad("jgt too far", jump_imm(BPF_JGT, R2, 48, 2)),
        ok("jne", jump_imm(BPF_JNE, R2, 47, 2)),
        bad("jne too far", jump_imm(BPF_JNE, R2, 48, 2)),
        bad("jeq", jump_imm(BPF_JEQ, R2, 47, 2)),
        ok("jset", jump_imm(BPF_JSET, R2, ~31, 2)),
        bad("jset too little", jump_imm(BPF_JSET, R2, ~63, 2)),
        ok("jsge of what is not negative", jump_imm(BPF_JSGE, R2, 48, 2)),
        bad("jlt", jump_imm(BPF_JLT, R2, 48, 2)),
        ok("32 bits", jump32_imm(BPF_JGE, R2, 48, 2)),
        bad("signed 32 bits", jump32_imm(BPF_JSGE, R2, 48, 2)),
    });
}

TEST(VerifierJump, Copies) {
    check_cases({
        {"a copy learns", with_value({load(BPF_W, R2, R1, 0), mov(R3, R2), mov_imm(R0, 0),
                                      jump_imm(BPF_JGE, R2, 48, 2), alu(BPF_ADD, R7, R3),
                                      load(BPF_B, R0, R7, 0), exit()})},
        {"a changed copy does not",
         with_value({load(BPF_W, R2, R1, 0), mov(R3, R2), add_imm(R3, 1), mov_imm(R0, 0),
                     jump_imm(BPF_JGE, R2, 48, 2), alu(BPF_ADD, R7, R3), load(BPF_B, R0, R7, 0),
                     exit()}),
         Errno::Acces, "R7 "},
        {"two registers compared",
         with_value({load(BPF_W, R2, R1, 0), mov_imm(R3, 48), mov_imm(R0, 0),
                     jump(BPF_JGE, R2, R3, 2), alu(BPF_ADD, R7, R2), load(BPF_B, R0, R7, 0),
                     exit()})},
    });
}

// What pruning must compare: the number that a branch left behind is used later.
TEST(VerifierJump, PruningSeesNumbers) {
    const auto one = [](const char* name, s32 first, s32 second, Errno verdict) {
        return VerifierCase{
            name,
            with_value({load(BPF_W, R6, R1, 0), mov_imm(R2, first), jump_imm(BPF_JEQ, R6, 0, 1),
                        mov_imm(R2, second), mov_imm(R0, 0), mov(R3, R2), alu(BPF_ADD, R7, R3),
                        load(BPF_B, R0, R7, 0), exit()}),
            verdict,
            "",
            As::Packet,
            BPF_F_TEST_STATE_FREQ};
    };
    check_cases({
        one("both fine", 4, 8, kAccepted),
        one("the first one", 48, 8, Errno::Acces),
        one("the second one", 8, 48, Errno::Acces),
    });
    // What a known state relied on goes to those who were spared the way from there.
    check_cases({
        {"handed on by a hit",
         with_value({load(BPF_W, R6, R1, 0), load(BPF_W, R9, R1, 0), mov_imm(R2, 4), mov_imm(R0, 0),
                     jump_imm(BPF_JEQ, R6, 1, 1), go(4), jump_imm(BPF_JEQ, R9, 1, 1), go(1),
                     mov_imm(R2, 48), mov_imm(R0, 0), mov_imm(R0, 0), alu(BPF_ADD, R7, R2),
                     load(BPF_B, R0, R7, 0), exit()}),
         Errno::Acces, "invalid access to map value, value_size=48 off=48 size=1", As::Packet,
         BPF_F_TEST_STATE_FREQ},
    });
    // r6 and r8 are the same number; only r8 is compared, only r6 is used.
    const auto linked = [](const char* name, bpf_insn relink) {
        return with_value({load(BPF_W, R6, R1, 0), load(BPF_W, R9, R1, 0), mov(R8, R6),
                           jump_imm(BPF_JEQ, R9, 0, 1), relink, mov_imm(R0, 0),
                           jump_imm(BPF_JGE, R8, 48, 2), alu(BPF_ADD, R7, R6),
                           load(BPF_B, R0, R7, 0), exit()});
    };
    check_cases({
        {"linked on the way that comes first",
         with_value({load(BPF_W, R6, R1, 0), load(BPF_W, R9, R1, 0), mov(R8, R6),
                     jump_imm(BPF_JEQ, R9, 0, 1), go(1), mov_imm(R8, 1), mov_imm(R0, 0),
                     jump_imm(BPF_JGE, R8, 48, 2), alu(BPF_ADD, R7, R6), load(BPF_B, R0, R7, 0),
                     exit()}),
         Errno::Acces, "R7 ", As::Packet, BPF_F_TEST_STATE_FREQ},
        {"linked on both ways", linked("", mov(R8, R6)), kAccepted, "", As::Packet,
         BPF_F_TEST_STATE_FREQ},
        {"linked on one way only", linked("", load(BPF_W, R8, R1, 0)), Errno::Acces, "R7 ",
         As::Packet, BPF_F_TEST_STATE_FREQ},
    });
}

TEST(VerifierJump, Null) {
    const auto lookup = [](std::vector<bpf_insn> tail) {
        std::vector<bpf_insn> all = {store_imm(BPF_W, R10, -4, 0),
                                     mov(R2, R10),
                                     add_imm(R2, -4),
                                     ld_low(R1, BPF_PSEUDO_MAP_FD, kArrayFd),
                                     ld_high(0),
                                     call(BPF_FUNC_map_lookup_elem)};
        for (const bpf_insn& one : tail) all.push_back(one);
        return all;
    };
    check_cases({
        {"checked", lookup({jump_imm(BPF_JEQ, R0, 0, 1), load(BPF_DW, R0, R0, 0), exit()})},
        {"checked the other way",
         lookup({jump_imm(BPF_JNE, R0, 0, 1), exit(), load(BPF_DW, R0, R0, 0), exit()})},
        {"not checked", lookup({load(BPF_DW, R0, R0, 0), exit()}), Errno::Acces,
         "R0 invalid mem access 'map_value_or_null'"},
        {"the wrong side", lookup({jump_imm(BPF_JNE, R0, 0, 1), load(BPF_DW, R0, R0, 0), exit()}),
         Errno::Acces, "R0 invalid mem access 'scalar'"},
        {"moved before the check",
         lookup({add_imm(R0, 8), jump_imm(BPF_JEQ, R0, 0, 1), load(BPF_DW, R0, R0, 0), exit()}),
         Errno::Acces,
         "R0 pointer arithmetic on map_value_or_null prohibited, null-check it first"},
        {"a copy",
         lookup({mov(R6, R0), jump_imm(BPF_JEQ, R0, 0, 1), load(BPF_DW, R0, R6, 0), exit()})},
        {"a copy on the stack",
         lookup({store(BPF_DW, R10, -16, R0), jump_imm(BPF_JEQ, R0, 0, 2),
                 load(BPF_DW, R6, R10, -16), load(BPF_DW, R0, R6, 0), exit()})},
        {"another result",
         {store_imm(BPF_W, R10, -4, 0), mov(R2, R10), add_imm(R2, -4),
          ld_low(R1, BPF_PSEUDO_MAP_FD, kArrayFd), ld_high(0), call(BPF_FUNC_map_lookup_elem),
          mov(R6, R0), mov(R2, R10), add_imm(R2, -4), ld_low(R1, BPF_PSEUDO_MAP_FD, kArrayFd),
          ld_high(0), call(BPF_FUNC_map_lookup_elem), jump_imm(BPF_JEQ, R0, 0, 1),
          load(BPF_DW, R0, R6, 0), exit()},
         Errno::Acces,
         "R6 invalid mem access 'map_value_or_null'"},
        {"32 bits do not check",
         lookup({jump32_imm(BPF_JEQ, R0, 0, 1), load(BPF_DW, R0, R0, 0), exit()}), Errno::Acces,
         "R0 invalid mem access 'map_value_or_null'"},
    });
}

TEST(VerifierJump, Secrets) {
    check_cases({
        {"privileged", {mov_imm(R0, 0), jump(BPF_JGT, R1, R10, 0), exit()}},
        {"two pointers",
         {mov_imm(R0, 0), jump(BPF_JGT, R1, R10, 0), exit()},
         Errno::Acces,
         "R10 pointer comparison prohibited",
         As::Packet,
         0,
         false},
        {"pointer and number",
         {mov_imm(R0, 0), jump_imm(BPF_JGT, R1, 5, 0), exit()},
         Errno::Acces,
         "R1 pointer comparison prohibited",
         As::Packet,
         0,
         false},
    });
}

TEST(VerifierLoop, Bounded) {
    check_cases({
        {"up", {mov_imm(R0, 0), add_imm(R0, 1), jump_imm(BPF_JLT, R0, 1000, -2), exit()}},
        {"down",
         {mov_imm(R0, 1000), alu_imm(BPF_SUB, R0, 1), jump_imm(BPF_JNE, R0, 0, -2), exit()}},
        {"on the stack",
         {store_imm(BPF_DW, R10, -8, 0), load(BPF_DW, R2, R10, -8), add_imm(R2, 1),
          store(BPF_DW, R10, -8, R2), jump_imm(BPF_JLT, R2, 500, -4), mov_imm(R0, 0), exit()}},
        {"an unknown end that is checked",
         with_value({load(BPF_W, R3, R1, 0), mov_imm(R2, 0), mov_imm(R0, 0),
                     jump_imm(BPF_JGE, R2, 40, 6), jump(BPF_JGE, R2, R3, 5), mov(R4, R7),
                     alu(BPF_ADD, R4, R2), load(BPF_B, R0, R4, 0), add_imm(R2, 1), go(-7),
                     exit()})},
        {"one round too many",
         with_value({load(BPF_W, R3, R1, 0), mov_imm(R2, 0), mov_imm(R0, 0),
                     jump_imm(BPF_JGT, R2, 48, 6), jump(BPF_JGE, R2, R3, 5), mov(R4, R7),
                     alu(BPF_ADD, R4, R2), load(BPF_B, R0, R4, 0), add_imm(R2, 1), go(-7), exit()}),
         Errno::Acces, "invalid access to map value, value_size=48 off=48 size=1"},
    });
}

TEST(VerifierLoop, Endless) {
    check_cases({
        {"goto itself",
         {mov_imm(R0, 0), jump_imm(BPF_JEQ, R0, 0, -1), exit()},
         Errno::Inval,
         "infinite loop detected at insn 1"},
        {"nothing changes",
         {load(BPF_W, R0, R1, 0), jump_imm(BPF_JNE, R0, 7, -2), exit()},
         Errno::Inval,
         "infinite loop detected at insn 0"},
        {"nothing that is read changes",
         {mov_imm(R2, 0), mov_imm(R3, 5), load(BPF_W, R0, R1, 0), jump_imm(BPF_JNE, R0, 7, -3),
          exit()},
         Errno::Inval,
         "infinite loop detected"},
    });
}

TEST(VerifierLoop, MayGoto) {
    check_cases({
        {"endless but for the budget",
         {mov_imm(R0, 0), may_goto(2), add_imm(R0, 1), go(-3), exit()}},
        {"with an index that is checked",
         with_value({mov_imm(R2, 0), mov_imm(R0, 0), may_goto(5), alu_imm(BPF_AND, R2, 31),
                     mov(R4, R7), alu(BPF_ADD, R4, R2), store_imm(BPF_B, R4, 0, 1), go(-6),
                     exit()})},
        {"with an index that is not checked",
         with_value({mov_imm(R2, 0), mov_imm(R0, 0), may_goto(5), mov(R4, R7), alu(BPF_ADD, R4, R2),
                     store_imm(BPF_B, R4, 0, 1), add_imm(R2, 1), go(-6), exit()}),
         Errno::Acces, "R4 "},
    });
}

TEST(VerifierCall, Frames) {
    check_cases({
        {"argument and result",
         {load(BPF_W, R1, R1, 0), call_subprog(1), exit(), mov(R0, R1), exit()}},
        {"saved registers are the caller's",
         {mov(R6, R1), call_subprog(2), load(BPF_W, R0, R6, 0), exit(), mov_imm(R6, 0),
          mov_imm(R0, 0), exit()}},
        {"and not the callee's",
         {mov(R6, R1), call_subprog(1), exit(), mov(R0, R6), exit()},
         Errno::Acces,
         "R6 !read_ok"},
        {"the callee must return something",
         {call_subprog(1), exit(), exit()},
         Errno::Acces,
         "R0 !read_ok"},
        {"the caller's stack",
         {mov(R1, R10), add_imm(R1, -8), call_subprog(2), load(BPF_DW, R0, R10, -8), exit(),
          store_imm(BPF_DW, R1, 0, 5), mov_imm(R0, 0), exit()}},
        {"one's own frame",
         {call_subprog(1), exit(), load(BPF_DW, R0, R10, -8), exit()},
         Errno::Acces,
         "invalid read from stack"},
        {"a pointer to the dead",
         {call_subprog(2), load(BPF_DW, R0, R0, -8), exit(), mov(R0, R10), exit()},
         Errno::Inval,
         "cannot return stack pointer to the caller"},
        {"hidden in the caller's stack",
         {mov(R1, R10), add_imm(R1, -8), call_subprog(2), load(BPF_DW, R2, R10, -8), exit(),
          store(BPF_DW, R1, 0, R10), mov_imm(R0, 0), exit()},
         Errno::Inval,
         "cannot spill pointers to stack into stack frame of the caller"},
        {"a pointer as a result",
         {call_subprog(2), load(BPF_W, R0, R0, 0), exit(), mov(R0, R1), exit()}},
        {"what the callee learned",
         with_value({load(BPF_W, R1, R1, 0), call_subprog(3), alu(BPF_ADD, R7, R0),
                     load(BPF_B, R0, R7, 0), exit(), mov(R0, R1), jump_imm(BPF_JLT, R0, 48, 1),
                     mov_imm(R0, 0), exit()})},
    });
}

TEST(VerifierCall, Depth) {
    std::vector<bpf_insn> chain;
    for (int i = 0; i < 8; ++i) {
        chain.push_back(call_subprog(1));
        chain.push_back(exit());
    }
    chain.push_back(mov_imm(R0, 0));
    chain.push_back(exit());
    std::vector<bpf_insn> fine(chain.begin() + 2, chain.end());
    check_cases({
        {"8 frames", fine},
        {"9 frames", chain, Errno::TooBig, "the call stack of 9 frames is too deep"},
        {"512 bytes",
         {store_imm(BPF_DW, R10, -256, 0), call_subprog(1), exit(), store_imm(BPF_DW, R10, -256, 0),
          mov_imm(R0, 0), exit()}},
        {"more",
         {store_imm(BPF_DW, R10, -264, 0), call_subprog(1), exit(), store_imm(BPF_DW, R10, -256, 0),
          mov_imm(R0, 0), exit()},
         Errno::Acces,
         "combined stack size of 2 calls is 544. Too large"},
    });
}

// A number that the callee relied on came from the caller, through an argument.
TEST(VerifierCall, PruningSeesThroughCalls) {
    const auto one = [](s32 first, s32 second, Errno verdict) {
        return VerifierCase{"",
                            {load(BPF_W, R6, R1, 0), mov_imm(R1, first),
                             jump_imm(BPF_JEQ, R6, 0, 1), mov_imm(R1, second), call_subprog(1),
                             exit(), ld_low(R2, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0),
                             mov_imm(R0, 0), alu(BPF_ADD, R2, R1), load(BPF_B, R0, R2, 0), exit()},
                            verdict,
                            "",
                            As::Packet,
                            BPF_F_TEST_STATE_FREQ};
    };
    // And one that it returned.
    const auto result = [](s32 first, s32 second, Errno verdict) {
        return VerifierCase{
            "",
            {call_subprog(5), ld_low(R2, BPF_PSEUDO_MAP_VALUE, kArrayFd), ld_high(0),
             alu(BPF_ADD, R2, R0), load(BPF_B, R0, R2, 0), exit(), load(BPF_W, R6, R1, 0),
             mov_imm(R0, first), jump_imm(BPF_JEQ, R6, 0, 1), mov_imm(R0, second), exit()},
            verdict,
            "",
            As::Packet,
            BPF_F_TEST_STATE_FREQ};
    };
    check_cases({one(4, 8, kAccepted), one(48, 8, Errno::Acces), one(8, 48, Errno::Acces),
                 result(4, 8, kAccepted), result(48, 8, Errno::Acces),
                 result(8, 48, Errno::Acces)});
}

}  // namespace barebpf::test
