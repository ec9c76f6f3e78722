// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Who wants to see each bpf(2) call of this process with its result, before the caller does (barebpf pack).
#pragma once

#include "kernel/host/cpu.h"
#include "kernel/lib/types.h"

namespace barebpf::preload {

// Called on the caller's thread, outside of the library; may call bpf(2) itself, must not throw.
using Observer = void (*)(u32 command, u64 attr, u32 size, long result);
extern Observer observer BAREBPF_HIDDEN;  // null: nobody

}  // namespace barebpf::preload
