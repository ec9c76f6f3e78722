// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A test on several CPUs at once.
#include "testkit/guest/guest.h"
#include "testkit/guest/kernel.h"
#include "testkit/test.h"

namespace barebpf::test {

namespace {

using guest::Order;

struct Together {
    Where where;
    void (*function)(void* closure, u32 cpu);
    void* closure;
    u32 count;
    guest::Atomic<u32> arrived;
};

void run_one(void* argument, u32 cpu) {
    auto* all = static_cast<Together*>(argument);
    // Nobody starts before everybody is here: acq_rel, so that all see what was written before.
    all->arrived.fetch_add(1, Order::AcqRel);
    while (all->arrived.load(Order::Acquire) < all->count) backend::spin_hint();
    if (all->where == Where::Outside) return all->function(all->closure, cpu);
    host::Cpu::Entry inside;
    all->function(all->closure, cpu);
}

// The caller's own stay in the library does not hold up grace periods meanwhile.
class Outside {
public:
    Outside() : was_inside_(backend::Rcu::read_held()) {
        if (was_inside_) backend::left_outermost();
    }
    ~Outside() {
        if (was_inside_) guest::this_area()->rcu_word.fetch_add(1, Order::AcqRel);
    }
    Outside(const Outside&) = delete;
    Outside& operator=(const Outside&) = delete;

private:
    bool was_inside_;
};

}  // namespace

void run_on_cpus_raw(u32 count, Where where, void (*function)(void* closure, u32 cpu),
                     void* closure) {
    if (count > guest::cpu_count) {
        char reason[32];
        TextBuffer out(reason);
        out.print("needs ", count, " CPUs");
        guest::skip_test(out.c_str());
        return;
    }
    if (guest::this_cpu() != 0) guest::fail("run_on_cpus() is for the boot CPU");
    Outside outside;
    Together all{where, function, closure, count, {}};
    for (u32 cpu = 1; cpu < count; ++cpu) {
        if (!guest::start_on_cpu(cpu, run_one, &all)) guest::fail("a CPU is not idle", cpu);
    }
    if (count) run_one(&all, 0);
    for (u32 cpu = 1; cpu < count; ++cpu) guest::wait_for_cpu(cpu);
}

u32 cpus() {
    return guest::cpu_count;
}

u32 threads() {
    return cpus();
}

}  // namespace barebpf::test
