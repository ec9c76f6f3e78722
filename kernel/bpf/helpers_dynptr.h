// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Dynptrs at run time: where memory is and how long. What a program may do with one is
// check_dynptr.cc's; here null data means that there is nothing behind it (a reservation failed, or
// arguments were wrong), which every helper takes for an answer.
//
// Contexts: any in which a program runs.
#pragma once

#include "kernel/bpf/helpers.h"
#include "kernel/lib/result.h"

namespace barebpf {

// What lies in a program's 16 bytes of stack; nobody but helpers looks at them.
struct Dynptr {
    u8* data;  // null: none
    u32 size;
    u32 reserved;
};
static_assert(sizeof(Dynptr) == sizeof(bpf_dynptr));

inline constexpr u32 kMaxDynptrSize = (1u << 24) - 1;

inline void clear_dynptr(Dynptr* dynptr) {
    *dynptr = {nullptr, 0, 0};
}
inline void set_dynptr(Dynptr* dynptr, void* data, u32 size) {
    *dynptr = {static_cast<u8*>(data), size, 0};
}

// dynptr_from_mem, dynptr_read, dynptr_write, dynptr_data; or null.
const HelperProto* dynptr_helper_proto(u32 func_id);

}  // namespace barebpf
