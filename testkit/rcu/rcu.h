// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Read-copy-update keyed by CPU, in C++ atomics: serves every backend that has none of its own.
//
// Algorithm
//   Each CPU has a word that changes whenever the CPU has been outside all read-side sections. A
//   grace period takes a snapshot of every CPU's word and ends when each CPU was idle at its
//   snapshot or has changed its word since.
//
//       call()      pushes the head on this CPU's lock-free list (any context, NMI too: the push
//                   is one compare-and-exchange, repeated when an interruption came between)
//       advance()   whoever is at a quiescent point drives, one at a time:
//                     collect all lists -> snapshot all CPUs -> all passed? -> run the batch
//                   and if a CPU has not passed yet, goes away: the owner of that CPU drives on
//                   when it leaves.
//       synchronize()  snapshots for itself and waits.
//       barrier()   becomes the driver, finishes the batch in flight, then one more.
//
//   There is no thread of its own, so a process may fork and exit at any time.
//
// Ordering guarantees
//   What a reader may not see. Writer: unpublish, push (release) | driver: collect (acquire),
//   snapshot = read-modify-write of the CPU's word (acq_rel) | reader: enter = read-modify-write of
//   the same word (acquire). Either the snapshot comes first in the word's modification order, and
//   the reader synchronises with it and sees the unpublishing; or the reader's enter comes first,
//   and the snapshot sees the CPU busy and waits for it.
//   What a reader has done before memory is freed. Leaving is a release of the word; passed() is an
//   acquire of it; the callbacks run after.
//   No work is forgotten. kick() and clear_pending() are read-modify-writes of one word: a kick
//   that the driver's clear does not see stays set; one that it sees makes the pushed head visible
//   to the collection that follows. Only a push on an empty list kicks: a list that is not empty
//   has its kick, made or under way, from the push that found it empty.
//   driver_ counts who came: coming is fetch_add, going is exchange, both acq_rel, so that a driver
//   who goes either is seen to be gone, or sees that somebody came meanwhile and looks again.
//
// Host supplies (all static):
//     u32 cpus()                 number of CPUs
//     u32 cpu_id()               this CPU; stable from call() on
//     u64 snapshot(u32 cpu)      read-modify-write, acq_rel; kIdle when the CPU is outside
//     bool passed(u32 cpu, u64 snapshot)   acquire; the word differs from the snapshot
//     void quiescent()           this CPU passes (a change of its word, acq_rel)
//     void wait(u32 spins)       one step of a wait; the CPU passes during it
//     void kick()                some later quiescent point shall call advance(); acq_rel
//     void clear_pending()       undoes kick(); acq_rel
//     void expedite()            returns when each CPU that was about to leave has been seen to
//                                leave, or will see the kick
#pragma once

#include "kernel/host/atomic.h"
#include "testkit/rcu/rcu_head.h"

namespace barebpf::rcu {

template <class Host>
class Domain {
public:
    static constexpr u64 kIdle = 0;  // a snapshot that has passed already
    static constexpr u32 kMaxCpus = 64;

    void call(RcuHead* head, void (*callback)(RcuHead*));
    void advance();
    void synchronize();
    void barrier();

    // Nothing queued, nothing in flight. Exact only while nobody else uses the domain.
    bool idle() const;
    // Forgets all callbacks without running them: for the child of a fork.
    void abandon();

private:
    using Order = host::Order;

    static constexpr u32 kRounds = 8;  // a callback that queues itself again does not hold us

    struct alignas(64) Incoming {
        host::Atomic<RcuHead*> first;
    };

    bool collect();
    bool all_passed();
    void run_batch();
    bool finish_batch(bool wait);
    void step();

    host::Atomic<u32> driver_{};  // 0: none; else who drives, plus whoever came since
    // Of the driver:
    RcuHead* batch_ = nullptr;
    u64 snapshots_[kMaxCpus] = {};

