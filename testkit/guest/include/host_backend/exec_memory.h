// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: pages of the `programs` window (testkit/guest/layout.h), read and execute there; while a
// program is written, its pages have a second, writable address (testkit/guest/exec_memory.cc).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

struct ExecMemory {
    static bool reserve(u32 size, u8** exec, u8** write);
    static bool publish(u8* exec, u8* write, u32 size);
    static void free(u8* exec, u8* write, u32 size);
    static bool reachable(const void* address);
};

}  // namespace barebpf::backend
