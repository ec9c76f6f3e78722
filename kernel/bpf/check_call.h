// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the files that check helper calls share.
//
//   check_call.cc      the call as a whole: may it be made, what it does to registers, its result
//   check_args.cc      one argument against the prototype
//   check_memory.cc    memory that is handed over: helpers and global functions
//   check_call_map.cc  which helper goes with which map, and what is remembered of the map
//   check_callback.cc  helpers that call a function of the program
//   check_lock.cc      locks in map values
//   check_dynptr.cc    dynptrs on the stack
#pragma once

#include "kernel/bpf/verifier.h"

namespace barebpf {

// A helper as the log names it: bpf_map_lookup_elem#1.
struct HelperRef {
    u32 id;
};
void append_to(TextBuffer& out, HelperRef helper);

// The prototype that the program's type offers, or null.
const HelperProto* find_helper(const VerifierEnv& env, u32 id);

// What one call's arguments say together, filled argument by argument.
struct HelperCall {
    const HelperProto* proto;
    u32 id;
    Map* map = nullptr;
    u32 alloc_size = 0;   // ConstAllocSize
    u32 release_ref = 0;  // ReferenceToRelease, RingDynptrRelease
    // The Dynptr argument.
    u32 dynptr_id = 0;
    bool dynptr_is_reference = false;
    // Memory that the helper fills. Stack becomes initialised only after all arguments were checked:
    // they may overlap.
    struct Fill {
        u32 regno;
        u32 size;
    };
    Fill fills[2];
    u32 fill_count = 0;
};

Result<void> check_helper_arg(VerifierEnv& env, HelperCall& call, u32 index);
Result<void> check_helper_map(VerifierEnv& env, HelperCall& call);
// Queues a round of the callback; the running path goes on behind the call.
Result<void> check_callback(VerifierEnv& env, const HelperCall& call);
// The lock that a register points to.
Result<void> check_spin_lock(VerifierEnv& env, u32 regno);
Result<void> check_spin_unlock(VerifierEnv& env, u32 regno);
// Arguments of the dynptr types.
Result<void> check_dynptr_arg(VerifierEnv& env, HelperCall& call, ArgType type, u32 regno);
// A callback's argument.
void mark_reg_dynptr(VerifierEnv& env, RegState& reg);
// [off, off + size) of a frame, which a helper is about to fill, holds no dynptr.
Result<void> check_no_dynptr(VerifierEnv& env, const FuncState& frame, s64 off, s64 size);
// A format that is constant against the number of values it is given (bpf_snprintf).
Result<void> check_constant_format(VerifierEnv& env, u32 format_regno, u32 size_regno);

// Memory that is handed over. Read: all of it may be read; Fill: it may be written, and the receiver
// writes all; ReadWrite: it may be read and written.
enum class Handover : u8 { Read, Fill, ReadWrite };
struct MemoryArg {
    u32 regno;
    u64 size;
    bool zero_size_allowed;
    Handover how;
    bool packet_allowed;  // the receiver can deal with pointers into the packet
};
// Fill leaves a stack's contents as they are: mark_filled() afterwards.
Result<void> check_memory_arg(VerifierEnv& env, const MemoryArg& arg);
Result<void> mark_filled(VerifierEnv& env, u32 regno, u32 size);
bool is_null_scalar(const RegState& reg);

}  // namespace barebpf
