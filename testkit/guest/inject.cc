// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose in the guest (testkit/inject.h): what timer, breakpoint and step traps do.
//
//     Storm of interrupts   each CPU's timer fires after a random time, runs the handler, is set again
//     Storm of NMIs         the timer sends an NMI to another CPU, or lets its own CPU go on step by step for a random
//                           number of instructions and then runs the handler, whatever the CPU is in by then
//     Trace                 a breakpoint on the operation's first instruction starts stepping, its return ends it
//
// One storm and one trace at a time; up to four breakpoints.
#include "testkit/inject.h"

#include "testkit/guest/kernel.h"

namespace barebpf::guest {
namespace {

using host::Atomic;
using host::Order;

constexpr u32 kMaxSteps = 400;
constexpr u32 kFewStepsBetweenTimers = 8;
constexpr u32 kMostStepsBetweenTimers = 1024;

struct alignas(64) StormCpu {
    u64 random;
    u32 steps_left;  // until the handler runs; 0: not stepping
};

struct alignas(64) TimerCpu {
    u64 set_at;      // what the CPU was about to execute when its timer was set last
    u32 steps;       // how many it takes before the timer is set, where it does not go on by itself
    u32 steps_left;  // of them until it is set; 0: it is set
};
constinit TimerCpu timers[kMaxGuestCpus]{};

struct StormState {
    Atomic<u32> on;       // 1: handlers may start
    Atomic<u32> running;  // timer and NMI handlers under way
    Atomic<u64> served;
    inject::Storm::Options options;
    inject::Handler handler;
    void* argument;
    StormCpu cpus[kMaxGuestCpus];
    Atomic<u32> in_nmi[kMaxGuestCpus];  // a handler of NMIs runs there
};
constinit StormState storm{};

u64 next_random(u64* state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

// Between here and end_of_storm_work() the storm does not end. False: it is over. The exchange of running and on are
// both sequentially consistent: either we see that it is off, or the end sees us running.
bool begin_storm_work() {
    storm.running.fetch_add(1, Order::SeqCst);
    if (storm.on.load(Order::SeqCst)) return true;
    storm.running.fetch_sub(1, Order::Release);  // pairs with the acquire in ~Storm()
    return false;
}

void end_storm_work() {
    storm.running.fetch_sub(1, Order::Release);  // pairs with the acquire in ~Storm()
}

void serve() {
    host::Cpu::Entry inside;
    storm.handler(storm.argument);
    storm.served.fetch_add(1, Order::Relaxed);
}

// A handler that runs in a step's trap does not keep an NMI off, as an NMI's own does.
void storm_nmi(void*) {
    Atomic<u32>& here = storm.in_nmi[this_cpu()];
    if (here.load(Order::Relaxed) || !begin_storm_work()) return;
    here.store(1, Order::Relaxed);
    serve();
    here.store(0, Order::Relaxed);
    end_storm_work();
}

void set_storm_timer() {
    StormCpu& mine = storm.cpus[this_cpu()];
    arch::set_timer(1 + next_random(&mine.random) % (2 * storm.options.mean_gap_ns));
}

void set_timer_now(u64 pc) {
    timers[this_cpu()].set_at = pc;
    if (storm.on.load(Order::Relaxed) && this_cpu() < storm.options.cpu_count) {
        set_storm_timer();
    } else {
        set_tick();
    }
}

// Sets the timer for the next time. Where QEMU runs the CPUs in turns, setting it ends the turn, and when the next one
// comes the timer has expired again: a CPU that has not gone on since takes some steps first, each time twice as many,
// or a callback with a hundred thousand objects would not end.
void set_timer_again(Frame* frame) {
    TimerCpu& mine = timers[this_cpu()];
    const u64 pc = arch::frame_pc(*frame);
    if (pc != mine.set_at) {
        mine.steps = kFewStepsBetweenTimers;
        return set_timer_now(pc);
    }
    mine.steps_left = mine.steps;
    if (mine.steps < kMostStepsBetweenTimers) mine.steps *= 2;
    arch::set_stepping(frame, true);
}

void start_storm_here(void*) {
    if (this_cpu() < storm.options.cpu_count) set_storm_timer();
}

void send_storm_nmi(Frame* frame) {
    StormCpu& mine = storm.cpus[this_cpu()];
    const u64 random = next_random(&mine.random);
    const u32 victim = u32(random % storm.options.cpu_count);
    if (victim != this_cpu()) {
        machine::send_nmi(victim, storm_nmi,
                          nullptr);  // one that is still on its way there will do
        return;
    }
    // One whose steps are under way is not put off: it would never come to one that takes few between two timers.
    if (!mine.steps_left) mine.steps_left = 1 + u32(random >> 32) % kMaxSteps;
    arch::set_stepping(frame, true);
}

// ── Breakpoints ──

constexpr u32 kSlots = 4;

struct Slot {
    Atomic<u32> taken;
    Atomic<u32> hit;
    u64 pc;
    u32 cpu;
    inject::Handler handler;  // null: a trace begins
    void* argument;
};
constinit Slot slots[kSlots]{};

Slot* take_slot(u64 pc, u32 cpu, inject::Handler handler, void* argument) {
    for (u32 i = 0; i < kSlots; ++i) {
        if (slots[i].taken.exchange(1, Order::Acquire)) continue;  // pairs with give_slot()
        slots[i].hit.store(0, Order::Relaxed);
        slots[i].pc = pc;
        slots[i].cpu = cpu;
        slots[i].handler = handler;
        slots[i].argument = argument;
        if (!arch::set_breakpoint(i, pc)) fail("a breakpoint that the machine does not have", i);
        return &slots[i];
    }
    fail("more breakpoints at once than there are slots");
}

void give_slot(Slot* slot) {
    arch::clear_breakpoint(u32(slot - slots));
    slot->taken.store(0, Order::Release);  // pairs with take_slot()
}

// ── Trace ──

struct TraceState {
    inject::Trace* trace;  // null: none runs
    u32 cpu;
    bool under_lock_only;
    u64 end;  // where the operation returns to; 0: it has not begun
};
constinit TraceState tracing{};

void trace_step(Frame* frame) {
    const u64 pc = arch::frame_pc(*frame);
    if (pc == tracing.end) {
        tracing.trace = nullptr;
        arch::set_stepping(frame, false);
        return;
    }
    if (!tracing.under_lock_only || host::validator::held_outside_nmi()) tracing.trace->add(pc);
}

bool is_traced() {
    return tracing.trace && tracing.end && tracing.cpu == this_cpu();
}

void step_between_timers(Frame* frame) {
    TimerCpu& mine = timers[this_cpu()];
    if (mine.steps_left && --mine.steps_left == 0) set_timer_now(arch::frame_pc(*frame));
}

// What a storm on its own CPU counts down; true: to its end.
bool step_of_storm() {
    StormCpu& mine = storm.cpus[this_cpu()];
    return mine.steps_left && --mine.steps_left == 0;
}

}  // namespace

void on_timer(Frame* frame) {
    if (!begin_storm_work()) return set_timer_again(frame);
    if (storm.options.kind == inject::Kind::Irq) {
        serve();
    } else {
        send_storm_nmi(frame);
    }
    set_timer_again(frame);
    end_storm_work();
}

void on_breakpoint(Frame* frame) {
    for (Slot& slot : slots) {
        if (!slot.taken.load(Order::Acquire) || slot.pc != arch::frame_pc(*frame)) continue;
        if (slot.cpu != this_cpu() || slot.hit.exchange(1, Order::AcqRel)) continue;
        if (slot.handler) {
            host::Cpu::Entry inside;
            slot.handler(slot.argument);
        } else {
            tracing.end = arch::frame_return_address(*frame);
            trace_step(frame);
            arch::set_stepping(frame, true);
        }
    }
}

void on_step(Frame* frame) {
    const bool traced = is_traced();
    if (traced) trace_step(frame);
    const bool nmi = !traced && step_of_storm();
    step_between_timers(frame);
    // None of them: an old flags register came back.
    const bool more =
        is_traced() || storm.cpus[this_cpu()].steps_left || timers[this_cpu()].steps_left;
    arch::set_stepping(frame, more);
    if (nmi) storm_nmi(nullptr);
}

}  // namespace barebpf::guest

namespace barebpf::inject {

using namespace guest;  // NOLINT: its own parts
using host::Order;

Storm::Storm(const Options& options, Handler handler, void* argument) : state_(nullptr) {
    storm.options = options;
    if (storm.options.cpu_count > cpu_count) storm.options.cpu_count = cpu_count;
    storm.handler = handler;
    storm.argument = argument;
    storm.served.store(0, Order::Relaxed);
    for (u32 cpu = 0; cpu < storm.options.cpu_count; ++cpu)
        storm.cpus[cpu] = {host::random_u64() | 1, 0};
    if (storm.on.exchange(1, Order::SeqCst)) fail("two storms at once");
    for (u32 cpu = 0; cpu < storm.options.cpu_count; ++cpu) {
        while (!machine::send_irq(cpu, start_storm_here, nullptr)) host::spin_hint();
    }
}

Storm::~Storm() {
    storm.on.store(0, Order::SeqCst);
    // The acquire pairs with the release of whoever was running.
    while (storm.running.load(Order::SeqCst)) host::spin_hint();
}

u64 Storm::served() const {
    return storm.served.load(Order::Relaxed);
}

bool Trace::record(Where where, Handler operation, void* argument) {
    count_ = 0;
    __builtin_memset(table_, 0, sizeof table_);
    host::Cpu::Pin pin;
    tracing = {this, this_cpu(), where == Where::UnderLock, 0};
    Slot* slot = take_slot(reinterpret_cast<u64>(operation), this_cpu(), nullptr, nullptr);
    operation(argument);
    give_slot(slot);
    return count_ < kMax;
}

void Trace::add(u64 pc) {
    u32 at = u32((pc * 0x9e3779b97f4a7c15) >> 32) % kTable;
    while (table_[at] && table_[at] != pc) at = (at + 1) % kTable;
    if (table_[at] || count_ == kMax) return;
    table_[at] = pc;
    pcs_[count_++] = pc;
}

Breakpoint::Breakpoint(u64 pc, u32 cpu, Handler handler, void* argument)
    : slot_(take_slot(pc, cpu, handler, argument)) {}

Breakpoint::~Breakpoint() {
    give_slot(static_cast<Slot*>(slot_));
}

bool Breakpoint::hit() const {
    return static_cast<Slot*>(slot_)->hit.load(Order::Acquire);
}

}  // namespace barebpf::inject
