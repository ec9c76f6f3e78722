// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: the GICv3. Interrupts are group 1 and come as IRQ; the pseudo-NMI is a software interrupt of
// group 0, which comes as FIQ, and FIQs are masked for a few instructions of vectors.S only.
//
// Hardware facts (GIC architecture specification, IHI 0069): with one security state (GICD_CTLR.DS, bit 6, set)
// group 0 is delivered as FIQ and group 1 as IRQ (4.6.2, table 4-9); both groups are seen by EL1 without a
// firmware. Each CPU has a redistributor of two frames of 64 KiB (12.10): the first holds GICR_TYPER (affinity in
// bits 63:32, bit 4: the last one) and GICR_WAKER, the second the registers of its interrupts 0 to 31: 0 to 15 are
// software interrupts, 27 is the virtual timer. System registers 12.2: ICC_SGI1R_EL1 and ICC_SGI0R_EL1 send.
#include "testkit/guest/arm64/internal.h"

// Assemblers know these names from ARMv8.1 with GIC extensions on only.
#define ICC_PMR s3_0_c4_c6_0
#define ICC_IAR0 s3_0_c12_c8_0
#define ICC_EOIR0 s3_0_c12_c8_1
#define ICC_BPR0 s3_0_c12_c8_3
#define ICC_SGI1R s3_0_c12_c11_5
#define ICC_SGI0R s3_0_c12_c11_7
#define ICC_IAR1 s3_0_c12_c12_0
#define ICC_EOIR1 s3_0_c12_c12_1
#define ICC_BPR1 s3_0_c12_c12_3
#define ICC_CTLR s3_0_c12_c12_4
#define ICC_SRE s3_0_c12_c12_5
#define ICC_IGRPEN0 s3_0_c12_c12_6
#define ICC_IGRPEN1 s3_0_c12_c12_7
#define READ(name) READ_SYSREG_(name)
#define READ_SYSREG_(name) READ_SYSREG(name)
#define WRITE(name, value) WRITE_SYSREG_(name, value)
#define WRITE_SYSREG_(name, value) WRITE_SYSREG(name, value)

