// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// RCU of the guest backend: the shared domain (testkit/rcu/rcu.h) over CpuArea.rcu_word.
//
// Callbacks run where a CPU leaves the library outside of interrupts, at yield points, and in the idle loop.
#include "testkit/rcu/rcu.h"

#include "testkit/guest/kernel.h"

namespace barebpf::backend {

Atomic<u32> attention;

namespace {

using guest::CpuArea;
using guest::this_area;

struct AreaHost {
    static u32 cpus() { return guest::cpu_count; }
    static u32 cpu_id() { return guest::this_cpu(); }

    // Adds nothing, yet takes its place in the word's modification order: pairs with Cpu::Entry.
    static u64 snapshot(u32 cpu) {
        const u64 word = guest::cpu_areas[cpu].rcu_word.fetch_add(0, Order::AcqRel);
        return word & 1 ? word : 0;
    }
    // Pairs with the release in leave() and with quiescent().
    static bool passed(u32 cpu, u64 snapshot) {
        return guest::cpu_areas[cpu].rcu_word.load(Order::Acquire) != snapshot;
    }
    static bool enter() {
        this_area()->rcu_word.fetch_add(1, Order::AcqRel);
        return true;
    }
    static void exit() { this_area()->rcu_word.fetch_add(1, Order::AcqRel); }
    static void quiescent() { this_area()->rcu_word.fetch_add(2, Order::AcqRel); }
    static void wait(u32) {
        quiescent();
        spin_hint();
    }
    static void wait_begins() { attention.fetch_add(kAttentionReaders, Order::AcqRel); }
    static void wait_ends() { attention.fetch_sub(kAttentionReaders, Order::AcqRel); }
    static void kick() { attention.fetch_or(kAttentionRcu, Order::AcqRel); }
    static void clear_pending() { attention.fetch_and(~kAttentionRcu, Order::AcqRel); }
    static u32& process_depth() { return this_area()->process_depth; }
    // Orders our kick before our look at the words; pairs with the fence in left_outermost().
    static void expedite() { fence(Order::SeqCst); }
};

rcu::Domain<AreaHost> domain;

void expect_may_sleep(const char* what) {
    host::validator::expect_none_held(what);
    CpuArea* area = this_area();
    if (area->read_guards) host::panic("waiting for readers inside an RCU read guard");
    if (area->irq_depth || area->nmi_depth) host::panic("waiting for readers in an interrupt");
    if (!Rcu::read_held()) outside_the_library();
}

bool in_interrupt(const CpuArea* area) {
    return area->irq_depth || area->nmi_depth;
}

}  // namespace

void left_outermost() {
    CpuArea* area = this_area();
    if (!in_interrupt(area)) host::validator::expect_none_held("leaving the library");
    // Pairs with the acquire in passed().
    area->rcu_word.fetch_add(1, Order::AcqRel);
    // Our leaving comes before our look: pairs with expedite().
    fence(Order::SeqCst);
    if (UNLIKELY(attention.load(Order::Relaxed)) && !in_interrupt(area) && !guest::irqs_off())
        guest::advance_rcu();
}

void yield_slow() {
    CpuArea* area = this_area();
    if (in_interrupt(area) || guest::irqs_off() || !Rcu::read_held()) return;
    host::validator::expect_none_held("a yield point");
    if (area->pins || area->read_guards)
        host::panic("a yield point inside a Pin or an RCU read guard");
    AreaHost::exit();
    fence(Order::SeqCst);
    guest::advance_rcu();
    AreaHost::enter();
}

void outside_the_library() {
    host::panic("code of the library runs outside of it: hold a host::Cpu::Entry");
}

void Rcu::call(RcuHead* head, void (*callback)(RcuHead*)) {
    domain.call(head, callback);
}

void Rcu::call_process(RcuHead* head, void (*callback)(RcuHead*)) {
    domain.call_process(head, callback);
}

void Rcu::synchronize() {
    expect_may_sleep("synchronize_rcu()");
    domain.synchronize();
}

void Rcu::barrier() {
    expect_may_sleep("rcu_barrier()");
    domain.barrier();
}

}  // namespace barebpf::backend

namespace barebpf::guest {

void advance_rcu() {
    backend::domain.advance();
}

}  // namespace barebpf::guest
