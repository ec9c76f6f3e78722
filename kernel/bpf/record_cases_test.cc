// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/ring_cases_test.h"

namespace barebpf::test {
namespace {

constexpr u8 R0 = 0, R1 = 1, R2 = 2, R3 = 3, R4 = 4, R6 = 6, R7 = 7, R8 = 8, R10 = 10;

// R6 = a record of 16 bytes; the program ends where there is none.
Insns record(u8 to = R6, s32 bytes = 16) {
    return reserve_record(bytes) +
           Insns{insn_jump_imm(BPF_JNE, R0, 0, 1), insn_exit(), insn_mov(to, R0)};
}
Insns end(u8 reg, s32 helper) {
    return {insn_mov(R1, reg), insn_mov_imm(R2, 0), helper_call(helper)};
}
Insns submit(u8 reg = R6) {
    return end(reg, BPF_FUNC_ringbuf_submit);
}
Insns discard(u8 reg = R6) {
    return end(reg, BPF_FUNC_ringbuf_discard);
}
// R0 = a number that nothing is known about.
Insns number() {
    return {helper_call(BPF_FUNC_ktime_get_ns)};
}
Insns read(u8 reg, s16 off) {
    return {insn_load(BPF_B, R0, reg, off)};
}
Insns output(s32 off, s32 size) {
    return load_map(R1, kRing) + stack_address(R2, off) +
           Insns{insn_mov_imm(R3, size), insn_mov_imm(R4, 0), helper_call(BPF_FUNC_ringbuf_output)};
}
Insns loop(s32 rounds, s32 function) {
    return Insns{insn_mov_imm(R1, rounds)} + function_address(R2, function) +
           stack_address(R3, -8) + Insns{insn_mov_imm(R4, 0), helper_call(BPF_FUNC_loop)};
}
Insns tail_call(u8 context) {
    return Insns{insn_mov(R1, context)} + load_map(R2, kProgs) +
           Insns{insn_mov_imm(R3, 0), helper_call(BPF_FUNC_tail_call)};
}

void add_life(std::vector<RingCase>& cases) {
    const Insns both_ways = {insn_load(BPF_DW, R7, R6, 0), insn_jump_imm(BPF_JEQ, R7, 0, 3)};
    const std::vector<RingCase> more = {
        {"submitted", record() + Insns{insn_store_imm(BPF_DW, R6, 8, 1)} + submit() + leave()},
        {"discarded", record() + discard() + leave()},
        {"leaked", record() + leave(), Errno::Inval, "Unreleased reference id="},
        {"leaked on one path", record() + both_ways + submit() + leave(), Errno::Inval,
         "Unreleased reference id="},
        {"submitted twice",
         record() + submit() + submit() + leave(),
         Errno::Acces,
         "R1 type=scalar expected=alloc_mem",
         {},
         "R1 type=scalar expected=ringbuf_mem"},
        {"discarded, then submitted",
         record() + discard() + submit() + leave(),
         Errno::Acces,
         "R1 type=scalar expected=alloc_mem",
         {},
         "R1 type=scalar expected=ringbuf_mem"},
        {"read after submit", record() + submit() + read(R6, 0) + leave(), Errno::Acces,
         "R6 invalid mem access 'scalar'"},
        {"written after discard",
         record() + discard() + Insns{insn_store_imm(BPF_B, R6, 0, 1)} + leave(), Errno::Acces,
         "R6 invalid mem access 'scalar'"},
        {"a copy after submit",
         record() + Insns{insn_mov(R7, R6)} + submit() + read(R7, 0) + leave(), Errno::Acces,
         "R7 invalid mem access 'scalar'"},
        {"submitted by a copy", record() + Insns{insn_mov(R7, R6)} + submit(R7) + leave()},
        {"a number",
         Insns{insn_mov_imm(R6, 7)} + submit() + leave(),
         Errno::Acces,
         "R1 type=scalar expected=alloc_mem",
         {},
         "R1 type=scalar expected=ringbuf_mem"},
        {"the context",
         submit(R1) + leave(),
         Errno::Acces,
         "R1 type=ctx expected=alloc_mem",
         {},
         "R1 type=ctx expected=ringbuf_mem"},
        {"a map's value",
         load_value(R6, kArray, 0) + submit() + leave(),
         Errno::Acces,
         "R1 type=map_value expected=alloc_mem",
         {},
         "R1 type=map_value expected=ringbuf_mem"},
        {"two, in order", record() + reserve_record(8) +
                              Insns{insn_mov(R7, R0), insn_jump_imm(BPF_JEQ, R0, 0, 3)} +
                              submit(R7) + submit() + leave()},
        {"two, out of order", record() + reserve_record(8) + Insns{insn_mov(R7, R0)} + submit() +
                                  Insns{insn_jump_imm(BPF_JEQ, R7, 0, 3)} + discard(R7) + leave()},
        {"two, one leaked",
         record() + reserve_record(8) + Insns{insn_mov(R7, R0)} + submit() + leave(), Errno::Inval,
         "Unreleased reference id="},
        {"reserved for nothing", reserve_record(16) + leave(), Errno::Inval,
         "Unreleased reference id="},
    };
    cases.insert(cases.end(), more.begin(), more.end());
}

void add_pointers(std::vector<RingCase>& cases) {
    const Insns some = number() + Insns{insn_mov(R7, R0), alu_imm(BPF_AND, R7, 8)};
    const std::vector<RingCase> more = {
        {"shifted",
         record() + Insns{insn_add_imm(R6, 8)} + submit() + leave(),
         Errno::Acces,
         "dereference of modified alloc_mem ptr R1 off=8 disallowed",
         {},
         "R1 must have zero offset when passed to release func",
         Newer::Same,
         Errno::Inval},
        {"shifted and shifted back",
         record() + Insns{insn_add_imm(R6, 8), insn_add_imm(R6, -8)} + submit() + leave()},
        {"shifted to before it",
         record() + Insns{insn_add_imm(R6, -8)} + submit() + leave(),
         Errno::Acces,
         "negative offset alloc_mem ptr R1 off=-8 disallowed",
         {},
         "R1 must have zero offset when passed to release func",
         Newer::Same,
         Errno::Inval},
        {"shifted somewhere",
         some + record() + Insns{alu_reg(BPF_ADD, R6, R7)} + submit() + leave(),
         Errno::Acces,
         "variable alloc_mem access var_off=(0x0; 0x8) disallowed",
         {},
         "variable ringbuf_mem access var_off=(0x0; 0x8) disallowed"},
        {"read somewhere", some + record() + Insns{insn_mov(R8, R6), alu_reg(BPF_ADD, R8, R7)} +
                               read(R8, 7) + submit() + leave()},
        {"read somewhere beyond",
         some + record() + Insns{insn_mov(R8, R6), alu_reg(BPF_ADD, R8, R7)} + read(R8, 8) +
             submit() + leave(),
         Errno::Acces, "invalid access to memory, mem_size=16 off=16 size=1"},
        {"written beyond", record() + Insns{insn_store_imm(BPF_DW, R6, 12, 1)} + submit() + leave(),
         Errno::Acces, "invalid access to memory, mem_size=16 off=12 size=8"},
        {"read before", record() + read(R6, -1) + submit() + leave(), Errno::Acces,
         "invalid access to memory, mem_size=16 off=-1 size=1"},
        {"not compared",
         reserve_record(16) + read(R0, 0) + leave(),
         Errno::Acces,
         "R0 invalid mem access 'alloc_mem_or_null'",
         {},
         "R0 invalid mem access 'ringbuf_mem_or_null'"},
        {"submitted without comparison",
         reserve_record(16) + submit(R0) + leave(),
         Errno::Acces,
         "R1 type=alloc_mem_or_null expected=alloc_mem",
         {},
         "R1 type=ringbuf_mem_or_null expected=ringbuf_mem"},
        {"compared the wrong way",
         reserve_record(16) + Insns{insn_jump_imm(BPF_JEQ, R0, 0, 2)} + leave() + submit(R0) +
             leave(),
         Errno::Inval, "Unreleased reference id="},
        {"null submitted",
         reserve_record(16) + Insns{insn_mov(R6, R0), insn_jump_imm(BPF_JEQ, R0, 0, 5)} + submit() +
             leave() + submit() + leave(),
         Errno::Acces,
         "R1 type=scalar expected=alloc_mem",
         {},
         "R1 type=scalar expected=ringbuf_mem"},
        {"moved before comparison",
         reserve_record(16) + Insns{insn_add_imm(R0, 8)} + leave(),
         Errno::Acces,
         "R0 pointer arithmetic on alloc_mem_or_null prohibited, null-check it first",
         {},
         "R0 pointer arithmetic on ringbuf_mem_or_null prohibited, null-check it first"},
        {"an atomic in it", record() +
                                Insns{insn_mov_imm(R7, 1), make_insn(BPF_STX | BPF_ATOMIC | BPF_DW,
                                                                     R6, R7, 8, BPF_ADD)} +
                                submit() + leave()},
        {"handed to a helper",
         record() + load_map(R1, kRing) +
             Insns{insn_mov(R2, R6), insn_mov_imm(R3, 16), insn_mov_imm(R4, 0),
                   helper_call(BPF_FUNC_ringbuf_output)} +
             submit() + leave()},
        {"too much handed to a helper",
         record() + load_map(R1, kRing) +
             Insns{insn_mov(R2, R6), insn_mov_imm(R3, 17), insn_mov_imm(R4, 0),
                   helper_call(BPF_FUNC_ringbuf_output)} +
             submit() + leave(),
         Errno::Acces, "invalid access to memory, mem_size=16 off=0 size=17"},
    };
    cases.insert(cases.end(), more.begin(), more.end());
}

void add_sizes(std::vector<RingCase>& cases) {
    const auto sized = [](Insns size, Insns use) {
        return size + load_map(R1, kRing) +
               Insns{insn_mov(R2, R7),
                     insn_mov_imm(R3, 0),
                     helper_call(BPF_FUNC_ringbuf_reserve),
                     insn_jump_imm(BPF_JNE, R0, 0, 1),
                     insn_exit(),
                     insn_mov(R6, R0)} +
               use + submit() + leave();
    };
    const auto either = [](s32 first, s32 second) {
        return number() + Insns{insn_mov_imm(R7, first), insn_jump_imm(BPF_JEQ, R0, 7, 1),
                                insn_mov_imm(R7, second)};
    };
    const Insns at8 = {insn_store_imm(BPF_DW, R6, 8, 1)};
    const std::vector<RingCase> more = {
        {"any size", sized(number() + Insns{insn_mov(R7, R0)}, {}), Errno::Acces,
         "R2 is not a known constant'"},
        {"one of a few sizes",
         sized(number() + Insns{insn_mov(R7, R0), alu_imm(BPF_AND, R7, 8)}, {}), Errno::Acces,
         "R2 is not a known constant'"},
        {"a pointer for a size", sized({insn_mov(R7, R10)}, {}), Errno::Acces,
         "R2 type=fp expected=scalar"},
        {"either size", sized(either(16, 24), at8)},
        {"either size, the second too small", sized(either(16, 8), at8), Errno::Acces,
         "invalid access to memory, mem_size=8 off=8 size=8"},
        {"either size, the first too small", sized(either(8, 16), at8), Errno::Acces,
         "invalid access to memory, mem_size=8 off=8 size=8"},
        {"no bytes", sized({insn_mov_imm(R7, 0)}, {})},
        {"one of no bytes", sized({insn_mov_imm(R7, 0)}, read(R6, 0)), Errno::Acces,
         "invalid access to memory, mem_size=0 off=0 size=1"},
        {"more than there is", sized({insn_mov_imm(R7, 1 << 30)}, at8)},
        {"a size of 64 bits", sized({wide_low(R7, 0, 8), wide_high(1)}, at8), Errno::Acces,
         "invalid access to memory, mem_size=8 off=8 size=8"},
    };
    cases.insert(cases.end(), more.begin(), more.end());
}

void add_places(std::vector<RingCase>& cases) {
    const Insns spill = {insn_store(BPF_DW, R10, -16, R6)};
    const Insns fill = {insn_load(BPF_DW, R7, R10, -16)};
    const Insns cleared = {zero_slot(-16)};
    const std::vector<RingCase> more = {
        {"kept on the stack",
         record() + spill + Insns{insn_mov_imm(R6, 0)} + fill + submit(R7) + leave()},
        {"overwritten on the stack",
         record() + spill + Insns{insn_mov_imm(R6, 0)} + cleared + leave(), Errno::Inval,
         "Unreleased reference id="},
        {"on the stack after submit", record() + spill + submit() + fill + read(R7, 0) + leave(),
         Errno::Acces, "R7 invalid mem access 'scalar'"},
        {"on the stack, not compared",
         reserve_record(16) +
             Insns{insn_store(BPF_DW, R10, -16, R0), insn_jump_imm(BPF_JEQ, R0, 0, 4),
                   insn_load(BPF_DW, R6, R10, -16)} +
             submit() + leave()},
        {"stored elsewhere",
         record() + load_value(R7, kArray, 0) + Insns{insn_store(BPF_DW, R7, 0, R6)} + leave(),
         Errno::Inval, "Unreleased reference id="},
        {"tail call", Insns{insn_mov(R8, R1)} + record() + tail_call(R8) + submit() + leave(),
         Errno::Inval, "tail_call would lead to reference leak"},
        {"tail call after submit",
         Insns{insn_mov(R8, R1)} + record() + submit() + tail_call(R8) + leave()},
        {"tail call where there is none",
         Insns{insn_mov(R8, R1)} + reserve_record(16) +
             Insns{insn_mov(R6, R0), insn_jump_imm(BPF_JEQ, R0, 0, 5)} + submit() + leave() +
             tail_call(R8) + leave()},
    };
    cases.insert(cases.end(), more.begin(), more.end());
}

// BPF_LD_ABS and BPF_LD_IND may end the program.
void add_packets(std::vector<RingCase>& cases) {
    const Insns context = {insn_mov(R6, R1)};
    const Insns back = {insn_mov_imm(R0, 0), insn_exit()};
    const std::vector<RingCase> more = {
        {"LD_ABS", context + record(R7) + first_byte() + submit(R7) + leave(), Errno::Inval,
         "BPF_LD_[ABS|IND] would lead to reference leak"},
        {"LD_IND", context + record(R7) + first_byte_by(R8) + discard(R7) + leave(), Errno::Inval,
         "BPF_LD_[ABS|IND] would lead to reference leak"},
        {"LD_ABS after submit", context + record(R7) + submit(R7) + first_byte() + leave()},
        {"LD_IND before", context + first_byte_by(R8) + record(R7) + submit(R7) + leave()},
        {"LD_ABS where there is none",
         context + reserve_record(16) + Insns{insn_mov(R7, R0), insn_jump_imm(BPF_JEQ, R0, 0, 5)} +
             submit(R7) + leave() + first_byte() + leave()},
        {"LD_ABS in a function meanwhile",
         context + record(R7) + Insns{insn_mov(R1, R6), subprog_call(0)} + submit(R7) + leave(),
         kAccepted,
         "",
         {context + first_byte() + back}},
        {"LD_ABS in a function that holds it",
         context + Insns{insn_mov(R1, R6), subprog_call(0)} + leave(),
         Errno::Inval,
         "Unreleased reference id=",
         {context + record(R7) + first_byte() + submit(R7) + back}},
        {"a tail call in a function meanwhile",
         context + record(R7) + Insns{insn_mov(R1, R6), subprog_call(0)} + submit(R7) + leave(),
         kAccepted,
         "",
         {context + tail_call(R6) + back}},
    };
    cases.insert(cases.end(), more.begin(), more.end());
}

void add_loops(std::vector<RingCase>& cases) {
    const Insns three = {insn_mov_imm(R8, 3)};
    // Back over that many instructions until R8 is 0.
    const auto again = [](const Insns& body) {
        return body + Insns{insn_add_imm(R8, -1),
                            insn_jump_imm(BPF_JNE, R8, 0, s16(-s32(body.size()) - 2))};
    };
    const Insns fork = number() + Insns{insn_jump_imm(BPF_JEQ, R0, 7, 4)};
    const std::vector<RingCase> more = {
        {"one a round", three + again(record() + submit()) + leave()},
        {"one a round, leaked", three + again(record()) + leave(), Errno::Inval,
         "Unreleased reference id="},
        {"the same each round",
         record() + three + again(submit()) + leave(),
         Errno::Acces,
         "R1 type=scalar expected=alloc_mem",
         {},
         "R1 type=scalar expected=ringbuf_mem"},
        {"held during a loop",
         record() + three + again({insn_store(BPF_DW, R6, 0, R8)}) + submit() + leave()},
        // Two paths meet: what holds after the first does not after the second.
        {"one of two",
         record(R6) + reserve_record(8) +
             Insns{insn_mov(R7, R0), insn_jump_imm(BPF_JNE, R0, 0, 5)} + submit() + leave() + fork +
             submit(R6) + Insns{insn_goto(3)} + submit(R7) + submit(R7) + leave(),
         Errno::Acces,
         "R1 type=scalar expected=alloc_mem",
         {},
         "R1 type=scalar expected=ringbuf_mem"},
        {"submitted on one of two ways",
         record() + fork + submit() + Insns{insn_goto(0)} + submit() + leave(),
         Errno::Acces,
         "R1 type=scalar expected=alloc_mem",
         {},
         "R1 type=scalar expected=ringbuf_mem"},
        {"submitted or discarded", record() + number() + Insns{insn_jump_imm(BPF_JEQ, R0, 7, 4)} +
                                       submit() + Insns{insn_goto(3)} + discard() + leave()},
        {"reserved on one of two ways",
         Insns{insn_mov_imm(R6, 0)} + number() +
             Insns{insn_jump_imm(BPF_JEQ, R0, 7, s16(record().size()))} + record() +
             Insns{insn_jump_imm(BPF_JEQ, R6, 0, 3)} + submit() + leave()},
    };
    cases.insert(cases.end(), more.begin(), more.end());
}

void add_functions(std::vector<RingCase>& cases) {
    const Insns back = {insn_mov_imm(R0, 0), insn_exit()};
    const Insns submits = Insns{insn_mov_imm(R2, 0), helper_call(BPF_FUNC_ringbuf_submit)} + back;
    const Insns pass = {insn_mov(R1, R6), subprog_call(0)};
    const Insns reserves = reserve_record(16) + Insns{insn_exit()};
    const Insns got = {subprog_call(0), insn_jump_imm(BPF_JNE, R0, 0, 1), insn_exit(),
                       insn_mov(R6, R0)};
    const Insns context = {zero_slot(-8)};
    const Insns one = reserve_record(16) + Insns{insn_jump_imm(BPF_JEQ, R0, 0, 3)} + submit(R0);
    const std::vector<RingCase> more = {
        {"a function submits", record() + pass + leave(), kAccepted, "", {submits}},
        {"a function submits, and then again",
         record() + pass + submit() + leave(),
         Errno::Acces,
         "R1 type=scalar expected=alloc_mem",
         {submits},
         "R1 type=scalar expected=ringbuf_mem"},
        {"a function does nothing",
         record() + pass + leave(),
         Errno::Inval,
         "Unreleased reference id=",
         {back}},
        {"a function writes",
         record() + pass + submit() + leave(),
         kAccepted,
         "",
         {Insns{insn_store_imm(BPF_DW, R1, 8, 1)} + back}},
        {"a function reserves", got + submit() + leave(), kAccepted, "", {reserves}},
        {"a function reserves, leaked",
         got + leave(),
         Errno::Inval,
         "Unreleased reference id=",
         {reserves}},
        {"a function loses it",
         Insns{subprog_call(0)} + leave(),
         Errno::Inval,
         "Unreleased reference id=",
         {record() + back}},
        {"a function puts it on the caller's stack",
         context + stack_address(R1, -8) +
             Insns{subprog_call(0), insn_load(BPF_DW, R6, R10, -8),
                   insn_jump_imm(BPF_JEQ, R6, 0, 3)} +
             submit() + leave(),
         kAccepted,
         "",
         {Insns{insn_mov(R7, R1)} + reserve_record(16) + Insns{insn_store(BPF_DW, R7, 0, R0)} +
          back}},
        {"held during a loop of callbacks",
         record() + context + loop(9, 0) + submit() + leave(),
         kAccepted,
         "",
         {back}},
        {"from a function, held during a loop of callbacks",
         got + context + loop(9, 1) + submit() + leave(),
         kAccepted,
         "",
         {reserves, back}},
        {"one in each callback", context + loop(9, 0) + leave(), kAccepted, "", {one + back}},
        {"one leaked in each callback",
         context + loop(9, 0) + leave(),
         Errno::Inval,
         "Unreleased reference id=",
         {record(R6) + back}},
        {"the caller's in a callback",
         record() + Insns{insn_store(BPF_DW, R10, -8, R6)} + loop(9, 0) + submit() + leave(),
         Errno::Acces,
         "expected=alloc_mem",
         {Insns{insn_load(BPF_DW, R6, R2, 0)} + submit() + back},
         "expected=ringbuf_mem"},
    };
    cases.insert(cases.end(), more.begin(), more.end());
}

void add_maps(std::vector<RingCase>& cases) {
    const auto with = [](TestMap map, Insns args, s32 helper) {
        return Insns{zero_slot(-8)} + load_map(R1, map) + args + Insns{helper_call(helper)} +
               leave();
    };
    const Insns sized = {insn_mov_imm(R2, 8), insn_mov_imm(R3, 0)};
    const Insns bytes = stack_address(R2, -8) + Insns{insn_mov_imm(R3, 8), insn_mov_imm(R4, 0)};
    const std::vector<RingCase> more = {
        {"output", Insns{zero_slot(-8)} + output(-8, 8) + leave()},
        {"output of nothing", output(-8, 0) + leave()},
        {"output of what was never set",
         output(-8, 8) + leave(),
         Errno::Acces,
         "stack R2",
         {},
         nullptr,
         Newer::Accepts},
        {"output from beyond",
         output(-8, 9) + leave(),
         Errno::Acces,
         "stack R2",
         {},
         nullptr,
         Newer::Same,
         Errno::Inval},
        {"query", with(kRing, {insn_mov_imm(R2, 0)}, BPF_FUNC_ringbuf_query)},
        {"query of an array", with(kArray, {insn_mov_imm(R2, 0)}, BPF_FUNC_ringbuf_query),
         Errno::Inval, "cannot pass map_type 2 into func bpf_ringbuf_query#134"},
        {"output to an array", with(kArray, bytes, BPF_FUNC_ringbuf_output), Errno::Inval,
         "cannot pass map_type 2 into func bpf_ringbuf_output#130"},
        {"reserve in an array", with(kArray, sized, BPF_FUNC_ringbuf_reserve), Errno::Inval,
         "cannot pass map_type 2 into func bpf_ringbuf_reserve#131"},
        {"reserve in a user ring", with(kUserRing, sized, BPF_FUNC_ringbuf_reserve), Errno::Inval,
         "cannot pass map_type 31 into func bpf_ringbuf_reserve#131"},
        {"lookup in a ring", with(kRing, stack_address(R2, -8), BPF_FUNC_map_lookup_elem),
         Errno::Acces, "invalid zero-sized read"},
        {"delete in a user ring", with(kUserRing, stack_address(R2, -8), BPF_FUNC_map_delete_elem),
         Errno::Acces, "invalid zero-sized read"},
        {"push to a ring", with(kRing, bytes, BPF_FUNC_map_push_elem), Errno::Acces,
         "invalid zero-sized read"},
    };
    cases.insert(cases.end(), more.begin(), more.end());
}

}  // namespace

std::vector<RingCase> record_cases() {
    std::vector<RingCase> cases;
    add_life(cases);
    add_pointers(cases);
    add_sizes(cases);
    add_places(cases);
    add_packets(cases);
    add_loops(cases);
    add_functions(cases);
    add_maps(cases);
    return cases;
}

}  // namespace barebpf::test
