// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: what entry.S saves of the code that a vector interrupted. The last five words are what the
// CPU itself pushed, in its order (SDM vol. 3, 6.14.2), and what IRETQ takes.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::guest {

struct alignas(16) Frame {
    u8 vectors[512];  // FXSAVE64
    u64 rax, rbx, rcx, rdx, rsi, rdi, rbp;
    u64 r8, r9, r10, r11, r12, r13, r14, r15;
    u64 vector;
    u64 error;  // 0 for vectors that have none
    u64 rip, cs, rflags, rsp, ss;
};

}  // namespace barebpf::guest
