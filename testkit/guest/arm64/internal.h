// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: what the files of this machine tell each other. testkit/guest/arch.h is what others see.
#pragma once

#include "testkit/guest/arch.h"

// A system register by name (Arm ARM C5.3, GICv3 12.2).
#define READ_SYSREG(name)                                  \
    ({                                                     \
        ::barebpf::u64 read_value;                         \
        asm volatile("mrs %0, " #name : "=r"(read_value)); \
        read_value;                                        \
    })
#define WRITE_SYSREG(name, value) \
    asm volatile("msr " #name ", %0" : : "r"(static_cast<::barebpf::u64>(value)) : "memory")

namespace barebpf::guest::arch {

// PSTATE and SPSR_EL1 (Arm ARM C5.2.18).
inline constexpr u64 kPstateF = u64{1} << 6;
inline constexpr u64 kPstateI = u64{1} << 7;
inline constexpr u64 kPstateA = u64{1} << 8;
inline constexpr u64 kPstateD = u64{1} << 9;
inline constexpr u64 kPstateSs = u64{1} << 21;

inline void isb() {
    asm volatile("isb" ::: "memory");
}

// Nothing is taken on this CPU but synchronous exceptions: no interrupt, FIQ, SError or step.
class AllMasked {
public:
    AllMasked() : old_(READ_SYSREG(daif)) { asm volatile("msr daifset, #15" ::: "memory"); }
    ~AllMasked() { WRITE_SYSREG(daif, old_); }
    AllMasked(const AllMasked&) = delete;
    AllMasked& operator=(const AllMasked&) = delete;

private:
    u64 old_;
};

// ── probe.cc: what the device tree said ───────────────────────────────────────────────────────
struct Hardware {
    u64 cpu_ids[kMaxGuestCpus];  // MPIDR affinity fields
    u32 cpu_count;               // of these; the machine may have more
    MemoryRange distributor;     // of the GICv3
    MemoryRange redistributors;
    bool psci_by_smc;  // else by HVC
};
extern Hardware hardware;

// ── cpu.cc ────────────────────────────────────────────────────────────────────────────────────
s64 psci_call(u64 function, u64 a, u64 b, u64 c);

// What the machine keeps for a CPU; CpuArea::arch.
struct CpuData {
    char* redistributor;
    s32 over_slot;    // the breakpoint whose instruction is being stepped over; negative: none
    u64 over_pc;      // where that is
    u64 over_pstate;  // the masks to restore after that
    bool stepping;    // on_step() is wanted
    bool in_handler;  // on_breakpoint() or on_step() runs
};
inline CpuData* this_data() {
    return static_cast<CpuData*>(this_area()->arch);
}
extern CpuData cpu_data[kMaxGuestCpus];

// ── console.cc ────────────────────────────────────────────────────────────────────────────────
void find_console();   // early_init()
void remap_console();  // once the final tables are on

// ── gic.cc, timer.cc ──────────────────────────────────────────────────────────────────────────
void init_gic_cpu(CpuArea* area);
void handle_irq(Frame* frame);
void handle_fiq(Frame* frame);
void init_timer_cpu();
inline constexpr u32 kTimerIrq =
    27;  // the virtual timer's private interrupt (SBSA; virt's device tree)
void timer_expired();

// ── pages.cc ──────────────────────────────────────────────────────────────────────────────────
// Writes one instruction to code that is mapped read and execute, through a window of this CPU's own.
// False: nothing is mapped at pc.
bool patch_instruction(u64 pc, u32 instruction);

// ── debug.cc ──────────────────────────────────────────────────────────────────────────────────
void init_debug_cpu();
bool handle_brk(Frame* frame);  // false: not ours
bool handle_step(Frame* frame);
// If it was the copy of an instruction under a breakpoint that faulted, the frame gets the instruction's address.
void blame_copied_instruction(Frame* frame);

// ── nofault.S ─────────────────────────────────────────────────────────────────────────────────
// Sends the frame to the landing of the instruction that faulted, if it has one.
bool apply_fixup(Frame* frame);

}  // namespace barebpf::guest::arch
