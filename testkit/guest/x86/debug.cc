// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: breakpoints and single steps (SDM vol. 3, 17.2, 17.3.1).
//
// DR0..DR3 hold addresses, DR7 arms them (bit 2n + 1: globally; type and length bits 0: an instruction), DR6
// tells which has been met (bits 0..3) or that a step is done (bit 14). A breakpoint on an instruction is a
// fault: RIP is still at it, and RFLAGS.RF in what IRETQ loads lets it through once (17.3.1.1). RFLAGS.TF is a
// trap after the next instruction; every vector clears both on entry.
//
// While a handler runs here, this CPU's DR7 is empty: a handler may use the very code that it breaks into.
#include "testkit/guest/x86/x86.h"

namespace barebpf::guest::arch {

namespace {

constexpr u32 kSlots = 4;
constexpr u64 kDr6Clear = 0xffff0ff0;
constexpr u64 kDr6Slots = 0xf;
constexpr u64 kDr6Step = 1 << 14;
constexpr u64 kDr7Clear = 1 << 10;  // a bit that is always 1
constexpr u64 kTrapFlag = 1 << 8;
constexpr u64 kResumeFlag = 1 << 16;

Atomic<u64> breakpoints[kSlots];  // 0: none

void write_dr7(u64 value) {
    asm volatile("movq %0, %%dr7" ::"r"(value) : "memory");
}

u64 take_dr6() {
    u64 value;
    asm volatile("movq %%dr6, %0" : "=r"(value));
    asm volatile("movq %0, %%dr6" ::"r"(kDr6Clear));
    return value;
}

u64 arm(u32 slot, u64 address) {
    switch (slot) {
        case 0:
            asm volatile("movq %0, %%dr0" ::"r"(address));
            break;
        case 1:
            asm volatile("movq %0, %%dr1" ::"r"(address));
            break;
        case 2:
            asm volatile("movq %0, %%dr2" ::"r"(address));
            break;
        default:
            asm volatile("movq %0, %%dr3" ::"r"(address));
            break;
    }
    return address ? u64{2} << (2 * slot) : 0;
}

}  // namespace

void load_breakpoints(X86Cpu* cpu) {
    write_dr7(kDr7Clear);
    if (cpu->debug_depth) return;  // the trap's end loads them
    u64 control = kDr7Clear;
    for (u32 i = 0; i < kSlots; ++i) control |= arm(i, breakpoints[i].load(Order::Relaxed));
    write_dr7(control);
}

void debug_trap(Frame* frame) {
    X86Cpu* cpu = &this_x86();
    CpuArea* area = this_area();
    const u64 reason = take_dr6();
    ++cpu->debug_depth;
    write_dr7(kDr7Clear);
    ++area->nmi_depth;
    if (reason & kDr6Step) on_step(frame);
    if (reason & kDr6Slots) {
        on_breakpoint(frame);
        frame->rflags |= kResumeFlag;
    }
    --area->nmi_depth;
    --cpu->debug_depth;
    load_breakpoints(cpu);
}

bool set_breakpoint(u32 slot, u64 pc) {
    if (slot >= kSlots) return false;
    breakpoints[slot].store(pc, Order::Release);  // seen by whoever sees the chore
    load_breakpoints(&this_x86());
    ask_all(Chore::Breakpoints);
    return true;
}

void clear_breakpoint(u32 slot) {
    set_breakpoint(slot, 0);
}

void set_stepping(Frame* frame, bool on) {
    if (on) {
        frame->rflags |= kTrapFlag;
    } else {
        frame->rflags &= ~kTrapFlag;
    }
}

}  // namespace barebpf::guest::arch
