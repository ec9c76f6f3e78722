// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: executable memory from a memfd that is mapped read+execute near the library's text;
// while a program is written, a second mapping of its pages is writable (testkit/user/exec_memory.cc).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

struct ExecMemory {
    static bool reserve(u32 size, u8** exec, u8** write);
    static bool publish(u8* exec, u8* write, u32 size);
    static void free(u8* exec, u8* write, u32 size);
    // A direct call of 32-bit displacement from exec memory reaches this address, and back.
    static bool reachable(const void* address);
};

}  // namespace barebpf::backend
