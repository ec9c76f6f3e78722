// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest: what the files of the guest kernel share with each other only.
#pragma once

#include "kernel/host/contract.h"
#include "testkit/guest/arch.h"
#include "testkit/guest/console.h"

namespace barebpf::guest {

using host::Order;
template <class T>
using Atomic = host::Atomic<T>;

inline constexpr u64 kNoPage = ~u64{0};

constexpr u64 pages_of(u64 bytes) {
    return bytes / kPageBytes + (bytes % kPageBytes != 0);
}

// False until the boot CPU's area is in place: until then there is one CPU, and it has no number.
extern bool areas_ready;
inline u32 current_cpu() {
    return areas_ready ? this_cpu() : 0;
}

// ── Locks of the guest kernel: interrupts off, never in an NMI ────────────────────────────────
class KernelGuard {
public:
    explicit KernelGuard(backend::RawSpinLock& lock) : lock_(lock), irq_(irq_save()) {
        if (areas_ready) lock_.lock();
    }
    ~KernelGuard() {
        if (areas_ready) lock_.unlock();
        irq_restore(irq_);
    }
    KernelGuard(const KernelGuard&) = delete;
    KernelGuard& operator=(const KernelGuard&) = delete;

private:
    backend::RawSpinLock& lock_;
    decltype(irq_save()) irq_;
};

// ── args.cc ───────────────────────────────────────────────────────────────────────────────────
void set_arguments(const char* words);
void refuse_unknown_arguments();

// ── accounting.cc ─────────────────────────────────────────────────────────────────────────────
// Counts an allocation; false: this is the one that the injection wants to fail.
extern Atomic<s64> failure_countdown;  // negative: no injection
bool allocation_allowed_slow();
inline bool allocation_allowed() {
    if (LIKELY(failure_countdown.load(Order::Relaxed) < 0)) return true;
    return allocation_allowed_slow();
}
void account(s64 bytes, s64 blocks);

// ── percpu.cc ─────────────────────────────────────────────────────────────────────────────────
// The CPU's area with its stacks. False: no memory.
bool prepare_area(u32 cpu);
// A stack with a hole below it; its top. 0: no memory.
u64 make_stack(u64 bytes);

// ── cpu.cc ────────────────────────────────────────────────────────────────────────────────────
void start_cpus(u32 wanted);  // all but this one
[[noreturn]] void idle_loop();

// ── interrupts.cc ─────────────────────────────────────────────────────────────────────────────
// The boot CPU's timer where nobody else has set it: an interrupt every so many ns, 0: none. Where QEMU runs the CPUs
// in turns, a turn lasts until the next timer: without one, for seconds.
extern u64 tick_ns;
void set_tick();
void run_mailbox_irq();
bool run_mailbox_nmi();  // false: none was there

// ── rcu.cc ────────────────────────────────────────────────────────────────────────────────────
void advance_rcu();

// ── plant.cc ──────────────────────────────────────────────────────────────────────────────────
void plant(const char* kind);

}  // namespace barebpf::guest
