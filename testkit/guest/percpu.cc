// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The CPUs' areas and stacks. Below each stack is a hole: who runs over its end faults.
#include "testkit/guest/address_space.h"
#include "testkit/guest/kernel.h"

namespace barebpf::guest {

// Constant: bring-up uses them before constructors run.
constinit CpuArea cpu_areas[kMaxGuestCpus]{};
u32 cpu_count = 1;
bool areas_ready = false;

u64 make_stack(u64 bytes) {
    const u64 address = address_space::map_new(pages_of(bytes));
    return address ? address + bytes : 0;
}

bool prepare_area(u32 cpu) {
    CpuArea& area = cpu_areas[cpu];
    area.self = &area;
    area.id = cpu;
    area.stack_top = make_stack(kStackBytes);
    if (!area.stack_top) return false;
    for (u64& top : area.trap_stack_top) {
        top = make_stack(kTrapStackBytes);
        if (!top) return false;
    }
    return true;
}

}  // namespace barebpf::guest
