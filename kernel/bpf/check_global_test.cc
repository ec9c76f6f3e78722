// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Global functions: what their prototypes let callers pass, and what the functions may assume.
#include "kernel/bpf/verifier_calls_test.h"

namespace barebpf::test {
namespace {

constexpr u8 R0 = 0, R1 = 1, R2 = 2, R3 = 3, R4 = 4, R6 = 6, R7 = 7, R10 = 10;
constexpr Errno kOk{};

struct Case {
    const char* name;
    std::vector<u32> arguments;
    Insns caller;    // sets the arguments; R6 holds the context
    Insns function;  // what the function does before it returns 0
    Errno error;
    const char* text;
    Insns after = {};  // what the caller does afterwards
    u32 result = TestBtf::kInt;
};

void run(std::initializer_list<Case> cases) {
    for (const Case& c : cases) {
        const Insns after = c.after + leave();
        const Insns main =
            Insns{insn_mov(R6, R1)} + c.caller + Insns{subprog_call(s32(after.size()))} + after;
        TestBtf btf;
        const u32 main_id = btf.function("main", true, {TestBtf::kContextPtr});
        const u32 function_id = btf.function("work", true, c.arguments, c.result);
        TestLoad load{.btf = btf.finish()};
        load.functions = {{0, main_id}, {u32(main.size()), function_id}};
        expect_verdict(c.name, main + c.function + leave(), c.error, c.text, load);
    }
}

TEST(GlobalFunctions, TakeNumbers) {
    run({
        {"number", {TestBtf::kInt}, {insn_mov_imm(R1, 3)}, {insn_mov(R0, R1)}, kOk, ""},
        {"pointer", {TestBtf::kInt}, {insn_mov(R1, R10)}, {}, Errno::Inval, "R1 is not a scalar"},
        {"unset", {TestBtf::kLong, TestBtf::kLong}, {}, {}, Errno::Inval, "R1 is not a scalar"},
        {"unset second",
         {TestBtf::kInt, TestBtf::kInt},
         {insn_mov_imm(R1, 0)},
         {},
         Errno::Acces,
         "R2 !read_ok"},
        {"refusal names the function",
         {TestBtf::kInt},
         {insn_mov(R1, R10)},
         {},
         Errno::Inval,
         "Caller passes invalid args into func#1"},
        {"anything, not just what is passed",
         {TestBtf::kInt},
         {insn_mov_imm(R1, 3)},
         {insn_jump_imm(BPF_JEQ, R1, 3, 1), insn_load(BPF_B, R0, R10, 0)},
         Errno::Acces,
         "stack R10"},
        {"no more than the prototype has",
         {TestBtf::kInt},
         {insn_mov_imm(R1, 3), insn_mov_imm(R2, 3)},
         {insn_mov(R0, R2)},
         Errno::Acces,
         "R2 !read_ok"},
    });
}

TEST(GlobalFunctions, TakeTheContext) {
    const Insns load = {insn_load(BPF_W, R0, R1, 8)};
    run({
        {"context", {TestBtf::kContextPtr}, {insn_mov(R1, R6)}, load, kOk, ""},
        {"number",
         {TestBtf::kContextPtr},
         {insn_mov_imm(R1, 0)},
         load,
         Errno::Inval,
         "arg#0 expected pointer to ctx, but got scalar"},
        {"moved",
         {TestBtf::kContextPtr},
         {insn_mov(R1, R6), insn_add_imm(R1, 8)},
         load,
         Errno::Acces,
         "dereference of modified ctx ptr R1 off=8 disallowed"},
    });
}

TEST(GlobalFunctions, TakeMemory) {
    const Insns item =
        Insns{insn_store_imm(BPF_DW, R10, -16, 0), insn_store_imm(BPF_DW, R10, -8, 0)};
    const Insns pass = stack_address(R1, -16);
    const Insns use = {insn_jump_imm(BPF_JEQ, R1, 0, 2), insn_load(BPF_DW, R2, R1, 8),
                       insn_store(BPF_DW, R1, 8, R2)};
    const std::vector<u32> takes = {TestBtf::kItemPtr};
    run({
        {"stack", takes, item + pass, use, kOk, ""},
        {"null", takes, {insn_mov_imm(R1, 0)}, use, kOk, ""},
        {"number", takes, {insn_mov_imm(R1, 8)}, use, Errno::Acces, "R1 type=scalar expected=fp"},
        {"unset stack", takes, pass, use, Errno::Acces, "stack R1"},
        {"too little", takes, item + stack_address(R1, -8), use, Errno::Acces, "stack R1"},
        {"not compared with null",
         takes,
         item + pass,
         {insn_load(BPF_DW, R2, R1, 8)},
         Errno::Acces,
         "R1 invalid mem access 'mem_or_null'"},
        {"beyond",
         takes,
         item + pass,
         {insn_jump_imm(BPF_JEQ, R1, 0, 1), insn_load(BPF_DW, R2, R1, 12)},
         Errno::Acces,
         "invalid access to memory, mem_size=16 off=12 size=8"},
        {"no size",
         {TestBtf::kVoidPtr},
         item + pass,
         {},
         Errno::Inval,
         "size cannot be determined"},
        {"read-only", takes, load_value(R1, kReadOnly, 0), use, Errno::Acces,
         "write into map forbidden"},
        {"may be null", takes,
         Insns{insn_store_imm(BPF_DW, R10, -8, 0)} + stack_address(R2, -8) + load_map(R1, kArray) +
             Insns{helper_call(BPF_FUNC_map_lookup_elem), insn_mov(R1, R0)},
         use, kOk, ""},
    });
}

TEST(GlobalFunctions, MayHaveChangedWhatTheyWereGiven) {
    run({{"number",
          {TestBtf::kItemPtr},
          Insns{insn_store_imm(BPF_DW, R10, -16, 0), insn_store_imm(BPF_DW, R10, -8, 1)} +
              stack_address(R1, -16),
          {},
          Errno::Acces,
          "stack R10",
          {insn_load(BPF_DW, R1, R10, -8), insn_jump_imm(BPF_JEQ, R1, 1, 1),
           insn_load(BPF_B, R0, R10, 0)}}});
}

TEST(GlobalFunctions, ReturnAnyNumber) {
    run({
        {"not the one it returns",
         {},
         {},
         {},
         Errno::Acces,
         "stack R10",
         {insn_jump_imm(BPF_JEQ, R0, 0, 1), insn_load(BPF_B, R0, R10, 0)}},
        {"nothing", {}, {}, {}, Errno::Inval, "doesn't return scalar", {}, TestBtf::kVoid},
    });
}

TEST(GlobalFunctions, WithOtherPrototypesAreRefused) {
    run({
        {"structure",
         {TestBtf::kItem},
         {},
         {},
         Errno::Inval,
         "Arg#0 type STRUCT in work() is not supported yet."},
        {"too many",
         {TestBtf::kInt, TestBtf::kInt, TestBtf::kInt, TestBtf::kInt, TestBtf::kInt, TestBtf::kInt},
         {},
         {},
         Errno::Inval,
         "Global function work() with 6 > 5 args. Buggy compiler."},
    });
}

// data is in R7 and proven to hold 8 bytes; shorter packets end the program.
TEST(GlobalFunctions, ThatMoveThePacket) {
    const Insns packet = {insn_load(BPF_W, R7, R6, 0),
                          insn_load(BPF_W, R3, R6, 4),
                          insn_mov(R2, R7),
                          insn_add_imm(R2, 16),
                          make_insn(BPF_JMP | BPF_JLE | BPF_X, R2, R3, 2, 0),
                          insn_mov_imm(R0, 0),
                          insn_exit(),
                          insn_mov(R1, R6),
                          insn_mov(R2, R7)};
    const Insns move = Insns{insn_mov_imm(R2, 0), insn_store_imm(BPF_DW, R10, -8, 0)} +
                       stack_address(R3, -8) +
                       Insns{insn_mov_imm(R4, 8), helper_call(BPF_FUNC_skb_store_bytes)};
    const Insns use = {insn_load(BPF_B, R0, R7, 0)};
    run({
        {"stays", {TestBtf::kContextPtr, TestBtf::kItemPtr}, packet, {}, kOk, "", use},
        {"moves",
         {TestBtf::kContextPtr},
         packet,
         move,
         Errno::Acces,
         "R7 invalid mem access 'scalar'",
         use},
        {"moves what it was given",
         {TestBtf::kContextPtr, TestBtf::kItemPtr},
         packet,
         move,
         Errno::Acces,
         "helper access to the packet is not allowed"},
    });
}

}  // namespace
}  // namespace barebpf::test
