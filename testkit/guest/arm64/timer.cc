// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, arm64: clock and one-shot timer of each CPU, from the generic timer.
//
// Hardware facts: CNTVCT_EL0 counts at CNTFRQ_EL0 Hz and is the same on all CPUs (Arm ARM D11.1.2); the virtual
// timer fires while CNTV_CTL_EL0 is 1 and the count has reached CNTV_CVAL_EL0 (D11.2.4), as private interrupt 27.
// The counter may be read ahead of earlier instructions unless an ISB precedes (D11.2.1).
#include "testkit/guest/arm64/internal.h"

namespace barebpf::guest::arch {

namespace {

constexpr u64 kSecond = 1'000'000'000;

u64 ticks() {
    isb();
    return READ_SYSREG(cntvct_el0);
}

backend::Atomic<u64> random_calls;

}  // namespace

// In two parts, so that nothing overflows: the frequency is at most 1 GHz.
u64 clock_ns() {
    u64 count = ticks(), frequency = READ_SYSREG(cntfrq_el0);
    return count / frequency * kSecond + count % frequency * kSecond / frequency;
}

void init_timer_cpu() {
    WRITE_SYSREG(cntv_ctl_el0, 0);
    WRITE_SYSREG(cntkctl_el1, 0);
}

void set_timer(u64 ns) {
    WRITE_SYSREG(cntv_ctl_el0, 0);
    isb();
    if (!ns) return;
    u64 frequency = READ_SYSREG(cntfrq_el0);
    u64 delta = ns / kSecond * frequency + ns % kSecond * frequency / kSecond;
    WRITE_SYSREG(cntv_cval_el0, ticks() + delta + 1);
    WRITE_SYSREG(cntv_ctl_el0, 1);
    isb();
}

void timer_expired() {
    WRITE_SYSREG(cntv_ctl_el0, 0);
    isb();
}

void wait_for_interrupt() {
    asm volatile(
        "dsb sy\n\t"
        "wfi\n\t"
        "msr daifclr, #2\n\t"
        "isb\n\t"
        "msr daifset, #2" ::
            : "memory");
}

// SplitMix64's mixing of the count and a number of its own for each call. Not RNDR (Arm ARM D17.2.115): a run whose instructions are counted should repeat (QEMU's -icount), and it would
// not with the host's entropy in it.
u64 random_bits() {
    u64 x = ticks() + random_calls.fetch_add(1, backend::Order::Relaxed) * 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

}  // namespace barebpf::guest::arch
