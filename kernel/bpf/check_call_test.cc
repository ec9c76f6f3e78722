// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helper calls that the verifier must accept, and those that it must refuse with their reasons.
#include "kernel/bpf/ring_cases_test.h"

namespace barebpf::test {
namespace {

constexpr u8 R0 = 0, R1 = 1, R2 = 2, R3 = 3, R4 = 4, R5 = 5, R6 = 6, R7 = 7, R8 = 8, R10 = 10;

struct Case {
    const char* name;
    Insns insns;
    Errno error;
    const char* text;
    TestLoad load = {};
};

void run(std::initializer_list<Case> cases) {
    for (const Case& c : cases) expect_verdict(c.name, c.insns, c.error, c.text, c.load);
}

constexpr Errno kOk{};

// Key 0 at fp-8, its address in R2.
Insns key() {
    return Insns{zero_slot(-8)} + stack_address(R2, -8);
}
// R0 = lookup(map, key), not compared yet.
Insns lookup(TestMap map) {
    return key() + load_map(R1, map) + Insns{helper_call(BPF_FUNC_map_lookup_elem)};
}
// The same; null ends the program.
Insns found(TestMap map) {
    return lookup(map) + Insns{insn_jump_imm(BPF_JNE, R0, 0, 1), insn_exit()};
}
// R6 = data, proven to hold 8 bytes; R7 = ctx. Shorter packets end the program.
Insns packet() {
    return {insn_mov(R7, R1),
            insn_load(BPF_W, R6, R1, 0),
            insn_load(BPF_W, R3, R1, 4),
            insn_mov(R2, R6),
            insn_add_imm(R2, 8),
            make_insn(BPF_JMP | BPF_JLE | BPF_X, R2, R3, 2, 0),
            insn_mov_imm(R0, 0),
            insn_exit()};
}
// dst = a number that nothing is known about.
Insns any_number(u8 dst) {
    return Insns{insn_mov(R7, R1), helper_call(BPF_FUNC_ktime_get_ns), insn_mov(dst, R0),
                 insn_mov(R1, R7)};
}

TEST(HelperCalls, MustExist) {
    run({
        {"known", Insns{helper_call(BPF_FUNC_ktime_get_ns)} + leave(), kOk, ""},
        {"beyond", Insns{helper_call(100000)} + leave(), Errno::Inval,
         "invalid func unknown#100000"},
        {"negative", Insns{helper_call(-5)} + leave(), Errno::Inval, "invalid func unknown#-5"},
        {"none", Insns{helper_call(0)} + leave(), Errno::Inval, "unknown func bpf_unspec#0"},
        {"not offered", Insns{helper_call(BPF_FUNC_probe_read)} + leave(), Errno::Inval,
         "unknown func bpf_probe_read#4"},
        {"not offered to all",
         Insns{helper_call(BPF_FUNC_jiffies64)} + leave(),
         Errno::Inval,
         "unknown func bpf_jiffies64#118",
         {.privileged = false}},
        {"wrong prototype",
         Insns{insn_mov_imm(R1, 0), helper_call(BPF_FUNC_skb_change_tail)} + leave(), Errno::Inval,
         "kernel subsystem misconfigured func bpf_skb_change_tail#38: r1 != ctx"},
    });
}

TEST(HelperCalls, KeepTheLicence) {
    const Insns print = Insns{zero_slot(-8)} + stack_address(R1, -8) +
                        Insns{insn_mov_imm(R2, 8), helper_call(BPF_FUNC_trace_printk)} + leave();
    run({
        {"gpl", print, kOk, ""},
        {"proprietary",
         print,
         Errno::Inval,
         "cannot call GPL-restricted function from non-GPL compatible program",
         {.gpl = false}},
    });
}

TEST(HelperCalls, ClobberWhatACallClobbers) {
    run({
        {"r1", Insns{helper_call(BPF_FUNC_ktime_get_ns), insn_mov(R0, R1), insn_exit()},
         Errno::Acces, "R1 !read_ok"},
        {"r5",
         Insns{insn_mov_imm(R5, 1), helper_call(BPF_FUNC_ktime_get_ns), insn_mov(R0, R5),
               insn_exit()},
         Errno::Acces, "R5 !read_ok"},
        {"r6",
         Insns{insn_mov_imm(R6, 1), helper_call(BPF_FUNC_ktime_get_ns), insn_mov(R0, R6),
               insn_exit()},
         kOk, ""},
    });
}

TEST(HelperArguments, HaveTheRightType) {
    const Insns load = {insn_mov_imm(R2, 0), insn_mov(R3, R10), insn_add_imm(R3, -16),
                        insn_mov_imm(R4, 16), helper_call(BPF_FUNC_skb_load_bytes)};
    run({
        {"ctx", load + leave(), kOk, ""},
        {"ctx moved", Insns{insn_add_imm(R1, 4)} + load + leave(), Errno::Acces,
         "dereference of modified ctx ptr R1 off=4 disallowed"},
        {"no ctx", Insns{insn_mov_imm(R1, 0)} + load + leave(), Errno::Acces,
         "R1 type=scalar expected=ctx"},
        {"unset", Insns{insn_mov_imm(R2, 0), helper_call(BPF_FUNC_skb_load_bytes)} + leave(),
         Errno::Acces, "R3 !read_ok"},
        {"no map", key() + Insns{helper_call(BPF_FUNC_map_lookup_elem)} + leave(), Errno::Acces,
         "R1 type=ctx expected=map_ptr"},
        {"key is a number",
         Insns{insn_mov_imm(R2, 4)} + load_map(R1, kArray) +
             Insns{helper_call(BPF_FUNC_map_lookup_elem)} + leave(),
         Errno::Acces, "R2 type=scalar expected=fp, pkt, pkt_meta, map_key, map_value"},
        {"size is a pointer",
         Insns{insn_mov_imm(R2, 0), insn_mov(R3, R10), insn_add_imm(R3, -16), insn_mov(R4, R1),
               helper_call(BPF_FUNC_skb_load_bytes)} +
             leave(),
         Errno::Acces, "R4 type=ctx expected=scalar"},
        {"or null",
         lookup(kArray) + Insns{insn_mov(R2, R0)} + load_map(R1, kArray) +
             Insns{helper_call(BPF_FUNC_map_lookup_elem)} + leave(),
         Errno::Acces, "R2 type=map_value_or_null expected=fp, pkt"},
        {"pointer leaks",
         Insns{insn_mov(R2, R10), insn_mov(R3, R10), insn_add_imm(R3, -16), zero_slot(-16),
               zero_slot(-8), insn_mov_imm(R4, 16), helper_call(BPF_FUNC_skb_load_bytes)} +
             leave(),
         Errno::Acces,
         "R2 leaks addr into helper function",
         {.privileged = false}},
    });
}

TEST(HelperMemory, MustBeInitialised) {
    run({
        {"key", lookup(kArray) + leave(), kOk, ""},
        {"key unset",
         stack_address(R2, -8) + load_map(R1, kArray) +
             Insns{helper_call(BPF_FUNC_map_lookup_elem)} + leave(),
         Errno::Acces, "stack R2"},
        {"value in part",
         key() + stack_address(R3, -48) + Insns{insn_mov_imm(R4, 0)} + load_map(R1, kArray) +
             Insns{helper_call(BPF_FUNC_map_update_elem)} + leave(),
         Errno::Acces, "stack R3"},
        {"below the frame",
         Insns{zero_slot(-8)} + stack_address(R2, -516) + load_map(R1, kArray) +
             Insns{helper_call(BPF_FUNC_map_lookup_elem)} + leave(),
         Errno::Acces, "stack R2"},
        {"filled by a helper",
         stack_address(R1, -16) + Insns{insn_mov_imm(R2, 16), helper_call(BPF_FUNC_get_stack)} +
             stack_address(R2, -16) + load_map(R1, kArray) +
             Insns{helper_call(BPF_FUNC_map_lookup_elem)} + leave(),
         kOk, ""},
        {"filled in part by a helper",
         stack_address(R1, -16) + Insns{insn_mov_imm(R2, 4), helper_call(BPF_FUNC_get_stack)} +
             stack_address(R2, -12) + load_map(R1, kArray) +
             Insns{helper_call(BPF_FUNC_map_lookup_elem)} + leave(),
         Errno::Acces, "stack R2"},
        {"number after a fill",
         Insns{insn_store_imm(BPF_DW, R10, -8, 1)} + stack_address(R1, -8) +
             Insns{insn_mov_imm(R2, 8), helper_call(BPF_FUNC_get_stack),
                   insn_load(BPF_DW, R1, R10, -8), insn_jump_imm(BPF_JEQ, R1, 1, 1),
                   insn_load(BPF_DW, R0, R1, 0)} +
             leave(),
         Errno::Acces, "R1 invalid mem access 'scalar'"},
        {"pointer overwritten by a fill",
         Insns{insn_store(BPF_DW, R10, -8, R10)} + stack_address(R1, -8) +
             Insns{insn_mov_imm(R2, 8), helper_call(BPF_FUNC_get_stack),
                   insn_load(BPF_DW, R1, R10, -8), insn_load(BPF_DW, R0, R1, -8)} +
             leave(),
         Errno::Acces, "R1 invalid mem access 'scalar'"},
    });
}

// How much of it, or where, is not known: none of it is what it was.
TEST(HelperMemory, IsUnknownAfterAFillSomewhere) {
    auto filled = [](Insns address, Insns size) {
        return any_number(R6) +
               Insns{alu_imm(BPF_AND, R6, 8), insn_store_imm(BPF_DW, R10, -8, 1),
                     insn_store_imm(BPF_DW, R10, -16, 1)} +
               address + size +
               Insns{helper_call(BPF_FUNC_get_stack), insn_load(BPF_DW, R1, R10, -16),
                     insn_jump_imm(BPF_JEQ, R1, 1, 1), insn_load(BPF_DW, R0, R1, 0)} +
               leave();
    };
    run({
        {"size", filled(stack_address(R1, -16), {insn_mov(R2, R6), insn_add_imm(R2, 1)}),
         Errno::Acces, "R1 invalid mem access 'scalar'"},
        {"place",
         filled(stack_address(R1, -16) + Insns{alu_reg(BPF_ADD, R1, R6)}, {insn_mov_imm(R2, 8)}),
         Errno::Acces, "R1 invalid mem access 'scalar'"},
    });
}

TEST(HelperMemory, SizesMustBeBounded) {
    auto sized = [](Insns refine) {
        return any_number(R6) + stack_address(R1, -64) + Insns{insn_mov(R2, R6)} + refine +
               Insns{helper_call(BPF_FUNC_get_stack)} + leave();
    };
    auto cleared = [](Insns rest) {
        Insns all = {};
        for (s16 off = -64; off < 0; off = s16(off + 8)) all.push_back(zero_slot(off));
        return all + rest;
    };
    run({
        {"signed", cleared(sized({insn_jump_imm(BPF_JSGT, R2, 64, 1)})), Errno::Acces,
         "R2 min value is negative, either use unsigned or 'var &= const'"},
        {"unbounded", cleared(sized({alu_imm(BPF_RSH, R2, 1), alu_imm(BPF_OR, R2, 1)})),
         Errno::Acces, "R2 unbounded memory access, use 'var &= const' or 'if (var < const)'"},
        {"may be zero", cleared(sized({alu_imm(BPF_AND, R2, 63)})), Errno::Acces,
         "R2 invalid zero-sized read: u64=[0,63]"},
        {"zero", cleared(sized({insn_mov_imm(R2, 0)})), Errno::Acces,
         "R2 invalid zero-sized read: u64=[0,0]"},
        {"fits", cleared(sized({alu_imm(BPF_AND, R2, 63), insn_add_imm(R2, 1)})), kOk, ""},
        {"one too many", cleared(sized({alu_imm(BPF_AND, R2, 63), insn_add_imm(R2, 2)})),
         Errno::Acces, "stack R1"},
        {"variable sizes need initialised memory",
         sized({alu_imm(BPF_AND, R2, 63), insn_add_imm(R2, 1)}), Errno::Acces, "stack R1"},
    });
}

TEST(HelperMemory, NullGoesWithSizeZeroOnly) {
    auto difference = [](Insns from, s32 size) {
        return from +
               Insns{insn_mov_imm(R2, size), insn_mov_imm(R3, 0), insn_mov_imm(R4, 0),
                     insn_mov_imm(R5, 0), helper_call(BPF_FUNC_csum_diff)} +
               leave();
    };
    run({
        {"null", difference({insn_mov_imm(R1, 0)}, 0), kOk, ""},
        {"null with a size", difference({insn_mov_imm(R1, 0)}, 4), Errno::Acces,
         "R1 type=scalar expected=fp"},
        {"one", difference({insn_mov_imm(R1, 1)}, 0), Errno::Acces,
         "R1 type=scalar expected=fp, pkt"},
        {"maybe null", difference(lookup(kArray) + Insns{insn_mov(R1, R0)}, 4), Errno::Acces,
         "R1 type=map_value_or_null expected=fp"},
        {"value", difference(found(kArray) + Insns{insn_mov(R1, R0)}, 48), kOk, ""},
        {"beyond the value", difference(found(kArray) + Insns{insn_mov(R1, R0)}, 52), Errno::Acces,
         "invalid access to map value, value_size=48 off=0 size=52"},
    });
}

// Two paths meet before the call, one with null and one with any number in R1: that the first is fine
// says nothing of the second.
TEST(HelperMemory, NullIsReliedOnExactly) {
    run({{"null or a number",
          any_number(R6) +
              Insns{insn_mov(R8, R6), insn_jump_imm(BPF_JNE, R6, 7, 1), insn_mov_imm(R8, 0),
                    insn_mov(R1, R8), insn_mov_imm(R2, 0), insn_mov_imm(R3, 0), insn_mov_imm(R4, 0),
                    insn_mov_imm(R5, 0), helper_call(BPF_FUNC_csum_diff)} +
              leave(),
          Errno::Acces, "R1 type=scalar expected=fp"},
         {"a number or null",
          any_number(R6) +
              Insns{insn_mov_imm(R8, 0), insn_jump_imm(BPF_JEQ, R6, 7, 1), insn_mov(R8, R6),
                    insn_mov(R1, R8), insn_mov_imm(R2, 0), insn_mov_imm(R3, 0), insn_mov_imm(R4, 0),
                    insn_mov_imm(R5, 0), helper_call(BPF_FUNC_csum_diff)} +
              leave(),
          Errno::Acces, "R1 type=scalar expected=fp"}});
}

// The same for sizes: one path fills 8 bytes, the other more than there are.
TEST(HelperMemory, SizesAreReliedOnExactly) {
    auto sized = [](s32 first, s32 second) {
        return any_number(R6) +
               Insns{insn_mov_imm(R8, first), insn_jump_imm(BPF_JEQ, R6, 7, 1),
                     insn_mov_imm(R8, second)} +
               stack_address(R1, -8) + Insns{insn_mov(R2, R8), helper_call(BPF_FUNC_get_stack)} +
               leave();
    };
    run({{"first", sized(8, 16), Errno::Acces, "stack R1"},
         {"second", sized(16, 8), Errno::Acces, "stack R1"},
         {"both", sized(4, 8), kOk, ""}});
}

TEST(HelperMemory, PacketsAreForHelpersThatTakeThem) {
    run({
        {"csum_diff",
         packet() +
             Insns{insn_mov(R1, R6), insn_mov_imm(R2, 8), insn_mov_imm(R3, 0), insn_mov_imm(R4, 0),
                   insn_mov_imm(R5, 0), helper_call(BPF_FUNC_csum_diff)} +
             leave(),
         kOk, ""},
        {"beyond",
         packet() +
             Insns{insn_mov(R1, R6), insn_mov_imm(R2, 12), insn_mov_imm(R3, 0), insn_mov_imm(R4, 0),
                   insn_mov_imm(R5, 0), helper_call(BPF_FUNC_csum_diff)} +
             leave(),
         Errno::Acces, "invalid access to packet"},
        {"skb_store_bytes",
         packet() +
             Insns{insn_mov(R1, R7), insn_mov_imm(R2, 0), insn_mov(R3, R6), insn_mov_imm(R4, 8),
                   helper_call(BPF_FUNC_skb_store_bytes)} +
             leave(),
         Errno::Acces, "helper access to the packet is not allowed"},
        {"key",
         packet() + Insns{insn_mov(R2, R6)} + load_map(R1, kArray) +
             Insns{helper_call(BPF_FUNC_map_lookup_elem)} + leave(),
         kOk, ""},
    });
}

TEST(Packets, AreForgottenWhenAHelperMovesThem) {
    const Insns moved = packet() + Insns{zero_slot(-8), insn_mov(R1, R7), insn_mov_imm(R2, 0)} +
                        stack_address(R3, -8) +
                        Insns{insn_mov_imm(R4, 8), helper_call(BPF_FUNC_skb_store_bytes)};
    run({
        {"pointer", moved + Insns{insn_load(BPF_B, R0, R6, 0)} + leave(), Errno::Acces,
         "R6 invalid mem access 'scalar'"},
        {"spilled pointer",
         packet() +
             Insns{insn_store(BPF_DW, R10, -16, R6), zero_slot(-8), insn_mov(R1, R7),
                   insn_mov_imm(R2, 0)} +
             stack_address(R3, -8) +
             Insns{insn_mov_imm(R4, 8), helper_call(BPF_FUNC_skb_store_bytes),
                   insn_load(BPF_DW, R6, R10, -16), insn_load(BPF_B, R0, R6, 0)} +
             leave(),
         Errno::Acces, "R6 invalid mem access 'scalar'"},
        {"loaded again",
         moved + Insns{insn_mov(R1, R7)} + packet() + Insns{insn_load(BPF_B, R0, R6, 0)} + leave(),
         kOk, ""},
    });
}

TEST(Maps, GoWithTheirHelpers) {
    run({
        {"prog array", lookup(kProgs) + leave(), Errno::Inval,
         "cannot pass map_type 3 into func bpf_map_lookup_elem#1"},
        {"tail call of an array",
         load_map(R2, kArray) + Insns{insn_mov_imm(R3, 0), helper_call(BPF_FUNC_tail_call)} +
             leave(),
         Errno::Inval, "cannot pass map_type 2 into func bpf_tail_call#12"},
        {"no push",
         stack_address(R2, -48) + Insns{insn_mov_imm(R3, 0)} + load_map(R1, kArray) +
             Insns{helper_call(BPF_FUNC_map_push_elem)} + leave(),
         Errno::Acces, "stack R2"},
        {"read-only to programs",
         found(kArray) + Insns{insn_mov(R3, R0), insn_mov_imm(R4, 0)} + key() +
             load_map(R1, kReadOnly) + Insns{helper_call(BPF_FUNC_map_update_elem)} + leave(),
         Errno::Acces, "write into map forbidden"},
        {"delete from a read-only map",
         key() + load_map(R1, kReadOnly) + Insns{helper_call(BPF_FUNC_map_delete_elem)} + leave(),
         Errno::Acces, "write into map forbidden"},
        {"lookup in a read-only map", lookup(kReadOnly) + leave(), kOk, ""},
        {"a helper that writes there",
         found(kReadOnly) +
             Insns{insn_mov(R1, R0), insn_mov_imm(R2, 8), helper_call(BPF_FUNC_get_stack)} +
             leave(),
         Errno::Acces, "write into map forbidden, value_size=48 off=0 size=8"},
        {"a helper that reads what programs only write",
         found(kWriteOnly) +
             Insns{insn_mov(R1, R0), insn_mov_imm(R2, 8), insn_mov_imm(R3, 0), insn_mov_imm(R4, 0),
                   insn_mov_imm(R5, 0), helper_call(BPF_FUNC_csum_diff)} +
             leave(),
         Errno::Acces, "read from map forbidden, value_size=48 off=0 size=8"},
    });
}

TEST(Maps, AskForValuesOrFillThem) {
    for (const RingCase& c : value_cases()) expect_verdict(c.name, c.insns, c.error, c.text);
}

TEST(Maps, ResultsMayBeNull) {
    run({
        {"compared", found(kArray) + Insns{insn_load(BPF_DW, R0, R0, 40)} + leave(), kOk, ""},
        {"not compared", lookup(kArray) + Insns{insn_load(BPF_DW, R0, R0, 0)} + leave(),
         Errno::Acces, "R0 invalid mem access 'map_value_or_null'"},
        {"beyond", found(kArray) + Insns{insn_load(BPF_DW, R0, R0, 44)} + leave(), Errno::Acces,
         "invalid access to map value, value_size=48 off=44 size=8"},
        {"memory of a fixed size",
         Insns{helper_call(BPF_FUNC_skb_get_tunnel_key), insn_jump_imm(BPF_JEQ, R0, 0, 1),
               insn_load(BPF_DW, R1, R0, 8)} +
             leave(),
         kOk, ""},
        {"beyond it",
         Insns{helper_call(BPF_FUNC_skb_get_tunnel_key), insn_jump_imm(BPF_JEQ, R0, 0, 1),
               insn_load(BPF_DW, R1, R0, 12)} +
             leave(),
         Errno::Acces, "invalid access to memory, mem_size=16 off=12 size=8"},
    });
}

TEST(References, AreReleasedOnce) {
    const Insns reserve = reserve_record(16) + Insns{insn_jump_imm(BPF_JNE, R0, 0, 1), insn_exit()};
    const Insns submit = {insn_mov(R1, R0), insn_mov_imm(R2, 0),
                          helper_call(BPF_FUNC_ringbuf_submit)};
    run({
        {"released", reserve + Insns{insn_store_imm(BPF_DW, R0, 8, 1)} + submit + leave(), kOk, ""},
        {"leaked", reserve + leave(), Errno::Inval, "Unreleased reference id="},
        {"beyond", reserve + Insns{insn_store_imm(BPF_DW, R0, 12, 1)} + submit + leave(),
         Errno::Acces, "invalid access to memory, mem_size=16 off=12 size=8"},
        {"used after release",
         reserve + Insns{insn_mov(R6, R0)} + submit + Insns{insn_load(BPF_B, R0, R6, 0)} + leave(),
         Errno::Acces, "R6 invalid mem access 'scalar'"},
        {"released twice",
         reserve + Insns{insn_mov(R6, R0)} + submit + Insns{insn_mov(R0, R6)} + submit + leave(),
         Errno::Acces, "R1 type=scalar expected=alloc_mem"},
        {"moved", reserve + Insns{insn_add_imm(R0, 8)} + submit + leave(), Errno::Acces,
         "off=8 disallowed"},
        {"of unknown size",
         any_number(R6) + load_map(R1, kRing) +
             Insns{insn_mov(R2, R6), insn_mov_imm(R3, 0), helper_call(BPF_FUNC_ringbuf_reserve)} +
             leave(),
         Errno::Acces, "R2 is not a known constant'"},
        {"not compared", reserve_record(16) + submit + leave(), Errno::Acces,
         "R1 type=alloc_mem_or_null expected=alloc_mem"},
        {"other memory",
         Insns{helper_call(BPF_FUNC_skb_get_tunnel_key), insn_jump_imm(BPF_JNE, R0, 0, 1),
               insn_exit()} +
             submit + leave(),
         Errno::Acces, "R1 type=mem expected=alloc_mem"},
    });
}

TEST(TailCalls, LeakNothing) {
    const Insns tail =
        load_map(R2, kProgs) + Insns{insn_mov_imm(R3, 0), helper_call(BPF_FUNC_tail_call)};
    run({
        {"plain", tail + leave(), kOk, ""},
        {"with a reference",
         Insns{insn_mov(R6, R1)} + reserve_record(16) +
             Insns{insn_jump_imm(BPF_JNE, R0, 0, 1), insn_exit(), insn_mov(R1, R6)} + tail +
             leave(),
         Errno::Inval, "tail_call would lead to reference leak"},
    });
}

// main: calls a subprogram that tail calls, and goes on as if that could not leave the program.
void around_tail_call(const char* name, const Insns& after, Errno error, const char* text) {
    const Insns main = packet() + Insns{insn_mov(R1, R7), subprog_call(s32(after.size()))} + after;
    const Insns sub =
        load_map(R2, kProgs) + Insns{insn_mov_imm(R3, 0), helper_call(BPF_FUNC_tail_call),
                                     insn_mov_imm(R0, 1), insn_exit()};
    TestBtf btf;
    const u32 main_id = btf.function("main", true, {TestBtf::kContextPtr});
    const u32 sub_id = btf.function("sub", false, {TestBtf::kContextPtr});
    TestLoad load{.btf = btf.finish()};
    load.functions = {{0, main_id}, {u32(main.size()), sub_id}};
    expect_verdict(name, main + sub, error, text, load);
}

TEST(TailCalls, OutOfSubprogramsReturnToTheCaller) {
    around_tail_call("nothing assumed", leave(), kOk, "");
    around_tail_call("packet assumed in place", Insns{insn_load(BPF_B, R0, R6, 0)} + leave(),
                     Errno::Acces, "R6 invalid mem access 'scalar'");
    around_tail_call(
        "result assumed",
        Insns{insn_jump_imm(BPF_JEQ, R0, 1, 1), insn_load(BPF_B, R0, R10, 0)} + leave(),
        Errno::Acces, "stack R10");
}

TEST(ConstantStrings, AreReadWhenVerified) {
    memset(test_map_bytes, 0, sizeof test_map_bytes);
    memcpy(test_map_bytes[kFrozen], "x %d\0 %z \0no end here, not one byte of zero until the", 48);
    memcpy(test_map_bytes[kArray], "x %d", 5);
    auto print = [](TestMap map, s32 off, s32 bytes) {
        return Insns{zero_slot(-8), zero_slot(-16)} + stack_address(R1, -16) +
               Insns{insn_mov_imm(R2, 16)} + load_value(R3, map, off) + stack_address(R4, -8) +
               Insns{insn_mov_imm(R5, bytes), helper_call(BPF_FUNC_snprintf)} + leave();
    };
    run({
        {"good", print(kFrozen, 0, 8), kOk, ""},
        {"too few values", print(kFrozen, 0, 0), Errno::Inval, "Invalid format string"},
        {"bad format", print(kFrozen, 5, 8), Errno::Inval, "Invalid format string"},
        {"endless", print(kFrozen, 10, 8), Errno::Inval, "string is not zero-terminated"},
        {"may change", print(kArray, 0, 8), Errno::Acces, "R3 does not point to a readonly map'"},
        {"not frozen", print(kReadOnly, 0, 8), Errno::Acces,
         "R3 does not point to a readonly map'"},
    });
}

TEST(Results, CpuNumbersAreBounded) {
    const s32 last = s32(host::possible_cpus()) - 1;
    auto check = [](s32 limit) {
        return Insns{helper_call(BPF_FUNC_get_smp_processor_id),
                     insn_jump_imm(BPF_JLE, R0, limit, 1), insn_load(BPF_DW, R0, R10, 8)} +
               leave();
    };
    run({{"bounded", check(last), kOk, ""}});
    if (last > 0) run({{"not further", check(last - 1), Errno::Acces, "stack R10"}});
}

}  // namespace
}  // namespace barebpf::test
