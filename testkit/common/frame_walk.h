// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Return addresses by frame pointers, for backends on machines where a frame pointer points to the
// caller's and the return address stands behind it: x86-64 and arm64.
//
//     frame ──> [ caller's frame | return address ]
//                     └──> [ its caller's frame | return address ] ──> ...   addresses grow
//
// Every record is read by whoever catches faults. A frame that does not lie above the one before, is not
// aligned, or is further away than a stack is large, is none: where a function keeps something else in
// the register, the walk ends.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

// read(to, from, size): false when a byte could not be read.
template <class Read>
u32 walk_frames(const void* frame, u32 skip, u64* to, u32 capacity, Read read) {
    constexpr u64 kLargestStack = u64{8} << 20;
    u64 at = reinterpret_cast<u64>(frame);
    u32 count = 0;
    while (count < skip + capacity) {
        u64 record[2];
        if (at % sizeof(u64) || !read(record, at, sizeof record) || !record[1]) break;
        if (count >= skip) to[count - skip] = record[1];
        ++count;
        if (record[0] <= at || record[0] - at > kLargestStack) break;
        at = record[0];
    }
    return count;
}

}  // namespace barebpf::backend
