// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: frames of the test kernel, by frame pointers; there is no user space.
#pragma once

#include <host_backend/usercopy.h>

#include "testkit/common/frame_walk.h"

namespace barebpf::backend {

struct StackTrace {
    static u32 walk(const void* frame, u32 skip, u64* to, u32 capacity) {
        return walk_frames(frame, skip, to, capacity, UserCopy::read_nofault);
    }
    static u32 user_walk(u32, u64*, u32) { return 0; }
};

}  // namespace barebpf::backend
