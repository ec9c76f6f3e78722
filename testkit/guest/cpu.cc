// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// CPUs: bringing them up, giving them work, and what they do without any.
//
// A job is posted to a CPU that is idle (free -> posted -> running -> free); an interrupt ends its sleep. Who
// waits for a job sleeps too, and is woken the same way when a job ends.
#include "testkit/guest/guest.h"
#include "testkit/guest/kernel.h"

namespace barebpf::guest {

namespace {

constexpr u64 kComeUpNs = 5'000'000'000;
constexpr u64 kLookAgainNs = 10'000'000;  // should a wake-up come before the sleep

enum JobState : u32 { kFree, kPosted, kRunning };

struct alignas(64) Job {
    Atomic<u32> state;
    void (*function)(void* argument, u32 cpu);
    void* argument;
};
constinit Job jobs[kMaxGuestCpus]{};

Atomic<u32> waiting;  // bit n: CPU n waits for a job to end

void wake_those_that_wait() {
    const u32 cpus = waiting.load(Order::Relaxed);
    for (u32 cpu = 0; cpu < cpu_count; ++cpu) {
        if ((cpus >> cpu) & 1) arch::send_ipi(cpu);
    }
}

void run_job() {
    Job& job = jobs[this_cpu()];
    // Pairs with the release in start_on_cpu().
    if (job.state.load(Order::Acquire) != kPosted) return;
    job.state.store(kRunning, Order::Relaxed);
    job.function(job.argument, this_cpu());
    job.state.store(kFree, Order::Release);  // pairs with the acquire in finished()
    wake_those_that_wait();
}

// Sleeps until an interrupt, unless there is a job.
void sleep_until_interrupt() {
    const auto irq = irq_save();
    if (jobs[this_cpu()].state.load(Order::Acquire) != kPosted) arch::wait_for_interrupt();
    irq_restore(irq);
}

bool wait_online(const CpuArea& area) {
    const u64 start = arch::clock_ns();
    while (!area.online.load(Order::Acquire)) {
        if (arch::clock_ns() - start > kComeUpNs) return false;
        backend::spin_hint();
    }
    return true;
}

}  // namespace

void start_cpus(u32 wanted) {
    for (u32 cpu = 1; cpu < wanted; ++cpu) {
        if (!prepare_area(cpu)) fail("no memory for the stacks of CPU", cpu);
        // Before it runs: whoever waits for all CPUs counts it from its first instruction on.
        if (!arch::start_cpu(&cpu_areas[cpu]) || !wait_online(cpu_areas[cpu]))
            refuse("CPU ", cpu, " of ", wanted, " did not come up");
        cpu_count = cpu + 1;
    }
}

void idle_loop() {
    for (;;) {
        run_job();
        if (backend::attention.load(Order::Relaxed)) advance_rcu();
        sleep_until_interrupt();
    }
}

bool start_on_cpu(u32 cpu, void (*function)(void* argument, u32 cpu), void* argument) {
    if (cpu >= cpu_count || cpu == this_cpu()) return false;
    Job& job = jobs[cpu];
    if (job.state.load(Order::Acquire) != kFree) return false;
    job.function = function;
    job.argument = argument;
    job.state.store(kPosted, Order::Release);
    arch::send_ipi(cpu);
    return true;
}

bool finished(u32 cpu) {
    return jobs[cpu].state.load(Order::Acquire) == kFree;
}

void wait_for_cpu(u32 cpu) {
    waiting.fetch_or(1u << this_cpu(), Order::Relaxed);
    while (!finished(cpu)) {
        const auto irq = irq_save();
        arch::set_timer(kLookAgainNs);
        if (!finished(cpu)) arch::wait_for_interrupt();
        irq_restore(irq);
    }
    set_tick();
    waiting.fetch_and(~(1u << this_cpu()), Order::Relaxed);
}

void sleep_ns(u64 ns) {
    const u64 end = arch::clock_ns() + ns;
    for (u64 now = arch::clock_ns(); now < end; now = arch::clock_ns()) {
        const auto irq = irq_save();
        arch::set_timer(end - now);
        arch::wait_for_interrupt();
        irq_restore(irq);
    }
    set_tick();
}

}  // namespace barebpf::guest

extern "C" void guest_secondary_main(barebpf::guest::CpuArea* area) {
    using namespace barebpf::guest;  // NOLINT: it is one of its functions
    arch::init_cpu(area);
    area->online.store(1, Order::Release);  // pairs with the acquire in wait_online()
    irq_restore(kIrqsOn);
    idle_loop();
}
