// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: return addresses.
#pragma once

#include "kernel/lib/types.h"

extern "C" {
barebpf::u32 host_stack_walk(const void* frame, barebpf::u32 skip, barebpf::u64* to,
                             barebpf::u32 capacity);
barebpf::u32 host_stack_walk_user(barebpf::u32 skip, barebpf::u64* to, barebpf::u32 capacity);
}

namespace barebpf::backend {

struct StackTrace {
    static u32 walk(const void* frame, u32 skip, u64* to, u32 capacity) {
        return host_stack_walk(frame, skip, to, capacity);
    }
    static u32 user_walk(u32 skip, u64* to, u32 capacity) {
        return host_stack_walk_user(skip, to, capacity);
    }
};

}  // namespace barebpf::backend