    Incoming incoming_[kMaxCpus] = {};
};

template <class Host>
void Domain<Host>::call(RcuHead* head, void (*callback)(RcuHead*)) {
    auto& first = incoming_[Host::cpu_id()].first;
    head->callback = callback;
    RcuHead* old = first.load(Order::Relaxed);
    do {
        head->next = old;
        // The release pairs with the acquire in collect().
    } while (!first.compare_exchange(old, head, Order::Release, Order::Relaxed));
    if (!old) Host::kick();
}

// Takes every list, oldest first, and starts a grace period for what it found.
template <class Host>
bool Domain<Host>::collect() {
    RcuHead** tail = &batch_;
    for (u32 cpu = 0; cpu < Host::cpus(); ++cpu) {
        // The acquire pairs with the release in call(). Most lists are empty most of the time.
        if (!incoming_[cpu].first.load(Order::Relaxed)) continue;
        RcuHead* head = incoming_[cpu].first.exchange(nullptr, Order::Acquire);
        RcuHead* const newest = head;
        RcuHead* reversed = nullptr;
        while (head) {
            RcuHead* next = head->next;
            head->next = reversed;
            reversed = head;
            head = next;
        }
        *tail = reversed;
        if (newest) tail = &newest->next;
    }
    if (!batch_) return false;
    for (u32 cpu = 0; cpu < Host::cpus(); ++cpu) snapshots_[cpu] = Host::snapshot(cpu);
    Host::quiescent();
    return true;
}

template <class Host>
bool Domain<Host>::all_passed() {
    for (u32 cpu = 0; cpu < Host::cpus(); ++cpu) {
        if (snapshots_[cpu] == kIdle) continue;
        if (!Host::passed(cpu, snapshots_[cpu])) return false;
        snapshots_[cpu] = kIdle;
    }
    return true;
}

template <class Host>
void Domain<Host>::run_batch() {
    RcuHead* head = batch_;
    batch_ = nullptr;
    while (head) {
        RcuHead* next = head->next;
        head->callback(head);
        head = next;
    }
}

// Runs the batch in flight once its grace period is over; false: it is not over, and we were not to
// wait.
template <class Host>
bool Domain<Host>::finish_batch(bool wait) {
    for (u32 spins = 0; wait && !all_passed(); ++spins) Host::wait(spins);
    if (!all_passed()) {
        Host::kick();
        Host::expedite();
        if (!all_passed()) return false;
    }
    run_batch();
    return true;
}

template <class Host>
void Domain<Host>::step() {
    for (u32 round = 0; round < kRounds; ++round) {
        if (!batch_) {
            Host::clear_pending();
            if (!collect()) return;
        }
        if (!finish_batch(false)) return;
    }
    Host::kick();
}

template <class Host>
void Domain<Host>::advance() {
    Host::quiescent();
    for (u32 round = 0; round < kRounds; ++round) {
        if (driver_.fetch_add(1, Order::AcqRel) != 0) return;
        step();
        if (driver_.exchange(0, Order::AcqRel) == 1) return;
    }
}

template <class Host>
void Domain<Host>::synchronize() {
    u64 snapshots[kMaxCpus];
    for (u32 cpu = 0; cpu < Host::cpus(); ++cpu) snapshots[cpu] = Host::snapshot(cpu);
    Host::quiescent();
    for (u32 cpu = 0; cpu < Host::cpus(); ++cpu) {
        if (snapshots[cpu] == kIdle) continue;
        for (u32 spins = 0; !Host::passed(cpu, snapshots[cpu]); ++spins) Host::wait(spins);
    }
}

template <class Host>
void Domain<Host>::barrier() {
    for (u32 spins = 0; driver_.fetch_add(1, Order::AcqRel) != 0; ++spins) Host::wait(spins);
    if (batch_) finish_batch(true);
    Host::clear_pending();
    if (collect()) finish_batch(true);
    // What callbacks queued meanwhile has its kick.
    driver_.exchange(0, Order::AcqRel);
}

template <class Host>
bool Domain<Host>::idle() const {
    if (batch_) return false;
    for (const Incoming& list : incoming_) {
        if (list.first.load(Order::Relaxed)) return false;
    }
    return true;
}

template <class Host>
void Domain<Host>::abandon() {
    batch_ = nullptr;
    for (Incoming& list : incoming_) list.first.store(nullptr, Order::Relaxed);
    driver_.store(0, Order::Relaxed);
}

}  // namespace barebpf::rcu
