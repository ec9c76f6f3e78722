// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// RCU of the user backend: the shared domain (testkit/rcu/rcu.h) over CPU slots.
#include "testkit/rcu/rcu.h"

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testkit/user/internal.h"
#include "testkit/user/user.h"

namespace barebpf::backend {

namespace {

// Makes every running thread of the process pass a full barrier. A thread that gave its slot up
// and looked at attention before our kick has then made the former visible.
void barrier_on_all_threads() {
    static Atomic<u32> registered;
    if (!registered.load(Order::Relaxed)) {
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
        registered.store(1, Order::Relaxed);
    }
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0) sched_yield();
}

struct SlotHost {
    static u32 cpus() { return cpu_count; }
    static u32 cpu_id() { return Cpu::id(); }

    // Adds nothing, yet takes its place in the word's modification order: pairs with enter().
    static u64 snapshot(u32 cpu) {
        u64 word = cpu_slots[cpu].word.fetch_add(0, Order::AcqRel);
        return word & 1 ? word : 0;
    }
    // Pairs with the release in leave() and with quiescent().
    static bool passed(u32 cpu, u64 snapshot) {
        return cpu_slots[cpu].word.load(Order::Acquire) != snapshot;
    }
    static bool enter() { return user::take_slot(); }
    static void exit() { user::give_up_slot(); }
    static void quiescent() {
        cpu_slots[thread_state.cpu].word.fetch_add(2, Order::AcqRel);
        thread_state.word += 2;
    }
    static void wait(u32 spins) {
        quiescent();
        if (spins < 64) {
            spin_hint();
            return;
        }
        // Who waits for a slot may be what the others wait for.
        user::Outside outside;
        sched_yield();
    }
    static void wait_begins() { attention.fetch_add(kAttentionReaders, Order::AcqRel); }
    static void wait_ends() { attention.fetch_sub(kAttentionReaders, Order::AcqRel); }
    static void kick() { attention.fetch_or(kAttentionRcu, Order::AcqRel); }
    static void clear_pending() { attention.fetch_and(~kAttentionRcu, Order::AcqRel); }
    static u32& process_depth() { return thread_state.process_depth; }
    static void expedite() { barrier_on_all_threads(); }
};

rcu::Domain<SlotHost> domain;

void expect_may_sleep(const char* what) {
    host::validator::expect_none_held(what);
    if (thread_state.read_guards) host::panic("waiting for readers inside an RCU read guard");
    if (thread_state.cpu == kNoCpu) outside_the_library();
}

}  // namespace

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

namespace barebpf::user {

void advance_rcu() {
    backend::domain.advance();
}

void forget_rcu() {
    backend::domain.abandon();
}

}  // namespace barebpf::user
