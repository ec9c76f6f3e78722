// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: there is one caller, and it may do everything.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

struct Cred {
    static bool capable(u8 capability);
    static bool unprivileged_bpf_disabled();
    static u32 uid();
    static u32 tgid();
    static u32 pid();
    static void comm(char* out16);
};

}  // namespace barebpf::backend
