// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest: what each CPU keeps for itself. Found through a register (%gs on x86-64, TPIDR_EL1 on arm64);
// <guest_arch/cpu.h> has this_area(), this_cpu() and the interrupt flag, all inline.
#pragma once

#include <host_backend/atomic.h>

#include "kernel/lib/types.h"

namespace barebpf::guest {

struct CpuArea {
    // The first three are known to the assembly files by their offsets.
    CpuArea* self;          // 0
    u32 id;                 // 8: 0..kMaxGuestCpus - 1
    u32 nmi_depth;          // 12: NMIs, breakpoints and steps that this CPU is in
    u32 irq_depth;          // interrupts that this CPU is in
    u32 entered;            // depth of host::Cpu::Entry
    u32 pins;               // checked builds: Pin guards held
    u32 read_guards;        // checked builds: RCU read guards held
    u32 process_depth;      // RCU callbacks that may sleep, being run
    u64 stack_top;          // of the CPU's own stack
    u64 trap_stack_top[4];  // the machine's own order
    u64 hardware_id;        // APIC id, MPIDR
    void* arch;             // the machine's own per-CPU data (descriptor tables)

    // Others read these.
    alignas(64) backend::Atomic<u64> rcu_word;  // odd: inside the library (testkit/rcu/rcu.h)
    backend::Atomic<u32> online;
};

extern CpuArea cpu_areas[];  // kMaxGuestCpus
extern u32 cpu_count;        // that are online; fixed before any test runs

}  // namespace barebpf::guest
