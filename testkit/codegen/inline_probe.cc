// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Functions for inline_test.py to look at: one hot operation of the contract each. They are compiled
// as release builds compile the core; none may call anything, but for the waiting path of a lock.
#include "kernel/host/biased_lock.h"
#include "kernel/host/contract.h"

namespace barebpf::host {
namespace {
struct ProbeClass {
    static constexpr LockClass kClass{"probe", 1};
};
}  // namespace

using ProbeLock = SpinLock<ProbeClass>;

extern "C" {

void probe_lock_irq_save(ProbeLock& lock, u64* value) {
    Guard<ProbeLock, IrqSave> guard(lock);
    ++*value;
}

void probe_lock_no_irq(ProbeLock& lock, u64* value) {
    Guard<ProbeLock, NoIrq> guard(lock);
    ++*value;
}

void probe_biased_lock(BiasedLock<ProbeClass>& lock, u64* value) {
    BiasedLock<ProbeClass>::State state;
    if (!lock.try_acquire(&state)) return;
    Guard<BiasedLock<ProbeClass>, Adopt> guard(lock, state);
    ++*value;
}

void* probe_percpu_this_cpu(PerCpuMemory& memory) {
    return memory.this_cpu();
}

void* probe_percpu_cpu(PerCpuMemory& memory, u32 cpu) {
    return memory.cpu(cpu);
}

u32 probe_cpu_id() {
    return cpu_id();
}

u64 probe_rcu_read(RcuPointer<u64>& pointer) {
    RcuReadGuard guard;
    return *pointer.dereference();
}

void probe_pin(u64* value) {
    Cpu::Pin pin;
    ++*value;
}

bool probe_in_nmi() {
    return in_nmi();
}

u64 probe_atomics(Atomic<u64>& value) {
    value.store(1, Order::Release);
    value.fetch_add(2, Order::Relaxed);
    return value.load(Order::Acquire);
}

}  // extern "C"
}  // namespace barebpf::host
