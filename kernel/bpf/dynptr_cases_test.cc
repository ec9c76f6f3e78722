// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/ring_cases_test.h"

namespace barebpf::test {
namespace {

constexpr u8 R0 = 0, R1 = 1, R2 = 2, R3 = 3, R4 = 4, R5 = 5, R6 = 6, R7 = 7, R8 = 8, R10 = 10;

// The programs' dynptrs: bytes fp-16 to fp-1 and fp-32 to fp-17; other bytes are below.
constexpr s32 kFirst = -16, kSecond = -32;
constexpr s32 kElsewhere = -64;

Insns ring_at(const Insns& place, s32 bytes = 16) {
    return load_map(R1, kRing) + Insns{insn_mov_imm(R2, bytes), insn_mov_imm(R3, 0)} + place +
           Insns{helper_call(BPF_FUNC_ringbuf_reserve_dynptr)};
}
Insns ring(s32 off = kFirst) {
    return ring_at(stack_address(R4, off));
}
Insns local_of(const Insns& data, s32 bytes, const Insns& place) {
    return data + Insns{insn_mov_imm(R2, bytes), insn_mov_imm(R3, 0)} + place +
           Insns{helper_call(BPF_FUNC_dynptr_from_mem)};
}
Insns local(s32 off = kFirst) {
    return local_of(load_value(R1, kArray, 0), 48, stack_address(R4, off));
}
Insns end_at(const Insns& place, s32 helper) {
    return place + Insns{insn_mov_imm(R2, 0), helper_call(helper)};
}
Insns submit(s32 off = kFirst) {
    return end_at(stack_address(R1, off), BPF_FUNC_ringbuf_submit_dynptr);
}
Insns discard(s32 off = kFirst) {
    return end_at(stack_address(R1, off), BPF_FUNC_ringbuf_discard_dynptr);
}
Insns read_from(const Insns& place, s32 to = kElsewhere) {
    return stack_address(R1, to) + Insns{insn_mov_imm(R2, 8)} + place +
           Insns{insn_mov_imm(R4, 0), insn_mov_imm(R5, 0), helper_call(BPF_FUNC_dynptr_read)};
}
Insns read(s32 off = kFirst, s32 to = kElsewhere) {
    return read_from(stack_address(R3, off), to);
}
Insns write(s32 off = kFirst) {
    return Insns{zero_slot(kElsewhere)} + stack_address(R1, off) + Insns{insn_mov_imm(R2, 0)} +
           stack_address(R3, kElsewhere) +
           Insns{insn_mov_imm(R4, 8), insn_mov_imm(R5, 0), helper_call(BPF_FUNC_dynptr_write)};
}
Insns data_of(const Insns& place, s32 bytes = 8) {
    return place +
           Insns{insn_mov_imm(R2, 0), insn_mov_imm(R3, bytes), helper_call(BPF_FUNC_dynptr_data)};
}
Insns data(s32 off = kFirst, s32 bytes = 8) {
    return data_of(stack_address(R1, off), bytes);
}
// R6 = 8 bytes of it; what is done if there are none must have 5 instructions at most.
Insns slice(s32 off, const Insns& without) {
    return data(off) + Insns{insn_jump_imm(BPF_JNE, R0, 0, s16(without.size()))} + without +
           Insns{insn_mov(R6, R0)};
}
Insns number() {
    return {helper_call(BPF_FUNC_ktime_get_ns)};
}
Insns use(u8 reg, s16 off = 0) {
    return {insn_store_imm(BPF_B, reg, off, 1)};
}
// One way or the other, by a number that nothing is known about.
Insns either(const Insns& first, const Insns& second) {
    return number() + Insns{insn_jump_imm(BPF_JEQ, R0, 7, s16(first.size() + 1))} + first +
           Insns{insn_goto(s16(second.size()))} + second;
}
Insns loop(s32 rounds, s32 function) {
    return Insns{insn_mov_imm(R1, rounds)} + function_address(R2, function) +
           stack_address(R3, kFirst) + Insns{insn_mov_imm(R4, 0), helper_call(BPF_FUNC_loop)};
}
Insns back() {
    return leave();
}

constexpr const char* kInitialised = "Expected an initialized dynptr as arg #";
constexpr const char* kReferenced = "cannot overwrite referenced dynptr";
constexpr const char* kLeaked = "Unreleased reference id=";
constexpr const char* kUnacquired = "arg 1 is an unacquired reference";

void add(std::vector<RingCase>& cases, const std::vector<RingCase>& more) {
    cases.insert(cases.end(), more.begin(), more.end());
}

void add_life(std::vector<RingCase>& cases) {
    add(cases,
        {
            {"submitted", ring() + write() + submit() + leave()},
            {"discarded", ring() + discard() + leave()},
            {"leaked", ring() + leave(), Errno::Inval, kLeaked},
            {"leaked where it failed",
             ring() + Insns{insn_jump_imm(BPF_JNE, R0, 0, s16(submit().size()))} + submit() +
                 leave(),
             Errno::Inval, kLeaked},
            {"submitted twice", ring() + submit() + submit() + leave(), Errno::Inval, kUnacquired},
            {"submitted, then discarded", ring() + submit() + discard() + leave(), Errno::Inval,
             kUnacquired},
            {"never there", submit() + leave(), Errno::Inval, kUnacquired},
            {"memory submitted", local() + submit() + leave(), Errno::Inval, kUnacquired},
            {"memory left", local() + read() + write() + leave()},
            {"read after submit", ring() + submit() + read() + leave(), Errno::Inval, kInitialised},
            {"written after discard", ring() + discard() + write() + leave(), Errno::Inval,
             kInitialised},
            {"never there, read", read() + leave(), Errno::Inval, kInitialised},
            {"bytes, read", Insns{zero_slot(-16), zero_slot(-8)} + read() + leave(), Errno::Inval,
             kInitialised},
            {"two, out of order",
             ring() + ring(kSecond) + submit() + read(kSecond) + discard(kSecond) + leave()},
            {"two, one leaked", ring() + ring(kSecond) + submit() + leave(), Errno::Inval, kLeaked},
            {"the place again", ring() + submit() + ring() + read() + submit() + leave()},
            {"a tail call meanwhile",
             Insns{insn_mov(R6, R1)} + ring() + Insns{insn_mov(R1, R6)} + load_map(R2, kProgs) +
                 Insns{insn_mov_imm(R3, 0), helper_call(BPF_FUNC_tail_call)} + submit() + leave(),
             Errno::Inval, "tail_call would lead to reference leak"},
            {"LD_ABS meanwhile",
             Insns{insn_mov(R6, R1)} + ring() + first_byte() + submit() + leave(), Errno::Inval,
             "BPF_LD_[ABS|IND] would lead to reference leak"},
            {"LD_IND after submit",
             Insns{insn_mov(R6, R1)} + ring() + submit() + first_byte_by(R7) + leave()},
            {"any size",
             number() + load_map(R1, kRing) + Insns{insn_mov(R2, R0), insn_mov_imm(R3, 0)} +
                 stack_address(R4, kFirst) + Insns{helper_call(BPF_FUNC_ringbuf_reserve_dynptr)} +
                 submit() + leave()},
            {"in an array",
             load_map(R1, kArray) + Insns{insn_mov_imm(R2, 8), insn_mov_imm(R3, 0)} +
                 stack_address(R4, kFirst) + Insns{helper_call(BPF_FUNC_ringbuf_reserve_dynptr)} +
                 submit() + leave(),
             Errno::Inval, "cannot pass map_type 2 into func bpf_ringbuf_reserve_dynptr#198"},
        });
}

void add_places(std::vector<RingCase>& cases) {
    const Insns somewhere = number() + Insns{alu_imm(BPF_AND, R0, 8), insn_mov(R7, R0)};
    add(cases,
        {
            {"at half a slot", ring(-20) + leave(), Errno::Inval,
             "cannot pass in dynptr at an offset=-20"},
            {"too high", ring(-8) + leave(), Errno::Inval, "cannot pass in dynptr at an offset=-8"},
            {"at the frame's end", ring(0) + leave(), Errno::Inval,
             "cannot pass in dynptr at an offset=0"},
            {"too low", ring(-520) + leave(), Errno::Acces,
             "invalid write to stack R4 off=-520 size=8"},
            {"lowest", ring(-512) + submit(-512) + leave()},
            {"somewhere",
             somewhere + ring_at(stack_address(R4, -32) + Insns{alu_reg(BPF_ADD, R4, R7)}) +
                 leave(),
             Errno::Inval, "dynptr has to be at a constant offset"},
            {"read at half a slot", local() + read(-12) + leave(), Errno::Inval,
             "cannot pass in dynptr at an offset=-12"},
            {"read at its second half", local(-24) + read(-16) + leave(), Errno::Inval,
             kInitialised},
            {"read before it", local(-16) + read(-24) + leave(), Errno::Inval, kInitialised},
            {"read somewhere",
             somewhere + local(-32) +
                 read_from(stack_address(R3, -32) + Insns{alu_reg(BPF_ADD, R3, R7)}) + leave(),
             Errno::Inval, "dynptr has to be at a constant offset"},
            {"submitted at its second half", ring(-24) + submit(-16) + leave(), Errno::Inval, ""},
            {"submitted before it", ring(-16) + submit(-24) + leave(), Errno::Inval, ""},
            {"in a map's value", ring_at(load_value(R4, kArray, 0)) + leave(), Errno::Acces,
             "R4 type=map_value expected=fp, dynptr_ptr"},
            {"read from a map's value", read_from(load_value(R3, kArray, 0)) + leave(),
             Errno::Acces, "R3 type=map_value expected=fp, dynptr_ptr"},
            {"a number", read_from({insn_mov_imm(R3, 0)}) + leave(), Errno::Acces,
             "R3 type=scalar expected=fp, dynptr_ptr"},
        });
}

void add_overwriting(std::vector<RingCase>& cases) {
    add(cases,
        {
            {"a reservation's first half", ring() + Insns{zero_slot(-16)} + submit() + leave(),
             Errno::Inval, kReferenced},
            {"a reservation's second half", ring() + Insns{zero_slot(-8)} + submit() + leave(),
             Errno::Inval, kReferenced},
            {"a byte of a reservation",
             ring() + Insns{insn_store_imm(BPF_B, R10, -3, 1)} + submit() + leave(), Errno::Inval,
             kReferenced},
            {"a register over a reservation",
             ring() + Insns{insn_store(BPF_DW, R10, -8, R10)} + submit() + leave(), Errno::Inval,
             kReferenced},
            {"somewhere over a reservation",
             number() + Insns{alu_imm(BPF_AND, R0, 7), insn_mov(R7, R0)} + ring() +
                 stack_address(R6, -16) + Insns{alu_reg(BPF_ADD, R6, R7)} + use(R6) + submit() +
                 leave(),
             Errno::Inval, kReferenced},
            {"a reservation over another", ring() + ring() + submit() + leave(), Errno::Inval,
             kReferenced},
            {"memory over a reservation", ring() + local() + leave(), Errno::Inval, kReferenced},
            {"a reservation over half of another", ring(-24) + ring(-16) + leave(), Errno::Inval,
             kReferenced},
            {"memory's first half", local() + Insns{zero_slot(-16)} + leave()},
            {"memory's first half, then read", local() + Insns{zero_slot(-16)} + read() + leave(),
             Errno::Inval, kInitialised},
            {"memory's second half, then read", local() + Insns{zero_slot(-8)} + read() + leave(),
             Errno::Inval, kInitialised},
            {"a byte of memory's, then read",
             local() + Insns{insn_store_imm(BPF_B, R10, -3, 1)} + read() + leave(), Errno::Inval,
             kInitialised},
            {"memory's second half, then the first as bytes",
             local() + Insns{zero_slot(-8), insn_load(BPF_DW, R0, R10, -16)} + leave(),
             Errno::Acces,
             "invalid read from stack off -16+0 size 8",
             {},
             nullptr,
             Newer::Accepts},
            {"memory over memory", local() + local() + read() + leave()},
            {"a reservation over memory", local() + ring() + submit() + leave()},
            {"memory over half of memory, the new one",
             local(-24) + local(-16) + read(-16) + leave()},
            {"memory over half of memory, the old one",
             local(-24) + local(-16) + read(-24) + leave(), Errno::Inval, kInitialised},
            {"two halves that do not belong together",
             local(-32) + local(-16) + local(-24) + read(-32) + leave(), Errno::Inval,
             kInitialised},
            {"a helper over memory", local() + read(kFirst, kFirst) + leave(), Errno::Acces,
             "potential write to dynptr at off=-16 disallowed"},
            {"a helper over its second half", local() + read(kFirst, -8) + leave(), Errno::Acces,
             "potential write to dynptr at off=-8 disallowed"},
            {"a helper over another", ring() + local(kSecond) + read(kSecond, kFirst) + leave(),
             Errno::Acces, "potential write to dynptr at off=-16 disallowed"},
            {"loaded", local() + Insns{insn_load(BPF_DW, R0, R10, -16)} + leave(), Errno::Acces,
             "invalid read from stack off -16+0 size 8"},
            {"a byte loaded", local() + Insns{insn_load(BPF_B, R0, R10, -3)} + leave(),
             Errno::Acces, "invalid read from stack off -3+0 size 1"},
            {"handed over as memory",
             local() + load_map(R1, kRing) + stack_address(R2, -16) +
                 Insns{insn_mov_imm(R3, 16), insn_mov_imm(R4, 0),
                       helper_call(BPF_FUNC_ringbuf_output)} +
                 leave(),
             Errno::Acces,
             "invalid indirect read from stack R2 off -16+0 size 16",
             {},
             "invalid read from stack R2 off -16+0 size 16"},
        });
}

void add_slices(std::vector<RingCase>& cases) {
    const Insns out = leave();
    const Insns finish = submit() + leave();
    add(cases,
        {
            {"a slice", ring() + slice(kFirst, finish) + use(R6, 7) + submit() + leave()},
            {"a slice, one byte more",
             ring() + slice(kFirst, finish) + use(R6, 8) + submit() + leave(), Errno::Acces,
             "invalid access to memory, mem_size=8 off=8 size=1"},
            {"a slice, not compared", local() + data() + use(R0) + leave(), Errno::Acces,
             "R0 invalid mem access 'mem_or_null'"},
            {"no slice, and leaked", ring() + slice(kFirst, out) + submit() + leave(), Errno::Inval,
             kLeaked},
            {"a slice of any size",
             number() + Insns{insn_mov(R7, R0)} + local() + stack_address(R1, kFirst) +
                 Insns{insn_mov_imm(R2, 0), insn_mov(R3, R7), helper_call(BPF_FUNC_dynptr_data)} +
                 leave(),
             Errno::Acces, "R3 is not a known constant'"},
            {"a slice anywhere",
             number() + Insns{insn_mov(R7, R0)} + local() + stack_address(R1, kFirst) +
                 Insns{insn_mov(R2, R7), insn_mov_imm(R3, 8), helper_call(BPF_FUNC_dynptr_data),
                       insn_jump_imm(BPF_JEQ, R0, 0, 1)} +
                 use(R0, 7) + leave()},
            {"a slice of a size of 64 bits",
             local() + stack_address(R1, kFirst) +
                 Insns{insn_mov_imm(R2, 0), wide_low(R3, 0, 8), wide_high(1),
                       helper_call(BPF_FUNC_dynptr_data), insn_jump_imm(BPF_JEQ, R0, 0, 1)} +
                 use(R0, 8) + leave(),
             Errno::Acces, "invalid access to memory, mem_size=8 off=8 size=1"},
            {"a slice after submit", ring() + slice(kFirst, finish) + submit() + use(R6) + leave(),
             Errno::Acces, "R6 invalid mem access 'scalar'"},
            {"a slice on the stack after submit",
             ring() + slice(kFirst, finish) + Insns{insn_store(BPF_DW, R10, -40, R6)} + submit() +
                 Insns{insn_load(BPF_DW, R6, R10, -40)} + use(R6) + leave(),
             Errno::Acces, "R6 invalid mem access 'scalar'"},
            {"a slice of another after submit",
             ring() + ring(kSecond) + slice(kFirst, submit() + submit(kSecond) + leave()) +
                 submit(kSecond) + use(R6) + submit() + leave()},
            {"a slice that was not compared, after submit",
             ring() + data() + Insns{insn_mov(R6, R0)} + submit() +
                 Insns{insn_jump_imm(BPF_JEQ, R6, 0, 1)} + use(R6) + leave(),
             Errno::Acces, "R6 invalid mem access 'scalar'"},
            {"a slice submitted as a record",
             ring() + slice(kFirst, finish) + end_at({insn_mov(R1, R6)}, BPF_FUNC_ringbuf_submit) +
                 submit() + leave(),
             Errno::Acces,
             "R1 type=mem expected=alloc_mem",
             {},
             "R1 type=mem expected=ringbuf_mem"},
            {"a slice of memory, overwritten",
             local() + slice(kFirst, out) + Insns{zero_slot(-8)} + use(R6) + leave(), Errno::Acces,
             "R6 invalid mem access 'scalar'"},
            {"a slice of memory, made again",
             local() + slice(kFirst, out) + local() + use(R6) + leave(), Errno::Acces,
             "R6 invalid mem access 'scalar'"},
            {"a slice of memory, another made",
             local() + slice(kFirst, out) + local(kSecond) + use(R6) + leave()},
            {"a slice of nothing", data() + leave(), Errno::Inval, kInitialised},
            {"a slice of no bytes",
             local() + data(kFirst, 0) + Insns{insn_jump_imm(BPF_JEQ, R0, 0, 1)} + use(R0) +
                 leave(),
             Errno::Acces, "invalid access to memory, mem_size=0 off=0 size=1"},
        });
}

void add_memory(std::vector<RingCase>& cases) {
    const Insns at = stack_address(R4, kFirst);
    const Insns record =
        reserve_record(16) + Insns{insn_jump_imm(BPF_JNE, R0, 0, 1), insn_exit(), insn_mov(R1, R0)};
    add(cases, {
                   {"of the stack", local_of(stack_address(R1, kElsewhere), 8, at) + leave(),
                    Errno::Acces, "Unsupported reg type fp for bpf_dynptr_from_mem data"},
                   {"of a record",
                    local_of(record, 16, at) + leave(),
                    Errno::Acces,
                    "Unsupported reg type alloc_mem for bpf_dynptr_from_mem data",
                    {},
                    "Unsupported reg type ringbuf_mem for bpf_dynptr_from_mem data"},
                   {"of a number", local_of({insn_mov_imm(R1, 0)}, 0, at) + leave(), Errno::Acces,
                    "R1 type=scalar expected=fp, pkt"},
                   {"of more than the value", local_of(load_value(R1, kArray, 0), 49, at) + leave(),
                    Errno::Acces, "invalid access to map value, value_size=48 off=0 size=49"},
                   {"of the value's end", local_of(load_value(R1, kArray, 40), 8, at) + leave()},
                   {"of nothing", local_of(load_value(R1, kArray, 0), 0, at) + leave()},
                   {"of a value that is only read",
                    local_of(load_value(R1, kReadOnly, 0), 8, at) + leave(), Errno::Acces,
                    "write into map forbidden, value_size=48 off=0 size=8"},
                   {"of as many bytes as a number says",
                    number() + Insns{insn_mov(R7, R0), alu_imm(BPF_AND, R7, 31)} +
                        load_value(R1, kArray, 0) + Insns{insn_mov(R2, R7), insn_mov_imm(R3, 0)} +
                        at + Insns{helper_call(BPF_FUNC_dynptr_from_mem)} + read() + leave()},
               });
}

void add_ways(std::vector<RingCase>& cases) {
    const Insns three = {insn_mov_imm(R8, 3)};
    const auto again = [](const Insns& body) {
        return body + Insns{insn_add_imm(R8, -1),
                            insn_jump_imm(BPF_JNE, R8, 0, s16(-s32(body.size()) - 2))};
    };
    const Insns bytes = {zero_slot(-16), zero_slot(-8)};
    add(cases,
        {
            {"submitted or discarded", ring() + either(submit(), discard()) + leave()},
            {"submitted or not, then submitted", ring() + either(submit(), {}) + submit() + leave(),
             Errno::Inval, kUnacquired},
            {"not submitted or so, then submitted",
             ring() + either({}, submit()) + submit() + leave(), Errno::Inval, kUnacquired},
            {"there or not, then read", either(local(), bytes) + read() + leave(), Errno::Inval,
             kInitialised},
            {"not there or so, then read", either(bytes, local()) + read() + leave(), Errno::Inval,
             kInitialised},
            {"of one kind or the other, then read", either(local(), ring()) + read() + leave(),
             Errno::Inval, kLeaked},
            {"of one kind or the other, then submitted",
             either(ring(), local()) + submit() + leave(), Errno::Inval, kUnacquired},
            {"here or there", either(ring(), ring(kSecond)) + submit() + leave(), Errno::Inval,
             kUnacquired},
            {"there and here", either(ring(kSecond), ring()) + submit() + leave(), Errno::Inval,
             kUnacquired},
            {"one and another", either(ring(), ring()) + submit() + leave()},
            {"first or second bytes, then read",
             either(local(), local()) + Insns{zero_slot(kElsewhere)} + read() + leave()},
            {"bytes or one, then loaded",
             either(bytes, local()) + Insns{insn_load(BPF_DW, R0, R10, -16)} + leave(),
             Errno::Acces, "invalid read from stack off -16+0 size 8"},
            {"some bytes or one, then loaded",
             local(kSecond) + either(read(kSecond, kFirst), local()) +
                 Insns{insn_load(BPF_DW, R0, R10, -16)} + leave(),
             Errno::Acces, "invalid read from stack off -16+0 size 8"},
            {"one or the halves of two",
             either(local(-24), local(-32) + local(-16)) + read(-24) + leave(), Errno::Inval,
             kInitialised},
            {"two, and a slice of the one or the other",
             either(ring() + ring(kSecond) + data(), ring(kSecond) + ring() + data(kSecond)) +
                 Insns{insn_mov(R6, R0)} + submit(kSecond) +
                 Insns{insn_jump_imm(BPF_JEQ, R6, 0, 1)} + use(R6) + submit() + leave(),
             Errno::Acces, "R6 invalid mem access 'scalar'"},
            {"one a round", three + again(ring() + write() + submit()) + leave()},
            {"one a round, leaked", three + again(ring()) + leave(), Errno::Inval, kReferenced},
            {"the same each round", ring() + three + again(submit()) + leave(), Errno::Inval,
             kUnacquired},
            {"held during a loop", ring() + three + again(write()) + submit() + leave()},
        });
}

void add_functions(std::vector<RingCase>& cases) {
    const Insns pass = stack_address(R1, kFirst) + Insns{subprog_call(0)};
    const Insns submits =
        Insns{insn_mov_imm(R2, 0), helper_call(BPF_FUNC_ringbuf_submit_dynptr)} + back();
    const Insns makes = Insns{insn_mov(R6, R1)} + ring_at({insn_mov(R4, R6)}) + back();
    add(cases,
        {
            {"a function submits", ring() + pass + leave(), kAccepted, "", {submits}},
            {"a function submits, and then again",
             ring() + pass + submit() + leave(),
             Errno::Inval,
             kUnacquired,
             {submits}},
            {"a function makes it", pass + submit() + leave(), kAccepted, "", {makes}},
            {"a function makes it, leaked", pass + leave(), Errno::Inval, kLeaked, {makes}},
            {"a function keeps it",
             Insns{subprog_call(0)} + leave(),
             Errno::Inval,
             kLeaked,
             {ring() + back()}},
            {"a function has its own",
             ring() + Insns{subprog_call(0)} + submit() + leave(),
             kAccepted,
             "",
             {ring() + submit() + back()}},
            {"a function overwrites it",
             ring() + pass + submit() + leave(),
             Errno::Inval,
             kReferenced,
             {Insns{insn_store_imm(BPF_DW, R1, 8, 0)} + back()}},
            {"a function takes a slice",
             ring() + Insns{insn_store_imm(BPF_DW, R10, kElsewhere, 0)} + pass +
                 Insns{insn_mov(R6, R0), insn_jump_imm(BPF_JEQ, R6, 0, 1)} + use(R6) + submit() +
                 leave(),
             kAccepted,
             "",
             {data_of({}) + Insns{insn_exit()}}},
            {"one in each callback",
             Insns{zero_slot(kFirst)} + loop(9, 0) + leave(),
             kAccepted,
             "",
             {ring() + submit() + back()}},
            {"one left in each callback",
             Insns{zero_slot(kFirst)} + loop(9, 0) + leave(),
             Errno::Inval,
             kLeaked,
             {ring() + back()}},
            {"the caller's in callbacks",
             ring() + loop(9, 0) + submit() + leave(),
             Errno::Inval,
             "",
             {end_at({insn_mov(R1, R2)}, BPF_FUNC_ringbuf_submit_dynptr) + back()}},
            {"the caller's written in callbacks",
             ring() + loop(9, 0) + submit() + leave(),
             kAccepted,
             "",
             {Insns{zero_slot(-8), insn_mov(R1, R2), insn_mov_imm(R2, 0)} + stack_address(R3, -8) +
              Insns{insn_mov_imm(R4, 8), insn_mov_imm(R5, 0), helper_call(BPF_FUNC_dynptr_write)} +
              back()}},
        });
}

Insns drain(TestMap map, const Insns& context = stack_address(R3, kElsewhere)) {
    return Insns{zero_slot(kElsewhere)} + load_map(R1, map) + function_address(R2, 0) + context +
           Insns{insn_mov_imm(R4, 0), helper_call(BPF_FUNC_user_ringbuf_drain)};
}

void add_drain(std::vector<RingCase>& cases) {
    const Insns all = drain(kUserRing) + leave();
    const Insns sample = {insn_mov(R6, R1), insn_mov(R7, R2)};
    const Insns bytes = sample + data_of({}) + Insns{insn_jump_imm(BPF_JNE, R0, 0, 2)} + back();
    add(cases,
        {
            {"nothing done", all, kAccepted, "", {back()}},
            {"no context",
             drain(kUserRing, {insn_mov_imm(R3, 0)}) + leave(),
             kAccepted,
             "",
             {back()}},
            {"stops", all, kAccepted, "", {{insn_mov_imm(R0, 1), insn_exit()}}},
            {"returns two",
             all,
             Errno::Inval,
             "At callback return the register R0 has",
             {{insn_mov_imm(R0, 2), insn_exit()}}},
            {"returns anything",
             all,
             Errno::Inval,
             "At callback return the register R0 has",
             {number() + Insns{insn_exit()}}},
            {"reads", all, kAccepted, "", {sample + read_from({insn_mov(R3, R6)}) + back()}},
            {"reads into the context",
             all,
             kAccepted,
             "",
             {sample +
              Insns{insn_mov(R3, R1), insn_mov(R1, R2), insn_mov_imm(R2, 8), insn_mov_imm(R4, 0),
                    insn_mov_imm(R5, 0), helper_call(BPF_FUNC_dynptr_read)} +
              back()}},
            {"takes a slice", all, kAccepted, "", {bytes + use(R0, 7) + back()}},
            {"takes a slice, one byte more",
             all,
             Errno::Acces,
             "invalid access to memory, mem_size=8 off=8 size=1",
             {bytes + use(R0, 8) + back()}},
            {"takes a slice, not compared",
             all,
             Errno::Acces,
             "R0 invalid mem access 'mem_or_null'",
             {data_of({}) + use(R0) + back()}},
            {"leaves a slice to the caller",
             drain(kUserRing) +
                 Insns{insn_load(BPF_DW, R6, R10, kElsewhere), insn_jump_imm(BPF_JEQ, R6, 0, 1)} +
                 use(R6) + leave(),
             Errno::Acces,
             "invalid mem access 'scalar'",
             {bytes + Insns{insn_store(BPF_DW, R7, 0, R0)} + back()},
             nullptr,
             Newer::Refuses},
            {"loads from it",
             all,
             Errno::Acces,
             "R1 invalid mem access 'dynptr_ptr'",
             {Insns{insn_load(BPF_DW, R0, R1, 0)} + back()}},
            {"stores to it",
             all,
             Errno::Acces,
             "R1 invalid mem access 'dynptr_ptr'",
             {use(R1) + back()}},
            {"reads beyond it",
             all,
             Errno::Acces,
             "dereference of modified dynptr_ptr ptr R3 off=8 disallowed",
             {sample + read_from({insn_mov(R3, R6), insn_add_imm(R3, 8)}) + back()}},
            {"reads before it",
             all,
             Errno::Acces,
             "negative offset dynptr_ptr ptr R3 off=-16 disallowed",
             {sample + read_from({insn_mov(R3, R6), insn_add_imm(R3, -16)}) + back()}},
            {"submits it",
             all,
             Errno::Inval,
             "cannot release unowned const bpf_dynptr",
             {end_at({}, BPF_FUNC_ringbuf_submit_dynptr) + back()}},
            {"discards it",
             all,
             Errno::Inval,
             "cannot release unowned const bpf_dynptr",
             {end_at({}, BPF_FUNC_ringbuf_discard_dynptr) + back()}},
            {"reserves in it",
             all,
             Errno::Inval,
             "Dynptr has to be an uninitialized dynptr",
             {sample + ring_at({insn_mov(R4, R6)}) + back()}},
            {"makes it of memory",
             all,
             Errno::Inval,
             "Dynptr has to be an uninitialized dynptr",
             {sample + local_of(load_value(R1, kArray, 0), 8, {insn_mov(R4, R6)}) + back()}},
            {"hands it over as memory",
             all,
             Errno::Acces,
             "R2 type=dynptr_ptr expected=fp",
             {sample + load_map(R1, kRing) +
              Insns{insn_mov(R2, R6), insn_mov_imm(R3, 16), insn_mov_imm(R4, 0),
                    helper_call(BPF_FUNC_ringbuf_output)} +
              back()}},
            {"has no third argument",
             all,
             Errno::Acces,
             "R3 !read_ok",
             {Insns{insn_mov(R0, R3)} + back()}},
            {"leaves it to the caller",
             drain(kUserRing) +
                 Insns{insn_load(BPF_DW, R6, R10, kElsewhere), insn_jump_imm(BPF_JEQ, R6, 0, 9)} +
                 read_from({insn_mov(R3, R6)}, -8) + Insns{insn_goto()} + leave(),
             Errno::Acces,
             "R3 type=scalar expected=fp, dynptr_ptr",
             {Insns{insn_store(BPF_DW, R2, 0, R1)} + back()}},
            {"passes it on",
             all,
             kAccepted,
             "",
             {Insns{subprog_call(1)} + back(), sample + read_from({insn_mov(R3, R6)}) + back()}},
            {"has dynptrs of its own",
             all,
             kAccepted,
             "",
             {sample + ring() + read_from({insn_mov(R3, R6)}) + submit() + back()}},
            {"keeps one of its own", all, Errno::Inval, kLeaked, {ring() + back()}},
            {"of a ring that programs write",
             drain(kRing) + leave(),
             Errno::Inval,
             "cannot pass map_type 27 into func bpf_user_ringbuf_drain#209",
             {back()}},
            {"of an array",
             drain(kArray) + leave(),
             Errno::Inval,
             "cannot pass map_type 2 into func bpf_user_ringbuf_drain#209",
             {back()}},
        });
}

}  // namespace

std::vector<RingCase> dynptr_cases() {
    std::vector<RingCase> cases;
    add_life(cases);
    add_places(cases);
    add_overwriting(cases);
    add_slices(cases);
    add_memory(cases);
    add_ways(cases);
    add_functions(cases);
    return cases;
}

std::vector<RingCase> callback_cases() {
    std::vector<RingCase> cases;
    add_drain(cases);
    return cases;
}

}  // namespace barebpf::test
