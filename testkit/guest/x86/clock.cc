// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: time from the TSC, random bits from RDRAND.
//
// How fast the TSC and the APIC timer count is measured against the HPET, whose capability register tells its
// period in femtoseconds (IA-PC HPET specification 1.0a, 2.3.4). All three follow QEMU's virtual clock, with
// -icount too, where the TSC counts virtual ns. QEMU gives all CPUs the same TSC.
//
// A sample is the HPET between two TSC readings; the host may stop us between them, so the narrowest of a few
// samples counts.
#include "testkit/guest/x86/x86.h"

namespace barebpf::guest::arch {

namespace {

constexpr u64 kHpetBase = 0xfed00000;  // q35's
constexpr u32 kHpetPeriod = 0x4 / 4;   // high word of the capabilities: fs
constexpr u32 kHpetConfig = 0x10 / 4;
constexpr u32 kHpetCounter = 0xf0 / 4;
constexpr u32 kMaxPeriod = 100000000;  // by the specification
constexpr u64 kFemtoPerNano = 1000000;
constexpr u64 kNanosPerSecond = 1000000000;
constexpr u64 kMeasureNs = 4000000;
constexpr u32 kSamples = 8;
constexpr u32 kBetweenLooks =
    1000;  // instructions that touch no device: those are slow under -icount

u64 tsc_start;
u64 ns_per_tick;  // * 2^32

struct Sample {
    u64 tsc;
    u32 hpet;
    u32 apic;
};

Sample take_sample(const volatile u32* hpet) {
    Sample best{};
    u64 best_width = ~u64{0};
    for (u32 i = 0; i < kSamples; ++i) {
        const u64 before = read_tsc();
        const u32 count = hpet[kHpetCounter];
        const u32 apic = apic_count_passed();
        const u64 after = read_tsc();
        if (after - before >= best_width) continue;
        best_width = after - before;
        best = {before + best_width / 2, count, apic};
    }
    return best;
}

}  // namespace

void init_clock() {
    auto* hpet = static_cast<volatile u32*>(map_device(kHpetBase, kPageBytes));
    const u32 period = hpet[kHpetPeriod];
    if (period == 0 || period > kMaxPeriod) fail("no HPET at 0xfed00000: not QEMU's q35 machine");
    hpet[kHpetConfig] = hpet[kHpetConfig] | 1;  // count
    start_apic_count();
    const Sample first = take_sample(hpet);
    const u64 wait = kMeasureNs * kFemtoPerNano / period;
    while (hpet[kHpetCounter] - first.hpet < wait) {
        for (u32 i = 0; i < kBetweenLooks; ++i) asm volatile("");
    }
    const Sample last = take_sample(hpet);
    const u64 ns = u64{last.hpet - first.hpet} * period / kFemtoPerNano;
    const u64 ticks = last.tsc - first.tsc;
    if (ticks == 0 || last.apic == first.apic) fail("the TSC or the APIC timer does not count");
    set_apic_hz(u64{last.apic - first.apic} * kNanosPerSecond / ns);
    ns_per_tick = (ns << 32) / ticks;
    tsc_start = first.tsc;
}

u64 clock_ns() {
    const u64 ticks = read_tsc() - tsc_start;
    return static_cast<u64>((static_cast<unsigned __int128>(ticks) * ns_per_tick) >> 32);
}

u64 random_bits() {
    static Atomic<u64> calls;
    constexpr u32 kHasRdrand = 1u << 30;  // CPUID.1:ECX
    if (cpuid(1).ecx & kHasRdrand) {
        for (u32 i = 0; i < 10; ++i) {
            u64 value;
            bool good;
            asm volatile("rdrand %0" : "=r"(value), "=@ccc"(good));
            if (good) return value;
        }
    }
    // The finishing steps of SplitMix64 (Steele, Lea, Flood 2014) over the time and a count.
    u64 bits = read_tsc() + calls.fetch_add(1, Order::Relaxed) * 0x9e3779b97f4a7c15;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return bits ^ bits >> 31;
}

}  // namespace barebpf::guest::arch
