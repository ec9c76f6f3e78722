// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: a CPU's first steps in C++, and how it starts the others.
//
// A CPU is started by INIT and start-up IPIs (SDM vol. 3, 8.4.4.1), comes through boot.S, takes what it needs from
// guest_x86_starting and clears it: one CPU is started at a time.
#include "testkit/guest/x86/x86.h"

namespace barebpf::guest::arch {

namespace {

struct Starting {
    Atomic<CpuArea*> area;
    u64 root;
    u64 stack;
};
static_assert(offsetof(Starting, area) == STARTING_AREA &&
              offsetof(Starting, root) == STARTING_ROOT &&
              offsetof(Starting, stack) == STARTING_STACK);

constexpr u32 kMsrGsBase = 0xc0000101;
constexpr u64 kMillisecond = 1000000;
constexpr u64 kStartTimeout = 5000 * kMillisecond;
constexpr u64 kStartRetry = 100 * kMillisecond;
constexpr u64 kInitDelay = kMillisecond / 10;

// For faults before the guest kernel has stacks.
alignas(16) u8 early_stack[kTrapStackBytes];

void set_area(CpuArea* area, X86Cpu* cpu) {
    area->self = area;
    area->arch = cpu;
    write_msr(kMsrGsBase, reinterpret_cast<u64>(area));
}

void wait(u64 ns) {
    const u64 begin = clock_ns();
    while (clock_ns() - begin < ns) host::spin_hint();
}

}  // namespace
}  // namespace barebpf::guest::arch

extern "C" {
// boot.S reads it.
extern barebpf::guest::arch::Starting guest_x86_starting;
constinit barebpf::guest::arch::Starting guest_x86_starting{};
}

namespace barebpf::guest::arch {

void early_init(u64) {
    X86Cpu* cpu = &x86_cpus[0];
    for (u64& top : cpu->trap_stacks) top = reinterpret_cast<u64>(early_stack) + kTrapStackBytes;
    build_vectors();
    load_descriptors(cpu);
    set_area(&cpu_areas[0], cpu);
    mask_legacy_interrupts();
}

void init_cpu(CpuArea* area) {
    X86Cpu* cpu = &x86_cpus[area->id];
    for (u32 i = 0; i < kTrapStacks; ++i) cpu->trap_stacks[i] = area->trap_stack_top[i];
    load_descriptors(cpu);
    set_area(area, cpu);
    init_apic();
    area->hardware_id = apic_id();
    if (area->id == 0) init_clock();
    begin_chores(cpu);
}

bool start_cpu(CpuArea* area) {
    if (area->id >= apic_id_count) return false;
    const u32 apic = apic_ids[area->id];
    guest_x86_starting.root = read_cr3();
    guest_x86_starting.stack = area->stack_top;
    guest_x86_starting.area.store(area, Order::Release);  // read by boot.S after the start-up IPI
    send_init(apic);
    wait(kInitDelay);
    const u64 begin = clock_ns();
    for (u64 next = begin; guest_x86_starting.area.load(Order::Acquire) != nullptr;) {
        const u64 now = clock_ns();
        if (now - begin > kStartTimeout) return false;
        if (now >= next) {
            send_startup(apic);  // a CPU that runs already does not mind
            next = now + kStartRetry;
        }
        host::spin_hint();
    }
    return true;
}

void call_on_stack(u64 stack_top, void (*function)()) {
    // A call's stack: RSP + 8 is a multiple of 16 at the function's first instruction. RBP 0 ends the dumps.
    asm volatile(
        "movq %0, %%rsp\n\t"
        "xorl %%ebp, %%ebp\n\t"
        "pushq $0\n\t"
        "jmp *%1" ::"r"(stack_top & ~u64{15}),
        "r"(function)
        : "memory");
    __builtin_unreachable();
}

}  // namespace barebpf::guest::arch
