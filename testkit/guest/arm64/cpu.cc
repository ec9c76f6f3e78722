// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: bringing CPUs up, by PSCI, and each CPU's own settings.
//
// Hardware facts: PSCI 1.1 (Arm DEN 0022): CPU_ON is function 0xc4000003 with target MPIDR, physical entry point
// and context (5.6); the device tree says whether by HVC or SMC. A CPU comes up with its caches off, so what it
// reads before its MMU is on must be in memory (DC CVAC). CPACR_EL1 and the rest of the start: boot.S.
#include <stddef.h>

#include "testkit/guest/arm64/internal.h"
#include "testkit/guest/arm64/machine.inc"

extern "C" {
void guest_secondary_start();
// The high half's table for CPUs that come up; read by boot.S with the MMU off.
barebpf::u64 guest_secondary_root;
}

namespace barebpf::guest {

static_assert(offsetof(CpuArea, stack_top) == AREA_STACK_TOP);
static_assert(offsetof(CpuArea, trap_stack_top) == AREA_TRAP_SYNC);
static_assert(offsetof(CpuArea, trap_stack_top) + 24 == AREA_TRAP_LAST);
static_assert(sizeof(CpuArea) <= AREA_BYTES);
static_assert(kStackBytes == u64{1} << STACK_SHIFT);
static_assert(kTrapStackBytes == u64{1} << TRAP_STACK_SHIFT);
static_assert(offsetof(Frame, sp) == FRAME_SP && offsetof(Frame, pc) == FRAME_PC);
static_assert(offsetof(Frame, fpsr) == FRAME_FPSR && offsetof(Frame, q) == FRAME_Q);
static_assert(offsetof(Frame, syndrome) == FRAME_SYNDROME);
static_assert(offsetof(Frame, record_fp) == FRAME_RECORD && sizeof(Frame) == FRAME_BYTES);
static_assert(kImageBase - arch::kImagePhysical == IMAGE_OFFSET);

namespace arch {

CpuData cpu_data[kMaxGuestCpus];

namespace {

constexpr u64 kCpuOn = 0xc4000003;
constexpr u64 kAffinity = 0xff00ffffff;  // of MPIDR_EL1

u64 physical_of(const void* image_address) {
    return reinterpret_cast<u64>(image_address) - kImageBase + kImagePhysical;
}

}  // namespace

s64 psci_call(u64 function, u64 a, u64 b, u64 c) {
    register u64 x0 asm("x0") = function;
    register u64 x1 asm("x1") = a;
    register u64 x2 asm("x2") = b;
    register u64 x3 asm("x3") = c;
    // SMCCC 1.1: x4 to x17 may be changed.
#define PSCI_CLOBBERS                                                                           \
    "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", \
        "memory"
    if (hardware.psci_by_smc)
        asm volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : PSCI_CLOBBERS);
    else
        asm volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : PSCI_CLOBBERS);
#undef PSCI_CLOBBERS
    return static_cast<s64>(x0);
}

void init_cpu(CpuArea* area) {
    WRITE_SYSREG(tpidr_el1, reinterpret_cast<u64>(area));
    isb();
    area->hardware_id = READ_SYSREG(mpidr_el1) & kAffinity;
    CpuData* data = &cpu_data[area->id];
    *data = {};
    data->over_slot = -1;
    area->arch = data;
    init_debug_cpu();
    init_gic_cpu(area);
    init_timer_cpu();
    // Open from here on: steps, system errors, FIQs. Interrupts are the guest kernel's to open.
    asm volatile("msr daifclr, #13" ::: "memory");
}

bool start_cpu(CpuArea* area) {
    if (area->id >= hardware.cpu_count) return false;
    guest_secondary_root = READ_SYSREG(ttbr1_el1);
    asm volatile("dc cvac, %0\n\tdsb sy" : : "r"(&guest_secondary_root) : "memory");
    u64 entry = physical_of(reinterpret_cast<const void*>(guest_secondary_start));
    area->hardware_id = hardware.cpu_ids[area->id];
    return psci_call(kCpuOn, area->hardware_id, entry, reinterpret_cast<u64>(area)) == 0;
}

}  // namespace arch
}  // namespace barebpf::guest
