// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the verifier asks of a program's BTF, as a table of functions: who loads programs hands in the
// one over btf.h, tests their own. Strings live as long as the BTF.
#pragma once

#include "kernel/lib/result.h"
#include "kernel/lib/types.h"

namespace barebpf {

struct Btf;

// BTF_KIND_FUNC and what its prototype says.
struct BtfFunction {
    const char* name;
    u32 proto_id;
    bool is_global;       // linkage BTF_FUNC_GLOBAL
    bool returns_number;  // an integer of at most 8 bytes or an enum, behind typedefs
};

// A parameter, behind modifiers and typedefs.
struct BtfArgument {
    enum class Kind : u8 {
        Number,   // an integer of at most 8 bytes or an enum
        Pointer,  // name, size and kind_name are those of what it points to
        Other,
    };
    Kind kind;
    const char* name;       // "" without
    const char* kind_name;  // "STRUCT"
    u64 size;               // bytes; 0: it has none
};

struct VerifierBtf {
    Result<Btf*> (*get_by_fd)(int fd);  // counted; BadF, Inval
    void (*put)(Btf* btf);
    Result<BtfFunction> (*function)(const Btf* btf, u32 type_id);  // Inval: not a function
    // How many parameters a prototype has; the first `room` of them are described.
    Result<u32> (*arguments)(const Btf* btf, u32 proto_id, BtfArgument* out, u32 room);
    const char* (*string)(const Btf* btf, u32 offset);  // null: no such string
};

// Over btf.h.
extern const VerifierBtf kVerifierBtf;

}  // namespace barebpf
