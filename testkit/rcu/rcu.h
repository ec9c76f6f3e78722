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
//       advance()   who has just left a CPU and finds the kick drives, one at a time:
//                     collect all lists -> snapshot all CPUs -> all passed? -> run the batch
//                   and if a CPU has not passed yet, goes away: the owner of that CPU drives on
//                   when it leaves. The driver is on a CPU while it works and gives it up before it
//                   stops to drive; who finds another driver never takes a CPU. So nobody is in the
//                   way of a grace period without looking for the kick afterwards.
//       call_process() the same on a list of its own; the driver hands what is ready to run to the
//                   thread, which runs it when it drives no more: these callbacks may sleep, and
//                   may themselves wait for grace periods
//       synchronize()  snapshots for itself and waits.
//       barrier()   becomes the driver, finishes the batch in flight, then one more; then waits for
//                   callbacks that may sleep, unless one of them calls it.
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
//   who goes either is seen to be gone, or sees that somebody came meanwhile and looks again (and
//   sees that he has left his CPU).
//
// Host supplies (all static):
//     u32 cpus()                 number of CPUs
//     u32 cpu_id()               this CPU; stable from call() on
//     u64 snapshot(u32 cpu)      read-modify-write, acq_rel; kIdle when the CPU is outside
//     bool passed(u32 cpu, u64 snapshot)   acquire; the word differs from the snapshot
//     bool enter(), void exit()  takes a CPU without waiting for one, and gives it up; exit() does
//                                not look for kicks
//     void quiescent()           this CPU passes (a change of its word, acq_rel)
//     void wait(u32 spins)       one step of a wait; the CPU passes during it
//     void wait_begins(), void wait_ends()
//                                around such steps, nested or at once on several CPUs: in between every CPU
//                                passes at its yield points, though a kick that one CPU answers is
//                                cleared for all
//     void kick()                some later quiescent point shall call advance(); acq_rel
//     void clear_pending()       undoes kick(); acq_rel
//     u32& process_depth()       of this thread: how many callbacks that may sleep it is in
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
    void call_process(RcuHead* head, void (*callback)(RcuHead*));
    // From outside: the caller is on no CPU, or on none that a grace period can see.
    void advance();
    void synchronize();
    void barrier();

    // Nothing queued, nothing in flight. Exact only while nobody else uses the domain.
    bool idle() const;
    // Forgets all callbacks without running them: for the child of a fork.
    void abandon();

private:
    using Order = host::Order;

    using List = host::Atomic<RcuHead*>;
    struct alignas(64) Incoming {
        List atomic;   // callbacks that may not sleep
        List process;  // callbacks that may
    };

    struct Waiting {
        Waiting() { Host::wait_begins(); }
        ~Waiting() { Host::wait_ends(); }
        Waiting(const Waiting&) = delete;
        Waiting& operator=(const Waiting&) = delete;
    };

    static void push(List& list, RcuHead* head, void (*callback)(RcuHead*));
    static RcuHead** take(List& list, RcuHead** tail);
    static void run(RcuHead* head);
    bool collect();
    bool all_passed();
    void run_batch();
    RcuHead* take_ready();
    void run_ready(RcuHead* head);
    bool finish_batch(bool wait);
    void step();

    host::Atomic<u32> driver_{};  // 0: none; else who drives, plus whoever came since
    // Of the driver:
    bool in_flight_ = false;            // a grace period runs for the two batches
    RcuHead* batch_ = nullptr;          // callbacks that may not sleep
    RcuHead* process_batch_ = nullptr;  // callbacks that may
    RcuHead* ready_ = nullptr;          // of the latter, past their grace period
    u64 snapshots_[kMaxCpus] = {};

    host::Atomic<u32> process_running_{};  // threads that run callbacks which may sleep
    Incoming incoming_[kMaxCpus] = {};
};

template <class Host>
void Domain<Host>::push(List& list, RcuHead* head, void (*callback)(RcuHead*)) {
    head->callback = callback;
    RcuHead* old = list.load(Order::Relaxed);
    do {
        head->next = old;
        // The release pairs with the acquire in take().
    } while (!list.compare_exchange(old, head, Order::Release, Order::Relaxed));
    if (!old) Host::kick();
}

template <class Host>
void Domain<Host>::call(RcuHead* head, void (*callback)(RcuHead*)) {
    push(incoming_[Host::cpu_id()].atomic, head, callback);
}

template <class Host>
void Domain<Host>::call_process(RcuHead* head, void (*callback)(RcuHead*)) {
    push(incoming_[Host::cpu_id()].process, head, callback);
}

