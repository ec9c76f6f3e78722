// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The schedule explorer: runs a small scenario of several CPUs again and again, each time in another order of their
// steps, and says how to run a failing one again.
//
//     struct LostUpdate : explore::Scenario {
//         host::Atomic<u32> count;
//         void cpu(u32) override { count.store(count.load(Order::Relaxed) + 1, Order::Relaxed); }
//         void finish() override { explore::check(count.load(Order::Relaxed) == 2, "an update is lost"); }
//     };
//     EXPECT_HOLDS(explore::explore<LostUpdate>({.name = "lost_update", .cpus = 2}));
//
// The code under test is the core compiled against this backend. Each CPU is a fiber; one runs at a time. A step is an
// operation on an atomic, a fence, a lock taken or given back, the begin or end of a read section, call_rcu(), an
// allocation, a spin hint, interrupts switched. Before each step the explorer may
//
//     go on | let another CPU run (a preemption) | run Scenario::nmi() on this CPU | let an allocation fail |
//     give a load an older value (relaxed mode)
//
// Search: first systematically, all executions with no such deviation, then with one, two, ... up to `bound`; then at
// random (priorities with change points and random walks in turn) from `seed`. Switching is tried only before steps
// on memory that several contexts use and one writes, which is found out by running (the others commute with what
// the other CPUs do); a pass that finds more such memory is repeated.
//
// Read-copy-update is the explorer's: a callback may run as soon as each CPU that was in a read section at the time
// of its call has left it, on a CPU of its own (number `cpus`), and runs at the latest before finish().
//
// A finding is a check that fails, a deadlock (nobody can go on), more steps than max_steps, an access to freed or
// foreign memory by an atomic, a bad free, memory left over, a breach of the contract (a lock that may wait in an NMI,
// sleeping where it is forbidden), a panic of the core, or (in relaxed mode) atomics that overlap. It is reduced
// (deviations are left out as long as the finding stays) and shown as a replay string with the steps that led to it:
//
//     BAREBPF_EXPLORE=lost_update:0.3>1 explore_test --gtest_filter=Explorer.LostUpdate
//
// runs that execution again and prints its steps. A deviation is CPU.DECISION and what was done: `>1` CPU 1 went on, `!`
// an NMI, `-1` a load saw the value before the newest, `x` an allocation failed; decisions are counted for each CPU.
//
// Relaxed mode is C++'s memory model, operationally: each atomic keeps its history, each CPU a view of how much of each
// history it must have seen; acquire, release, fences, seq_cst, locks and RCU join views. Not in it: a load that sees a
// value stored later in the order of steps (load buffering), and stores that enter a history other than at its end.
// Plain accesses always see the newest value. Atomics that overlap without being the same (a word, and a part of it)
// have no common order in it; a run in which two contexts use such is a finding, with both places, lest what the model
// does not see be taken for right.
#pragma once

#include <stdio.h>

#include <string>

#include "kernel/host/contract.h"
#include "kernel/host/fd.h"
#include "kernel/lib/new.h"

namespace barebpf::explore {

inline constexpr u32 kMaxCpus = 7;

class Scenario {
public:
    virtual ~Scenario() = default;
    // Before and after: no steps, no other CPU; CPU 0. At finish() all callbacks have run.
    virtual void setup() {}
    virtual void finish() {}
    virtual void cpu(u32 number) = 0;
    virtual void nmi(u32 number) { (void)number; }
};

struct Options {
    const char* name;  // in replay strings
    u32 cpus = 2;
    // Systematic part: deviations in one execution, all kinds together and each kind.
    u32 bound = 2;
    u32 preemptions = ~0u;
    u32 nmis = 0;
    u32 stale = ~0u;  // loads of older values, relaxed mode
    u32 failed_allocations = 0;
    bool relaxed = false;
    u64 schedules = 20'000;      // at most so many executions in the systematic part
    u64 random_schedules = 500;  // after it
    u64 seed = 1;
    u32 max_steps = 60'000;  // of one execution
};

enum class Finding : u8 {
    None,
    Check,
    Deadlock,
    Livelock,
    Memory,
    Leak,
    Contract,
    Panic,
    Overlap,
    Nondeterminism
};
const char* name_of(Finding finding);

struct Outcome {
    std::string name;
    Finding finding = Finding::None;
    std::string what;    // in words
    std::string replay;  // name:deviations
    std::string report;  // what, replay, and the steps
    u64 schedules = 0;   // executions
    u64 steps = 0;       // of all
    s32 complete = -1;   // the largest bound that was exhausted
    explicit operator bool() const { return finding == Finding::None; }
    std::string summary() const;
};

// A fact that the scenario claims. On a CPU the execution ends here if it does not hold.
void check(bool holds, const char* what);
// Text for the list of steps.
void note(const char* text, u64 value = 0);
// Names memory in reports.
void name(const void* memory, size_t size, const char* name);

// Sleeping until somebody calls wake_all(): take the ticket first, then look, then sleep.
u64 wake_ticket(const host::WaitQueue& queue);
void sleep_on(const host::WaitQueue& queue, u64 ticket);

// A descriptor for bpf(2), which takes over a reference; and its end, which gives that back.
int install(host::FileObject* object);
void close_descriptor(int fd);
// What host::walk_stack() finds on this CPU, or in this NMI, from now on.
inline constexpr u32 kMaxFrames = 4;
void set_stack(const u64* frames, u32 count);

struct Maker {
    size_t size;
    Scenario* (*make)(void* where, const void* argument);
    const void* argument;
};
Outcome explore(const Options& options, const Maker& maker);
// Runs one execution by its replay string.
Outcome replay(const Options& options, const Maker& maker, const std::string& replay);

template <class S>
Maker maker_of() {
    return {sizeof(S), [](void* where, const void*) -> Scenario* { return construct_at<S>(where); },
            nullptr};
}
template <class S, class Argument>
Maker maker_with(const Argument& argument) {
    return {sizeof(S),
            [](void* where, const void* given) -> Scenario* {
                return construct_at<S>(where, *static_cast<const Argument*>(given));
            },
            &argument};
}

template <class S>
Outcome explore(const Options& options) {
    return explore(options, maker_of<S>());
}
// The scenario's constructor gets the argument.
template <class S, class Argument>
Outcome explore(const Options& options, const Argument& argument) {
    return explore(options, maker_with<S>(argument));
}

}  // namespace barebpf::explore

#define EXPECT_HOLDS(...)                                           \
    do {                                                            \
        const ::barebpf::explore::Outcome explored = (__VA_ARGS__); \
        EXPECT_TRUE(bool(explored)) << explored.report;             \
        printf("             %s\n", explored.summary().c_str());    \
    } while (0)
