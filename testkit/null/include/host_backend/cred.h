// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: credentials of the caller.
#pragma once

#include "kernel/lib/types.h"

extern "C" {
bool host_capable(barebpf::u8 capability);
bool host_unprivileged_bpf_disabled();
barebpf::u32 host_uid();
barebpf::u32 host_tgid();
barebpf::u32 host_pid();
void host_comm(char* out16);
}

namespace barebpf::backend {

struct Cred {
    static bool capable(u8 capability) { return host_capable(capability); }
    static bool unprivileged_bpf_disabled() { return host_unprivileged_bpf_disabled(); }
    static u32 uid() { return host_uid(); }
    static u32 tgid() { return host_tgid(); }
    static u32 pid() { return host_pid(); }
    static void comm(char* out16) { host_comm(out16); }
};

}  // namespace barebpf::backend