// Moves a list, oldest first, to the end of another; the new end.
template <class Host>
RcuHead** Domain<Host>::take(List& list, RcuHead** tail) {
    // Most lists are empty most of the time: no write to their line then.
    if (!list.load(Order::Relaxed)) return tail;
    // The acquire pairs with the release in push().
    RcuHead* head = list.exchange(nullptr, Order::Acquire);
    RcuHead* const newest = head;
    RcuHead* reversed = nullptr;
    while (head) {
        RcuHead* next = head->next;
        head->next = reversed;
        reversed = head;
        head = next;
    }
    *tail = reversed;
    return newest ? &newest->next : tail;
}

// Takes every list and starts a grace period for what it found; false: nothing.
template <class Host>
bool Domain<Host>::collect() {
    RcuHead** tail = &batch_;
    RcuHead** process_tail = &process_batch_;
    for (u32 cpu = 0; cpu < Host::cpus(); ++cpu) {
        tail = take(incoming_[cpu].atomic, tail);
        process_tail = take(incoming_[cpu].process, process_tail);
    }
    in_flight_ = batch_ || process_batch_;
    if (!in_flight_) return false;
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
void Domain<Host>::run(RcuHead* head) {
    while (head) {
        RcuHead* next = head->next;
        head->callback(head);
        head = next;
    }
}

template <class Host>
void Domain<Host>::run_batch() {
    RcuHead* head = batch_;
    batch_ = nullptr;
    in_flight_ = false;
    RcuHead** tail = &ready_;
    while (*tail) tail = &(*tail)->next;
    *tail = process_batch_;
    process_batch_ = nullptr;
    run(head);
}

// For the driver, before it goes: what it shall run after. Nested in such a callback it leaves all to
// others, lest a chain of objects become a chain of stack frames.
template <class Host>
RcuHead* Domain<Host>::take_ready() {
    if (!ready_) return nullptr;
    if (Host::process_depth()) {
        Host::kick();
        return nullptr;
    }
    RcuHead* ready = ready_;
    ready_ = nullptr;
    process_running_.fetch_add(1, Order::Relaxed);  // under driver_, which barrier() takes too
    return ready;
}

template <class Host>
void Domain<Host>::run_ready(RcuHead* head) {
    if (!head) return;
    ++Host::process_depth();
    run(head);
    --Host::process_depth();
    process_running_.fetch_sub(1, Order::Release);  // pairs with the acquire in barrier()
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

// Until nothing is left, or a CPU is in the way.
template <class Host>
void Domain<Host>::step() {
    for (;;) {
        if (!in_flight_) {
            Host::clear_pending();
            if (!collect()) return;
        }
        if (!finish_batch(false)) return;
    }
}

template <class Host>
void Domain<Host>::advance() {
    for (;;) {
        if (driver_.fetch_add(1, Order::AcqRel) != 0) return;
        RcuHead* ready = nullptr;
        // No CPU to be had: those who have them all look for the kick when they leave.
        if (Host::enter()) {
            step();
            ready = take_ready();
            if (!ready) Host::exit();
        }
        const bool alone = driver_.exchange(0, Order::AcqRel) == 1;
        if (ready) {
            run_ready(ready);
            Host::exit();
        } else if (alone) {
            return;
        }
    }
}

template <class Host>
void Domain<Host>::synchronize() {
    const Waiting waiting;
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
    const Waiting waiting;
    for (u32 spins = 0; driver_.fetch_add(1, Order::AcqRel) != 0; ++spins) Host::wait(spins);
    if (in_flight_) finish_batch(true);
    Host::clear_pending();
    if (collect()) finish_batch(true);
    RcuHead* ready = take_ready();
    // What callbacks queued meanwhile has its kick.
    driver_.exchange(0, Order::AcqRel);
    run_ready(ready);
    if (Host::process_depth()) return;
    // The acquire pairs with the release in run_ready().
    for (u32 spins = 0; process_running_.load(Order::Acquire); ++spins) Host::wait(spins);
}

template <class Host>
bool Domain<Host>::idle() const {
    if (in_flight_ || ready_ || process_running_.load(Order::Relaxed)) return false;
    for (const Incoming& lists : incoming_) {
        if (lists.atomic.load(Order::Relaxed) || lists.process.load(Order::Relaxed)) return false;
    }
    return true;
}

template <class Host>
void Domain<Host>::abandon() {
    in_flight_ = false;
    batch_ = process_batch_ = ready_ = nullptr;
    for (Incoming& lists : incoming_) {
        lists.atomic.store(nullptr, Order::Relaxed);
        lists.process.store(nullptr, Order::Relaxed);
    }
    process_running_.store(0, Order::Relaxed);
    driver_.store(0, Order::Relaxed);
}

}  // namespace barebpf::rcu