namespace barebpf::guest::arch {

namespace {

constexpr u32 kIpi = 0;
constexpr u32 kNmi = 1;
constexpr u32 kNone = 1020;  // from here on: not an interrupt
constexpr u64 kFrameBytes = 0x10000;

// Distributor.
constexpr u32 kCtlr = 0x0;
constexpr u32 kCtlrGroup0 = 1 << 0, kCtlrGroup1 = 1 << 1, kCtlrAffinity = 1 << 4;
constexpr u32 kCtlrOneState = 1 << 6, kCtlrPending = u32{1} << 31;
// Redistributor, first frame.
constexpr u32 kTyper = 0x8;
constexpr u32 kWaker = 0x14;
constexpr u32 kWakerSleep = 1 << 1, kWakerAsleep = 1 << 2;
// Redistributor, second frame.
constexpr u32 kGroup = 0x80, kSetEnable = 0x100, kClearEnable = 0x180, kPriority = 0x400;
constexpr u8 kNmiPriority = 0x00, kIrqPriority = 0xa0;

char* distributor;
char* redistributors;

u32 read(char* base, u32 offset) {
    return *reinterpret_cast<volatile u32*>(base + offset);
}
void write(char* base, u32 offset, u32 value) {
    *reinterpret_cast<volatile u32*>(base + offset) = value;
}

void init_distributor() {
    distributor =
        static_cast<char*>(map_device(hardware.distributor.base, hardware.distributor.size));
    redistributors =
        static_cast<char*>(map_device(hardware.redistributors.base, hardware.redistributors.size));
    write(distributor, kCtlr, 0);
    while (read(distributor, kCtlr) & kCtlrPending) {
    }
    if (!(read(distributor, kCtlr) & kCtlrOneState))
        fail(
            "the interrupt controller has two security states: no pseudo-NMI (use -M "
            "virt,secure=off)");
    write(distributor, kCtlr, kCtlrAffinity | kCtlrGroup0 | kCtlrGroup1);
    while (read(distributor, kCtlr) & kCtlrPending) {
    }
}

// MPIDR_EL1's affinity as GICR_TYPER has it.
u32 packed_affinity(u64 id) {
    return static_cast<u32>((id >> 32 & 0xff) << 24 | (id & 0xffffff));
}

char* find_redistributor(u64 hardware_id) {
    for (u64 at = 0; at + 2 * kFrameBytes <= hardware.redistributors.size; at += 2 * kFrameBytes) {
        char* base = redistributors + at;
        u64 typer = *reinterpret_cast<volatile u64*>(base + kTyper);
        if (typer >> 32 == packed_affinity(hardware_id)) return base;
        if (typer >> 4 & 1) break;
    }
    fail("this CPU has no redistributor, its MPIDR is", hardware_id);
}

void init_redistributor(char* base) {
    write(base, kWaker, read(base, kWaker) & ~kWakerSleep);
    while (read(base, kWaker) & kWakerAsleep) {
    }
    char* interrupts = base + kFrameBytes;
    write(interrupts, kClearEnable, ~0u);
    write(interrupts, kGroup, ~(1u << kNmi));
    for (u32 i = 0; i < 32; i++)
        *reinterpret_cast<volatile u8*>(interrupts + kPriority + i) =
            i == kNmi ? kNmiPriority : kIrqPriority;
    write(interrupts, kSetEnable, 1u << kIpi | 1u << kNmi | 1u << kTimerIrq);
}

// To one CPU. What was written before is seen by the handler: DSB, then the register (12.1.2).
u64 target(u32 cpu, u32 interrupt) {
    u64 id = cpu_areas[cpu].hardware_id;
    asm volatile("dsb ishst" ::: "memory");
    return (id >> 32 & 0xff) << 48 | (id >> 16 & 0xff) << 32 | u64{interrupt} << 24 |
           (id >> 8 & 0xff) << 16 | (id >> 4 & 0xf) << 44 | u64{1} << (id & 0xf);
}

}  // namespace

void init_gic_cpu(CpuArea* area) {
    if (!distributor) init_distributor();
    WRITE(ICC_SRE, 7);
    isb();
    if (!(READ(ICC_SRE) & 1)) fail("the interrupt controller has no system registers");
    CpuData* data = static_cast<CpuData*>(area->arch);
    data->redistributor = find_redistributor(area->hardware_id);
    init_redistributor(data->redistributor);
    WRITE(ICC_PMR, 0xff);
    WRITE(ICC_BPR0, 0);
    WRITE(ICC_BPR1, 0);
    WRITE(ICC_CTLR, 0);  // one write ends an interrupt
    WRITE(ICC_IGRPEN0, 1);
    WRITE(ICC_IGRPEN1, 1);
    isb();
}

void send_ipi(u32 cpu) {
    WRITE(ICC_SGI1R, target(cpu, kIpi));
    isb();
}

void send_nmi(u32 cpu) {
    WRITE(ICC_SGI0R, target(cpu, kNmi));
    isb();
}

void handle_irq(Frame* frame) {
    u32 interrupt = READ(ICC_IAR1) & 0xffffff;
    asm volatile("dsb sy" ::: "memory");
    if (interrupt >= kNone) return;  // it went away
    if (interrupt == kTimerIrq) timer_expired();
    WRITE(ICC_EOIR1, interrupt);
    isb();
    CpuArea* area = this_area();
    area->irq_depth++;
    asm volatile("msr daifclr, #1" ::: "memory");  // an NMI may come from here on
    if (interrupt == kTimerIrq)
        on_timer(frame);
    else if (interrupt == kIpi)
        on_ipi(frame);
    else
        fail("an interrupt that nothing asked for came, number", interrupt);
    asm volatile("msr daifset, #1" ::: "memory");
    area->irq_depth--;
}

void handle_fiq(Frame* frame) {
    u32 interrupt = READ(ICC_IAR0) & 0xffffff;
    asm volatile("dsb sy" ::: "memory");
    if (interrupt >= kNone) return;
    WRITE(ICC_EOIR0, interrupt);
    isb();
    if (interrupt != kNmi) fail("an FIQ that nothing asked for came, number", interrupt);
    CpuArea* area = this_area();
    area->nmi_depth++;
    on_nmi(frame);
    area->nmi_depth--;
}

}  // namespace barebpf::guest::arch
