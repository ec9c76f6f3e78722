// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: the registers of what was interrupted, as vectors.S stores and loads them.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::guest {

struct alignas(16) Frame {
    u64 x[31];     // 0: x29 is the frame pointer, x30 the return address
    u64 sp;        // 248
    u64 pc;        // 256: ELR_EL1
    u64 pstate;    // 264: SPSR_EL1
    u64 fpsr;      // 272
    u64 fpcr;      // 280
    u8 q[32][16];  // 288
    u64 syndrome;  // 800: ESR_EL1
    u64 address;   // 808: FAR_EL1
    u64 record_fp;  // 816: a frame record (AAPCS64 6.4.6), so that walking frame pointers leads from the
    u64 record_pc;  // 824: handler to what it interrupted
};
static_assert(sizeof(Frame) == 832);

}  // namespace barebpf::guest
