// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helpers that call functions of the program: what the callback may do, and what the caller may
// believe afterwards, however often it was called.
#include "kernel/bpf/verifier_calls_test.h"
#include "testkit/test.h"

namespace barebpf::test {
namespace {

constexpr u8 R0 = 0, R1 = 1, R2 = 2, R3 = 3, R4 = 4, R5 = 5, R6 = 6, R7 = 7, R8 = 8, R10 = 10;
constexpr Errno kOk{};

// A program with one call of a helper that is given the function at its end.
struct Program {
    Insns before = {};
    s32 helper = BPF_FUNC_for_each_map_elem;
    Insns first = load_map(R1, kArray);     // R1
    Insns context = stack_address(R3, -8);  // R3
    Insns after = {insn_mov_imm(R0, 0), insn_exit()};
    Insns callback = {insn_mov_imm(R0, 0), insn_exit()};
    bool global = false;
    bool debug_info = true;
    bool log = true;
};

struct Case {
    const char* name;
    Program program;
    Errno error = kOk;
    const char* text = "";
};

struct Built {
    Insns insns;
    u32 callback;
};

Built build(const Program& p) {
    Insns all = p.before + p.first;
    const size_t at = all.size();
    all = all + Insns{wide_low(R2, BPF_PSEUDO_FUNC, 0), wide_high(0)} + p.context +
          Insns{insn_mov_imm(R4, 0), helper_call(p.helper)} + p.after;
    const u32 callback = u32(all.size());
    all[at].imm = s32(callback - at - 1);
    for (size_t i = 0; i < p.callback.size(); ++i) {
        bpf_insn insn = p.callback[i];
        // A function address in the callback is the callback's own.
        if (insn.code == (BPF_LD | BPF_IMM | BPF_DW) && insn.src_reg == BPF_PSEUDO_FUNC)
            insn.imm = -s32(i) - 1;
        all.push_back(insn);
    }
    return {all, callback};
}

void run(std::initializer_list<Case> cases) {
    for (const Case& c : cases) {
        const Built built = build(c.program);
        TestBtf types;
        TestLoad load;
        load.log = c.program.log;
        const u32 main = types.function("main", true, {TestBtf::kContextPtr});
        const u32 callback = types.function("callback", c.program.global, {TestBtf::kInt});
        if (c.program.debug_info) {
            load.functions = {{0, main}, {built.callback, callback}};
            load.btf = types.finish();
        }
        expect_verdict(c.name, built.insns, c.error, c.text, load);
        if (!load.log) continue;
        load.flags = BPF_F_TEST_STATE_FREQ;
        expect_verdict(c.name, built.insns, c.error, c.text, load);
    }
}

// The caller's context is 8 bytes of stack, set to a number.
Insns context_is(s32 value) {
    return {insn_store_imm(BPF_DW, R10, -8, value)};
}
// R0 = array value [context], 48 bytes long; refused if the context may be beyond.
Insns index_by_context() {
    return load_value(R6, kArray, 0) + Insns{insn_load(BPF_DW, R7, R10, -8),
                                             make_insn(BPF_ALU64 | BPF_ADD | BPF_X, R6, R7, 0, 0),
                                             insn_load(BPF_B, R0, R6, 0), insn_mov_imm(R0, 0),
                                             insn_exit()};
}
Insns result(s32 value) {
    return {insn_mov_imm(R0, value), insn_exit()};
}

TEST(Callbacks, GetWhatTheHelperPasses) {
    run({
        {"nothing used", {.before = context_is(0)}},
        {"no context", {.context = {insn_mov_imm(R3, 0)}}},
        {"the key",
         {.before = context_is(0), .callback = Insns{insn_load(BPF_W, R0, R2, 0)} + result(0)}},
        {"beyond the key",
         {.before = context_is(0), .callback = Insns{insn_load(BPF_DW, R0, R2, 0)} + result(0)},
         Errno::Acces,
         "invalid access to map key, key_size=4 off=0 size=8"},
        {"a write to the key",
         {.before = context_is(0), .callback = Insns{insn_store_imm(BPF_W, R2, 0, 1)} + result(0)},
         Errno::Acces,
         "write to change key R2 not allowed"},
        {"the value",
         {.before = context_is(0),
          .callback =
              Insns{insn_load(BPF_DW, R0, R3, 40), insn_store(BPF_DW, R3, 0, R0)} + result(0)}},
        {"beyond the value",
         {.before = context_is(0), .callback = Insns{insn_load(BPF_DW, R0, R3, 41)} + result(0)},
         Errno::Acces,
         "invalid access to map value, value_size=48 off=41 size=8"},
        {"the map",
         {.before = context_is(0),
          .callback = Insns{zero_slot(-8)} + stack_address(R2, -8) +
                      Insns{helper_call(BPF_FUNC_map_lookup_elem)} + result(0)}},
        {"the context",
         {.before = context_is(0),
          .callback =
              Insns{insn_load(BPF_DW, R0, R4, 0), insn_store(BPF_DW, R4, 0, R0)} + result(0)}},
        {"no fifth argument",
         {.before = context_is(0), .callback = Insns{insn_mov(R0, R5)} + result(0)},
         Errno::Acces,
         "R5 !read_ok"},
        {"nothing of the caller's registers",
         {.before = context_is(0), .callback = Insns{insn_mov(R0, R6)} + result(0)},
         Errno::Acces,
         "R6 !read_ok"},
        {"the caller's registers stay",
         {.before = context_is(0) + Insns{insn_mov(R6, R1)},
          .after = Insns{insn_load(BPF_W, R0, R6, 8)} + result(0),
          .callback = Insns{insn_mov_imm(R6, 7)} + result(0)}},
        {"the arguments do not",
         {.before = context_is(0), .after = Insns{insn_mov(R0, R1)} + result(0)},
         Errno::Acces,
         "R1 !read_ok"},
    });
}

TEST(Callbacks, ReturnZeroOrOne) {
    const Insns number = {insn_load(BPF_DW, R0, R3, 0)};
    run({
        {"one", {.before = context_is(0), .callback = result(1)}},
        {"one of them",
         {.before = context_is(0),
          .callback =
              number + Insns{make_insn(BPF_ALU64 | BPF_AND | BPF_K, R0, 0, 0, 1), insn_exit()}}},
        {"two",
         {.before = context_is(0), .callback = result(2)},
         Errno::Inval,
         "At callback return the register R0 has value"},
        {"anything",
         {.before = context_is(0), .callback = number + Insns{insn_exit()}},
         Errno::Inval,
         "At callback return the register R0 has value (0x0; 0xffffffffffffffff)"},
        {"a pointer",
         {.before = context_is(0), .callback = {insn_mov(R0, R3), insn_exit()}},
         Errno::Acces,
         "R0 not a scalar value"},
        {"nothing", {.before = context_is(0), .callback = {insn_exit()}}, Errno::Acces, "R0"},
    });
}

TEST(Callbacks, AreCheckedAtTheCall) {
    run({
        {"not a stack pointer",
         {.context = load_value(R3, kArray, 0)},
         Errno::Acces,
         "R3 type=map_value expected=fp"},
        {"a number for the context", {.context = {insn_mov_imm(R3, 1)}}, Errno::Acces, "R3 type="},
        {"a map that cannot",
         {.before = context_is(0), .first = load_map(R1, kOther)},
         Errno::NotSupp,
         "callback function not allowed for map"},
        {"a map that helpers of its own serve",
         {.before = context_is(0), .first = load_map(R1, kBloom)},
         Errno::NotSupp,
         "callback function not allowed for map"},
        {"no debug info",
         {.before = context_is(0), .debug_info = false},
         Errno::Inval,
         "missing btf func_info"},
        {"a global function",
         {.before = context_is(0), .global = true},
         Errno::Inval,
         "callback function not static"},
        {"itself",
         {.before = context_is(0),
          .callback = load_map(R1, kArray) +
                      Insns{wide_low(R2, BPF_PSEUDO_FUNC, 0), wide_high(0), insn_mov_imm(R3, 0),
                            insn_mov_imm(R4, 0), helper_call(BPF_FUNC_for_each_map_elem)} +
                      result(0)},
         Errno::TooBig,
         "the call stack of"},
        {"too much stack",
         {.before = Insns{insn_store_imm(BPF_DW, R10, -256, 0)} + context_is(0),
          .callback = Insns{insn_store_imm(BPF_DW, R10, -264, 0)} + result(0)},
         Errno::Acces,
         "combined stack size of 2 calls is"},
    });
    const Insns number =
        Insns{insn_mov_imm(R2, 5)} + load_map(R1, kArray) +
        Insns{insn_mov_imm(R3, 0), insn_mov_imm(R4, 0), helper_call(BPF_FUNC_for_each_map_elem)} +
        leave();
    expect_verdict("not a function", number, Errno::Acces, "R2 type=scalar expected=func");
}

TEST(Callbacks, MayNeverBeCalled) {
    run({
        {"what only they write",
         {.after = Insns{insn_load(BPF_DW, R0, R10, -8)} + result(0),
          .callback = Insns{insn_store_imm(BPF_DW, R4, 0, 0)} + result(0)},
         Errno::Acces,
         "invalid read from stack"},
        {"what only they make small",
         {.before = context_is(48),
          .after = index_by_context(),
          .callback = Insns{insn_store_imm(BPF_DW, R4, 0, 0)} + result(0)},
         Errno::Acces,
         "invalid access to map value"},
    });
}

TEST(Callbacks, MayBeCalledOnceAndMoreOften) {
    run({
        {"once is too much",
         {.before = context_is(0),
          .after = index_by_context(),
          .callback = Insns{insn_store_imm(BPF_DW, R4, 0, 48)} + result(0)},
         Errno::Acces,
         "invalid access to map value"},
        {"once is fine",
         {.before = context_is(0),
          .after = index_by_context(),
          .callback = Insns{insn_store_imm(BPF_DW, R4, 0, 47)} + result(0)}},
        {"twice is too much",
         {.before = context_is(0),
          .after = index_by_context(),
          .callback = Insns{insn_load(BPF_DW, R1, R4, 0), insn_jump_imm(BPF_JEQ, R1, 0, 2),
                            insn_store_imm(BPF_DW, R4, 0, 48), insn_goto(1),
                            insn_store_imm(BPF_DW, R4, 0, 1)} +
                      result(0)},
         Errno::Acces,
         "invalid access to map value"},
        {"each time a little more",
         {.before = context_is(0),
          .after = index_by_context(),
          .callback = Insns{insn_load(BPF_DW, R1, R4, 0), insn_add_imm(R1, 1),
                            insn_store(BPF_DW, R4, 0, R1)} +
                      result(0)},
         Errno::Acces,
         ""},
        {"a sum",
         {.before = context_is(0),
          .after = {insn_load(BPF_DW, R0, R10, -8), insn_exit()},
          .callback = Insns{insn_load(BPF_DW, R1, R4, 0), insn_load(BPF_DW, R2, R3, 0),
                            make_insn(BPF_ALU64 | BPF_ADD | BPF_X, R1, R2, 0, 0),
                            insn_store(BPF_DW, R4, 0, R1)} +
                      result(0)}},
        {"an index that the callback keeps in bounds",
         {.before = context_is(0),
          .after = {insn_load(BPF_DW, R0, R10, -8), insn_exit()},
          .callback = Insns{insn_load(BPF_DW, R1, R4, 0), insn_jump_imm(BPF_JGT, R1, 47, 4),
                            make_insn(BPF_ALU64 | BPF_ADD | BPF_X, R3, R1, 0, 0),
                            insn_store_imm(BPF_B, R3, 0, 1), insn_add_imm(R1, 1),
                            insn_store(BPF_DW, R4, 0, R1)} +
                      result(0)}},
        {"a pointer becomes a number",
         {.before = {insn_store(BPF_DW, R10, -8, R1)},
          .after = Insns{insn_load(BPF_DW, R1, R10, -8), insn_load(BPF_W, R0, R1, 8)} + result(0),
          .callback = Insns{insn_store_imm(BPF_DW, R4, 0, 0)} + result(0)},
         Errno::Acces,
         "R1 invalid mem access 'scalar'"},
    });
}

TEST(Callbacks, GiveBackWhatTheyTake) {
    const Insns reserve = reserve_record(8);
    const Insns submit = {insn_jump_imm(BPF_JEQ, R0, 0, 3), insn_mov(R1, R0), insn_mov_imm(R2, 0),
                          helper_call(BPF_FUNC_ringbuf_submit)};
    const Insns take = {insn_mov(R6, R3), insn_mov(R1, R6), insn_add_imm(R1, kLockOffset),
                        helper_call(BPF_FUNC_spin_lock)};
    const Insns give = {insn_mov(R1, R6), insn_add_imm(R1, kLockOffset),
                        helper_call(BPF_FUNC_spin_unlock)};
    run({
        {"a record", {.before = context_is(0), .callback = reserve + submit + result(0)}},
        {"a record kept",
         {.before = context_is(0), .callback = reserve + result(0)},
         Errno::Inval,
         "Unreleased reference"},
        {"the caller's record",
         {.before = reserve + Insns{insn_jump_imm(BPF_JNE, R0, 0, 1), insn_exit(),
                                    insn_store(BPF_DW, R10, -8, R0)},
          .after = Insns{insn_load(BPF_DW, R1, R10, -8), insn_mov_imm(R2, 0),
                         helper_call(BPF_FUNC_ringbuf_submit)} +
                   result(0),
          .callback = Insns{insn_load(BPF_DW, R1, R4, 0), insn_mov_imm(R2, 0),
                            helper_call(BPF_FUNC_ringbuf_submit)} +
                      result(0)},
         Errno::Acces,
         ""},
        {"a lock",
         {.before = context_is(0),
          .first = load_map(R1, kLocked),
          .callback = take + give + result(0)}},
        {"a lock kept",
         {.before = context_is(0), .first = load_map(R1, kLocked), .callback = take + result(0)},
         Errno::Inval,
         "unlock is missing"},
        {"a call under a lock",
         {.before = load_value(R6, kLocked, 0) +
                    Insns{insn_mov(R1, R6), insn_add_imm(R1, 8), helper_call(BPF_FUNC_spin_lock)} +
                    context_is(0)},
         Errno::Inval,
         "function calls are not allowed while holding a lock"},
    });
}

TEST(Callbacks, DoNotHideEndlessLoops) {
    // Back to the program's first instruction, from behind the call (10 instructions) or later.
    const bpf_insn again = insn_goto(-10);
    const bpf_insn if_called = insn_jump_imm(BPF_JNE, R7, 0, -11);
    run({
        {"around the call",
         {.before = context_is(0), .after = {again}},
         Errno::Inval,
         "infinite loop detected"},
        {"in the callback",
         {.before = context_is(0), .callback = {insn_goto(-1)}},
         Errno::Inval,
         "infinite loop detected"},
        {"a few times around",
         {.before = Insns{insn_mov_imm(R8, 0)} + context_is(0),
          .after = Insns{insn_add_imm(R8, 1), insn_jump_imm(BPF_JLT, R8, 3, -11)} + result(0),
          .callback = Insns{insn_store_imm(BPF_DW, R4, 0, 1)} + result(0)}},
    });
    // Followed until the verifier has had enough, if it is no longer told from one that ends.
    run({
        {"around the call, if it was called",
         {.before = context_is(0),
          .after = Insns{insn_load(BPF_DW, R7, R10, -8), if_called} + result(0),
          .callback = Insns{insn_store_imm(BPF_DW, R4, 0, 1)} + result(0),
          .log = false},
         Errno::TooBig},
    });
}

TEST(Callbacks, OfLoop) {
    const Insns count = {insn_load(BPF_DW, R1, R2, 0), insn_add_imm(R1, 1),
                         insn_store(BPF_DW, R2, 0, R1)};
    run({
        {"the index and the context",
         {.before = context_is(0),
          .helper = BPF_FUNC_loop,
          .first = {insn_mov_imm(R1, 100)},
          .callback = Insns{insn_store(BPF_DW, R2, 0, R1)} + result(0)}},
        {"no third argument",
         {.before = context_is(0),
          .helper = BPF_FUNC_loop,
          .first = {insn_mov_imm(R1, 100)},
          .callback = Insns{insn_mov(R0, R3)} + result(0)},
         Errno::Acces,
         "R3 !read_ok"},
        {"any index",
         {.before = context_is(0),
          .helper = BPF_FUNC_loop,
          .first = {insn_mov_imm(R1, 100)},
          .after = index_by_context(),
          .callback = Insns{insn_store(BPF_DW, R2, 0, R1)} + result(0)},
         Errno::Inval,
         "unbounded min value"},
        {"as often as it says",
         {.before = context_is(0),
          .helper = BPF_FUNC_loop,
          .first = {insn_mov_imm(R1, 47)},
          .after = index_by_context(),
          .callback = count + result(0)}},
        {"once more",
         {.before = context_is(0),
          .helper = BPF_FUNC_loop,
          .first = {insn_mov_imm(R1, 48)},
          .after = index_by_context(),
          .callback = count + result(0)},
         Errno::Acces,
         ""},
        {"never",
         {.before = context_is(0), .helper = BPF_FUNC_loop, .first = {insn_mov_imm(R1, 0)}}},
        {"a pointer for a count",
         {.before = context_is(0),
          .helper = BPF_FUNC_loop,
          .first = {insn_mov(R1, R10)},
          .callback = Insns{insn_mov(R0, R3)} + result(0)},
         Errno::Acces,
         "R3 !read_ok"},
    });
}

}  // namespace
}  // namespace barebpf::test
