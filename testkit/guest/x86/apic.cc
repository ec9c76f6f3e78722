// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: the local APIC through its registers in memory (SDM vol. 3, chapter 10): interrupts and NMIs between
// CPUs, their start, a one-shot timer. The two legacy 8259s are masked (Intel 8259A data sheet: ICW1..4, OCW1).
//
// The command register is two words: the destination must be in the high one when the low one is written (10.6.1).
// An interrupt or NMI in between may send something too, so each sender puts back the high word that it found.
#include "testkit/guest/x86/x86.h"

namespace barebpf::guest::arch {

namespace {

constexpr u32 kMsrApicBase = 0x1b;
constexpr u64 kApicEnabled = 1 << 11;
constexpr u64 kApicBaseMask = 0x000ffffffffff000;

enum Register : u32 {
    kId = 0x20,
    kTaskPriority = 0x80,
    kEndOfInterrupt = 0xb0,
    kSpurious = 0xf0,
    kCommand = 0x300,
    kDestination = 0x310,
    kLvtTimer = 0x320,
    kLvtThermal = 0x330,
    kLvtCounters = 0x340,
    kLvtLint0 = 0x350,
    kLvtLint1 = 0x360,
    kLvtError = 0x370,
    kInitialCount = 0x380,
    kCurrentCount = 0x390,
    kDivide = 0x3e0,
};

constexpr u32 kMasked = 1 << 16;
constexpr u32 kSoftwareEnable = 1 << 8;
constexpr u32 kPending = 1 << 12;
constexpr u32 kAssert = 1 << 14;
constexpr u32 kDeliverNmi = 4 << 8;
constexpr u32 kDeliverInit = 5 << 8;
constexpr u32 kDeliverStartup = 6 << 8;

constexpr u32 kDivideBy1 = 0xb;
constexpr u32 kDivideBy128 = 0xa;
constexpr u32 kCountTop = ~0u;

volatile u32* registers;
u64 apic_hz;

u32 read(Register which) {
    return registers[which / 4];
}
void write(Register which, u32 value) {
    registers[which / 4] = value;
}

void command(u32 apic, u32 what) {
    const u32 before = read(kDestination);
    write(kDestination, apic << 24);
    write(kCommand, what);
    while (read(kCommand) & kPending) host::spin_hint();
    write(kDestination, before);
}

u32 apic_of(u32 cpu) {
    return static_cast<u32>(cpu_areas[cpu].hardware_id);
}

void mask_8259(u16 port, u8 first_vector, u8 joined) {
    out8(port, 0x11);              // ICW1: begin
    out8(port + 1, first_vector);  // ICW2
    out8(port + 1, joined);        // ICW3: how the two are joined
    out8(port + 1, 1);             // ICW4: 8086 mode
    out8(port + 1, 0xff);          // OCW1: all masked
}

}  // namespace

void mask_legacy_interrupts() {
    mask_8259(0x20, VECTOR_FIRST_IRQ, 4);
    mask_8259(0xa0, VECTOR_FIRST_IRQ + 8, 2);
}

void init_apic() {
    const u64 base = read_msr(kMsrApicBase);
    write_msr(kMsrApicBase, base | kApicEnabled);
    if (!registers) {
        registers = static_cast<volatile u32*>(map_device(base & kApicBaseMask, kPageBytes));
    }
    write(kTaskPriority, 0);
    write(kSpurious, kSoftwareEnable | kVectorSpurious);
    constexpr Register kSources[] = {kLvtTimer, kLvtThermal, kLvtCounters,
                                     kLvtLint0, kLvtLint1,   kLvtError};
    for (const Register source : kSources) write(source, kMasked);
    write(kInitialCount, 0);
}

u32 apic_id() {
    return read(kId) >> 24;
}

void end_of_interrupt() {
    write(kEndOfInterrupt, 0);
}

void send_ipi(u32 cpu) {
    command(apic_of(cpu), kAssert | kVectorIpi);
}

void raise_nmi(u32 cpu) {
    command(apic_of(cpu), kAssert | kDeliverNmi);
}

void send_init(u32 apic) {
    command(apic, kAssert | kDeliverInit);
}

void send_startup(u32 apic) {
    command(apic, kAssert | kDeliverStartup | TRAMPOLINE >> 12);
}

void start_apic_count() {
    write(kLvtTimer, kMasked | kVectorTimer);
    write(kDivide, kDivideBy1);
    write(kInitialCount, kCountTop);
}

u32 apic_count_passed() {
    return kCountTop - read(kCurrentCount);
}

void set_apic_hz(u64 hz) {
    apic_hz = hz;
    write(kInitialCount, 0);
}

void set_timer(u64 ns) {
    write(kInitialCount, 0);
    if (ns == 0) return;
    constexpr u64 kSecond = 1000000000;
    constexpr u64 kLongest = u64{500} * kSecond;
    if (ns > kLongest) ns = kLongest;
    u64 count = (ns / kSecond) * apic_hz + (ns % kSecond) * apic_hz / kSecond;
    const bool slow = count > kCountTop;
    if (slow) count /= 128;
    if (count > kCountTop) count = kCountTop;
    write(kLvtTimer, kVectorTimer);  // one-shot
    write(kDivide, slow ? kDivideBy128 : kDivideBy1);
    write(kInitialCount, count ? static_cast<u32>(count) : 1);
}

}  // namespace barebpf::guest::arch
