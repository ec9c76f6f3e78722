// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helpers: what a program may call, with which arguments. The verifier holds calls against the prototype,
// the fix-ups replace the id by the function, and both engines call it with full registers.
//
// A prototype is data; a program type's table (context.h) says which ids it offers. Names, numbers and
// semantics are those of bpf-helpers(7).
#pragma once

#include "kernel/bpf/prog.h"

namespace barebpf {

enum class ArgType : u8 {
    None,      // no such argument
    Anything,  // any initialised register; never a pointer from unprivileged programs
    Ctx,       // the program's context, unmodified
    CtxOrNull,
    ConstMap,  // a map known when the program is verified; later arguments refer to it
    MapKey,    // readable memory of the map's key_size
    MapValue,  // readable memory of the map's value_size
    MapValueOrNull,
    UninitMapValue,  // memory of value_size that the helper fills
    Mem,             // readable memory; the next argument is its size
    MemOrNull,       // the same, or null with size 0
    UninitMem,       // memory that the helper fills; the next argument is its size
    UninitMemOrNull,
    FixedMem,        // readable memory of a size the prototype gives (fixed_size)
    FixedUninitMem,  // memory of fixed_size that the helper fills
    Size,            // bytes of the memory before; not 0
    SizeOrZero,
    ConstAllocSize,      // a constant: the size of what is returned (ringbuf_reserve, dynptr_data)
    SpinLock,            // a bpf_spin_lock in a map value
    Timer,               // a bpf_timer in a map value
    ConstString,         // a NUL-terminated string in a frozen, read-only map value
    Callback,            // a static subprogram
    StackPointerOrNull,  // context of a callback
    ReferenceToRelease,  // an object acquired before (ringbuf record); gone afterwards
    Dynptr,              // an initialised dynptr: on the stack, or a callback's
    LocalDynptrUninit,   // room for one on the stack: the helper makes it, of memory
    RingDynptrUninit,    // the same, of a reservation in a ring buffer
    RingDynptrRelease,   // one of the latter; gone afterwards
};

enum class RetType : u8 {
    Integer,
    Void,
    MapValueOrNull,  // a value of the ConstMap argument
    MapValue,
    MemOrNull,        // of ConstAllocSize bytes; an acquired reference
    FixedMemOrNull,   // of fixed_size bytes
    DynptrMemOrNull,  // of ConstAllocSize bytes, as long as the Dynptr argument is there
};

struct HelperProto {
    const char* name;      // without the bpf_ prefix, as in the log: "bpf_map_lookup_elem#1"
    BpfFunction function;  // null: no function stands behind it (tail_call)
    RetType ret;
    ArgType args[5];
    bool gpl_only = false;
    bool privileged = false;           // not offered to unprivileged programs
    bool packet_access = false;        // may be handed pointers into the packet
    bool changes_packet_data = false;  // every packet pointer is void afterwards
    u32 fixed_size = 0;
};

// Seeds the per-CPU generators of bpf_get_prandom_u32; when the world is made.
void seed_prandom();

// The prototype of a helper that every program type offers, or null.
const HelperProto* base_helper_proto(u32 func_id);
// "map_lookup_elem" for 1; "unknown" beyond the last one.
const char* helper_name(u32 func_id);

}  // namespace barebpf
