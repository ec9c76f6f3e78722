// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: the way that the code which runs here was called.
//
// A trace is a list of return addresses, innermost first. walk_stack() gives those of the code that calls
// it, from the return address of the function that it is expanded in; walk_user_stack() those of the
// program in user space that entered the kernel on this CPU, none where there is none or the host cannot
// tell. The innermost `skip` are left out, at most `capacity` are written; the result is how many were
// seen, with those left out. Neither ever faults, whatever the stack looks like, and either may end early:
// where a caller keeps no frame pointer the trace ends with it, or leaves out callers.
//
// Context: any, NMI included.
#pragma once

#include <host_backend/stack_trace.h>

#include "kernel/lib/annotations.h"
#include "kernel/lib/concepts.h"
#include "kernel/lib/types.h"

namespace barebpf::host {

template <class S>
concept IsStackTrace = requires(const void* frame, u32 skip, u64* to, u32 capacity) {
    { S::walk(frame, skip, to, capacity) } -> SameAs<u32>;  // from the frame at that address
    { S::user_walk(skip, to, capacity) } -> SameAs<u32>;
};
static_assert(IsStackTrace<backend::StackTrace>);

// Expanded in the function whose callers are wanted: it keeps a frame pointer then.
ALWAYS_INLINE u32 walk_stack(u32 skip, u64* to, u32 capacity) {
    return backend::StackTrace::walk(__builtin_frame_address(0), skip, to, capacity);
}
inline u32 walk_user_stack(u32 skip, u64* to, u32 capacity) {
    return backend::StackTrace::user_walk(skip, to, capacity);
}

}  // namespace barebpf::host
