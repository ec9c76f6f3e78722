// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose: interrupts and NMIs at random and at chosen instructions, a CPU that stops for a while at
// the worst place, allocations that fail. For the tests of every structure, in each environment:
//
//                          process                      guest
//     Storm                signals from a thread        timer interrupts; NMIs by IPI, or single steps on one CPU
//     Trace, Breakpoint    x86-64, arm64: not there     single steps; debug registers (x86-64), BRK (arm64)
//     Hold                 (Trace::record() says so)
//     fail_each_allocation everywhere                   everywhere
//
// What is interrupted may hold any lock; what runs in a handler is in interrupt or NMI context and may do what a
// program may do there: look up, update, delete; not sleep.
#pragma once

#include "testkit/machine.h"

namespace barebpf::inject {

using Handler = void (*)(void* argument);

enum class Kind : u8 { Irq, Nmi };

// Interrupts CPUs 0 .. cpu_count - 1 at random moments for its life. The handler runs on each of them, several at
// once. Process context; the CPUs must be in the library, or in a guest.
class Storm {
public:
    struct Options {
        Kind kind = Kind::Nmi;
        u32 cpu_count = 1;
        u64 mean_gap_ns =
            50'000;  // between two on the same CPU, as far as the machine is fast enough
    };
    Storm(const Options& options, Handler handler, void* argument);
    ~Storm();  // returns when no handler runs any more
    Storm(const Storm&) = delete;
    Storm& operator=(const Storm&) = delete;
    u64 served() const;  // handlers run so far

private:
    void* state_;  // the backend's
};

// The instructions that an operation executes on this CPU, in the order of their first execution, each once.
// A quarter of a megabyte: static.
class Trace {
public:
    enum class Where : u8 { Everywhere, UnderLock };
    static constexpr u32 kMax = 8192;

    // Runs operation(argument) once, single-stepped. False: the machine cannot (then nothing was run), or more
    // than kMax instructions (the rest is not recorded).
    bool record(Where where, Handler operation, void* argument);
    u32 size() const { return count_; }
    u64 operator[](u32 i) const { return pcs_[i]; }

    void add(u64 pc);  // for the backend

private:
    static constexpr u32 kTable = 2 * kMax;

    u32 count_ = 0;
    u64 pcs_[kMax];
    u64 table_[kTable];  // the same, by hash, open addressing
};

// handler(argument) runs in NMI context, once, when `cpu` is about to execute the instruction at pc. One at a time.
class Breakpoint {
public:
    Breakpoint(u64 pc, u32 cpu, Handler handler, void* argument);
    ~Breakpoint();
    Breakpoint(const Breakpoint&) = delete;
    Breakpoint& operator=(const Breakpoint&) = delete;
    bool hit() const;

private:
    void* slot_;  // the backend's
};

// Stops `cpu` when it is about to execute the instruction at pc, once, until release() or the end.
class Hold {
public:
    Hold(u64 pc, u32 cpu) : breakpoint_(pc, cpu, stop, this) {}
    ~Hold() { release(); }
    bool is_held() const { return held_.load(host::Order::Acquire); }
    void release() { released_.store(1, host::Order::Release); }

private:
    static void stop(void* argument) {
        auto* self = static_cast<Hold*>(argument);
        self->held_.store(1, host::Order::Release);  // pairs with is_held()
        // The acquire pairs with release(): what the others did while we stood still is seen.
        while (!self->released_.load(host::Order::Acquire)) host::spin_hint();
    }

    host::Atomic<u32> held_{};
    host::Atomic<u32> released_{};
    Breakpoint breakpoint_;
};

// Runs operation() with its first allocation failing, then with its second, and so on until none fails; after each
// failure check(n). operation() must leave nothing behind when it fails. The number of allocations.
template <class Operation, class Check>
u32 fail_each_allocation(Operation operation, Check check) {
    for (u32 n = 0;; ++n) {
        machine::fail_allocation_after(n);
        operation();
        if (!machine::stop_failing_allocations()) return n;
        check(n);
    }
}

// Runs operation() once for each recorded instruction, with nmi() in NMI context before it.
template <class Operation, class Nmi>
void at_each_instruction(const Trace& trace, u32 cpu, Operation operation, Nmi nmi) {
    for (u32 i = 0; i < trace.size(); ++i) {
        Breakpoint here(
            trace[i], cpu, [](void* self) { (*static_cast<Nmi*>(self))(); }, &nmi);
        operation();
    }
}

}  // namespace barebpf::inject
