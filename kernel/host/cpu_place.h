// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: where compiled programs find the number of the CPU that they run on.
//
// A backend that keeps it in memory at a fixed distance from what the architecture's thread pointer
// holds says so by `static CpuIdPlace Cpu::id_place()`; the compilers then read it in one instruction.
// One that does not is asked through cpu_id(): programs call the helper.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::host {

enum class CpuIdBase : u8 {
    None,    // there is no such place
    Thread,  // the thread pointer of user space: x86-64 FS base, arm64 TPIDR_EL0
    Kernel,  // that of a kernel: x86-64 GS base, arm64 TPIDR_EL1
};

// A u32 at base + offset, the same offset on every CPU and thread.
struct CpuIdPlace {
    CpuIdBase base = CpuIdBase::None;
    s32 offset = 0;
};

}  // namespace barebpf::host
