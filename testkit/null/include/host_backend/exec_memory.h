// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: executable memory.
#pragma once

#include "kernel/lib/types.h"

extern "C" {
bool host_exec_reserve(barebpf::u32 size, barebpf::u8** exec, barebpf::u8** write);
bool host_exec_publish(barebpf::u8* exec, barebpf::u8* write, barebpf::u32 size);
void host_exec_free(barebpf::u8* exec, barebpf::u8* write, barebpf::u32 size);
bool host_exec_reachable(const void* address);
}

namespace barebpf::backend {

struct ExecMemory {
    static bool reserve(u32 size, u8** exec, u8** write) {
        return host_exec_reserve(size, exec, write);
    }
    static bool publish(u8* exec, u8* write, u32 size) {
        return host_exec_publish(exec, write, size);
    }
    static void free(u8* exec, u8* write, u32 size) { host_exec_free(exec, write, size); }
    static bool reachable(const void* address) { return host_exec_reachable(address); }
};

}  // namespace barebpf::backend
