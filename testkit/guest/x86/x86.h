// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: what the files of this folder share: instructions without a C++ name, what each CPU has, and
// the functions of one file that another calls. Sources: Intel SDM vol. 3 (order 325384), chapters named there.
#pragma once

#include "kernel/host/atomic.h"
#include "testkit/guest/arch.h"
#include "testkit/guest/x86/assembly.h"

namespace barebpf::guest::arch {

using host::Atomic;
using host::Order;

// ── Instructions ──────────────────────────────────────────────────────────────────────────────
ALWAYS_INLINE void out8(u16 port, u8 value) {
    asm volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}
ALWAYS_INLINE void out32(u16 port, u32 value) {
    asm volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}
ALWAYS_INLINE u8 in8(u16 port) {
    u8 value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
ALWAYS_INLINE u64 read_msr(u32 msr) {
    u32 low, high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return u64{high} << 32 | low;
}
ALWAYS_INLINE void write_msr(u32 msr, u64 value) {
    asm volatile("wrmsr" ::"c"(msr), "a"(static_cast<u32>(value)),
                 "d"(static_cast<u32>(value >> 32))
                 : "memory");
}
ALWAYS_INLINE u64 read_cr2() {
    u64 value;
    asm volatile("movq %%cr2, %0" : "=r"(value));
    return value;
}
ALWAYS_INLINE u64 read_cr3() {
    u64 value;
    asm volatile("movq %%cr3, %0" : "=r"(value)::"memory");
    return value;
}
ALWAYS_INLINE void write_cr3(u64 value) {
    asm volatile("movq %0, %%cr3" ::"r"(value) : "memory");
}
ALWAYS_INLINE void invalidate_page(u64 address) {
    asm volatile("invlpg (%0)" ::"r"(address) : "memory");
}
// After the loads before it: the LFENCE keeps RDTSC from being executed early (SDM vol. 2, RDTSC).
ALWAYS_INLINE u64 read_tsc() {
    u32 low, high;
    asm volatile("lfence\n\trdtsc" : "=a"(low), "=d"(high)::"memory");
    return u64{high} << 32 | low;
}
struct Cpuid {
    u32 eax, ebx, ecx, edx;
};
ALWAYS_INLINE Cpuid cpuid(u32 leaf) {
    Cpuid id{leaf, 0, 0, 0};
    asm volatile("cpuid" : "+a"(id.eax), "=b"(id.ebx), "+c"(id.ecx), "=d"(id.edx)::"memory");
    return id;
}

// ── What each CPU has ─────────────────────────────────────────────────────────────────────────
// Order of CpuArea::trap_stack_top on this machine.
enum TrapStack : u32 { kIrqStack, kNmiStack, kFaultStack, kDebugStack, kTrapStacks };

// Order of the IST fields of the task state, from 1 on. Double faults have a landing apart from other faults.
enum Landing : u32 {
    kIrqLanding,
    kNmiLanding,
    kDoubleFaultLanding,
    kDebugLanding,
    kFaultLanding,
    kLandings
};
inline constexpr u32 kLandingBytes = 128;

// 64-bit task state segment (SDM vol. 3, 7.7).
struct __attribute__((packed)) TaskState {
    u32 reserved0;
    u64 rsp[3];
    u64 reserved1;
    u64 ist[7];
    u64 reserved2;
    u16 reserved3;
    u16 io_map;
};
static_assert(sizeof(TaskState) == 104);

// What one CPU asks all others to do, by NMI (chores.cc).
enum class Chore : u32 { FlushTlb, SyncCode, Breakpoints, Count };

// A page of its own, so that a landing's address gives it. assembly.h has the first offsets.
struct alignas(CPU_PAGE_BYTES) X86Cpu {
    u64 trap_stacks[kTrapStacks];  // tops
    Atomic<u64> in_nmi;            // an NMI's handler runs
    Atomic<u64> nmi_again;         // another came meanwhile

    alignas(16) u8 landings[2][kLandings][kLandingBytes];  // outside of NMIs, inside
    alignas(8) u64 descriptors[6];
    alignas(8) TaskState task;
    u32 debug_depth;  // on_breakpoint(), on_step() run: no breakpoint is armed here

    alignas(64) Atomic<u32> live;                        // takes NMIs
    Atomic<u32> idle;                                    // halted: does its chores when it wakes
    Atomic<u32> nmi_wanted;                              // by send_nmi()
    Atomic<u64> wanted[static_cast<u32>(Chore::Count)];  // chores asked for so far
    Atomic<u64> done[static_cast<u32>(Chore::Count)];    // and done
};
static_assert(sizeof(X86Cpu) == CPU_PAGE_BYTES);

extern X86Cpu x86_cpus[kMaxGuestCpus];

inline X86Cpu& this_x86() {
    return x86_cpus[this_cpu()];
}

// ── descriptors.cc ────────────────────────────────────────────────────────────────────────────
void build_vectors();                        // once, before the first load
void load_descriptors(X86Cpu* cpu);          // descriptor and task tables, vectors
void select_landings(X86Cpu* cpu, u32 set);  // 0: outside of NMIs, 1: inside

// ── chores.cc ─────────────────────────────────────────────────────────────────────────────────
void begin_chores(X86Cpu* cpu);     // this CPU takes part from now on
void do_chores(X86Cpu* cpu);        // this CPU's, that others have asked for
void leave_idle(X86Cpu* cpu);       // first thing after a halt
void leave_out_halt(Frame* frame);  // a trap just before the halt: it has come already
void ask_all(Chore chore);          // done on every CPU when it returns

// ── debug.cc ──────────────────────────────────────────────────────────────────────────────────
void load_breakpoints(X86Cpu* cpu);
void debug_trap(Frame* frame);

// ── apic.cc ───────────────────────────────────────────────────────────────────────────────────
inline constexpr u8 kVectorIpi = 0x40;
inline constexpr u8 kVectorTimer = 0x41;
inline constexpr u8 kVectorSpurious = 0xff;

void mask_legacy_interrupts();
void init_apic();  // of this CPU
u32 apic_id();     // of this CPU
void end_of_interrupt();
void raise_nmi(u32 cpu);
void send_init(u32 apic);
void send_startup(u32 apic);  // to begin at TRAMPOLINE
void start_apic_count();      // for calibration: counts down from the top, silently
u32 apic_count_passed();      // since then
void set_apic_hz(u64 hz);

// ── clock.cc ──────────────────────────────────────────────────────────────────────────────────
void init_clock();  // on the boot CPU, after its init_apic()

// ── probe.cc ──────────────────────────────────────────────────────────────────────────────────
// APIC ids of the CPUs, the boot CPU's first.
extern u32 apic_ids[kMaxGuestCpus];
extern u32 apic_id_count;
void find_cpus(u64 rsdp);  // acpi.cc

}  // namespace barebpf::guest::arch
