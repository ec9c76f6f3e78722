// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: a process has one stack, that of the thread: the library's frames and those of the program
// that called it. It is the answer for user space; the kernel's is the same.
#pragma once

#include <host_backend/usercopy.h>

#include "kernel/lib/annotations.h"
#include "testkit/common/frame_walk.h"

namespace barebpf::backend {

struct StackTrace {
    static u32 walk(const void* frame, u32 skip, u64* to, u32 capacity) {
        return walk_frames(frame, skip, to, capacity, UserCopy::read_nofault);
    }
    static NOINLINE u32 user_walk(u32 skip, u64* to, u32 capacity) {
        return walk(__builtin_frame_address(0), skip, to, capacity);
    }
};

}  // namespace barebpf::backend
