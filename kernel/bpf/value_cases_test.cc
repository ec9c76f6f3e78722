// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Values that a map's helper asks for or fills, and what is known of the stack afterwards.
#include "kernel/bpf/ring_cases_test.h"

namespace barebpf::test {
namespace {

constexpr u8 R0 = 0, R1 = 1, R2 = 2, R6 = 6, R10 = 10;
constexpr s16 kValue = -48;  // of 48 bytes

// The value on the stack: 7, then zeros.
Insns value() {
    Insns all = {insn_store_imm(BPF_DW, R10, kValue, 7)};
    for (s16 off = kValue + 8; off < 0; off = s16(off + 8)) all.push_back(zero_slot(off));
    return all;
}
// Of the value that R2 points to.
Insns peek(TestMap map) {
    return load_map(R1, map) + Insns{helper_call(BPF_FUNC_map_peek_elem)};
}
Insns peek_stack(TestMap map) {
    return stack_address(R2, kValue) + peek(map);
}
// Of a value of another map.
Insns peek_value(TestMap map, TestMap of) {
    return Insns{zero_slot(-8)} + stack_address(R2, -8) + load_map(R1, of) +
           Insns{helper_call(BPF_FUNC_map_lookup_elem), insn_jump_imm(BPF_JNE, R0, 0, 1),
                 insn_exit(), insn_mov(R2, R0)} +
           peek(map) + leave();
}
// Accepted only if the number is known.
Insns is_number(s16 off, s32 number) {
    return Insns{insn_load(BPF_DW, R1, R10, off), insn_jump_imm(BPF_JEQ, R1, number, 1),
                 insn_load(BPF_DW, R0, R1, 0)} +
           leave();
}
Insns lookup_by(s16 key, TestMap map = kArray) {
    return stack_address(R2, key) + load_map(R1, map) +
           Insns{helper_call(BPF_FUNC_map_lookup_elem)};
}
// R0 = a value of the map of maps' element, not compared yet.
Insns lookup_inner(const Insns& compare) {
    return Insns{zero_slot(-8)} + lookup_by(-8, kArrayOfMaps) + compare + Insns{insn_mov(R1, R0)} +
           stack_address(R2, -8) + Insns{helper_call(BPF_FUNC_map_lookup_elem)};
}

}  // namespace

std::vector<RingCase> value_cases() {
    const Insns spilled_pointer = {insn_store(BPF_DW, R10, kValue, R10)};
    const Insns follow =
        Insns{insn_load(BPF_DW, R6, R10, kValue), insn_store_imm(BPF_DW, R6, -8, 1)} + leave();
    const Insns compare = {insn_jump_imm(BPF_JNE, R0, 0, 1), insn_exit()};
    const Insns use = Insns{insn_load(BPF_DW, R0, R0, 40)} + leave();
    return {
        {"a value of an inner map", lookup_inner(compare) + compare + use},
        {"an inner map that may not be there", lookup_inner({}) + compare + use, Errno::Acces,
         "R1 type=map_value_or_null expected=map_ptr"},
        {"a value of an inner map that may not be there", lookup_inner(compare) + use, Errno::Acces,
         "R0 invalid mem access 'map_value_or_null'"},
        {"a bloom filter asks for a value", value() + peek_stack(kBloom) + leave()},
        // Newer kernels let the privileged read what was never written.
        {.name = "a bloom filter asks for a value that is not there",
         .insns = peek_stack(kBloom) + leave(),
         .error = Errno::Acces,
         .text = "invalid indirect read from stack R2 off -48+0 size 48",
         .newer = Newer::Accepts},
        {.name = "a bloom filter asks for a value that is there in part",
         .insns = Insns{zero_slot(kValue)} + peek_stack(kBloom) + leave(),
         .error = Errno::Acces,
         .text = "invalid indirect read from stack R2 off -48+8 size 48",
         .newer = Newer::Accepts},
        {"a queue fills a value", peek_stack(kQueue) + is_number(kValue, 7), Errno::Acces,
         "R1 invalid mem access 'scalar'"},
        {"a queue fills a value that was never written",
         peek_stack(kQueue) + Insns{insn_load(BPF_DW, R0, R10, -8)} + leave()},
        {"a queue overwrites a value", value() + peek_stack(kQueue) + is_number(kValue, 7),
         Errno::Acces, "R1 invalid mem access 'scalar'"},
        {"a bloom filter leaves the value alone",
         value() + peek_stack(kBloom) + is_number(kValue, 7)},
        {"a bloom filter leaves zeros alone", value() + peek_stack(kBloom) + is_number(-8, 0)},
        {"a bloom filter leaves a pointer alone",
         value() + spilled_pointer + peek_stack(kBloom) + follow},
        {"a queue overwrites a pointer", value() + spilled_pointer + peek_stack(kQueue) + follow,
         Errno::Acces, "R6 invalid mem access 'scalar'"},
        {"a look-up leaves the key alone", value() + lookup_by(kValue) + is_number(kValue, 7)},
        {"a read-only value for a bloom filter", peek_value(kBloom, kReadOnly)},
        {"a read-only value for a queue", peek_value(kQueue, kReadOnly), Errno::Acces,
         "write into map forbidden, value_size=48 off=0 size=48"},
        {"a write-only value for a bloom filter", peek_value(kBloom, kWriteOnly), Errno::Acces,
         "read from map forbidden, value_size=48 off=0 size=48"},
        {"a write-only value for a queue", peek_value(kQueue, kWriteOnly)},
    };
}

}  // namespace barebpf::test
