// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Interrupts and NMIs between CPUs, and what each kind does.
//
// Each CPU has a mailbox of one request for each kind: free -> claimed -> posted -> free again once the handler
// has returned. A handler may call the library: it is inside while it runs.
#include "testkit/guest/kernel.h"
#include "testkit/machine.h"

namespace barebpf::guest {

namespace {

enum State : u32 { kFree, kClaimed, kPosted };

struct alignas(64) Mailbox {
    Atomic<u32> state;
    machine::InterruptHandler function;
    void* argument;
};
constinit Mailbox irq_mailboxes[kMaxGuestCpus]{};
constinit Mailbox nmi_mailboxes[kMaxGuestCpus]{};

bool post(Mailbox& mailbox, machine::InterruptHandler function, void* argument) {
    u32 state = kFree;
    // Pairs with the release in run().
    if (!mailbox.state.compare_exchange(state, kClaimed, Order::Acquire, Order::Relaxed)) {
        // Who tries again and again lets the other CPU go on: QEMU may have one thread for all.
        backend::spin_hint();
        return false;
    }
    mailbox.function = function;
    mailbox.argument = argument;
    mailbox.state.store(kPosted, Order::Release);  // pairs with the acquire in run()
    return true;
}

bool run(Mailbox& mailbox) {
    if (mailbox.state.load(Order::Acquire) != kPosted) return false;
    {
        host::Cpu::Entry inside;
        mailbox.function(mailbox.argument);
    }
    mailbox.state.store(kFree, Order::Release);
    return true;
}

void wait_until_run(const Mailbox& mailbox) {
    while (mailbox.state.load(Order::Acquire) != kFree) backend::spin_hint();
}

}  // namespace

u64 tick_ns;

void set_tick() {
    arch::set_timer(this_cpu() == 0 ? tick_ns : 0);
}

void run_mailbox_irq() {
    run(irq_mailboxes[this_cpu()]);
}

bool run_mailbox_nmi() {
    return run(nmi_mailboxes[this_cpu()]);
}

// Whatever else it says, an interrupt ends a sleep, and who slept looks for himself.
void on_ipi(Frame*) {
    run_mailbox_irq();
}

void on_nmi(Frame* frame) {
    answer_dump_request(frame);
    run_mailbox_nmi();
}

// Whoever sets breakpoints (testkit/guest/inject.cc) brings its own.
__attribute__((weak)) void on_breakpoint(Frame* frame) {
    on_fault(frame, "a breakpoint that nobody has set", 0);
}

__attribute__((weak)) void on_step(Frame* frame) {
    on_fault(frame, "a step that nobody has asked for", 0);
}

}  // namespace barebpf::guest

namespace barebpf::machine {

bool send_irq(u32 cpu, InterruptHandler function, void* argument) {
    if (cpu >= guest::cpu_count) return false;
    guest::Mailbox& mailbox = guest::irq_mailboxes[cpu];
    if (!guest::post(mailbox, function, argument)) return false;
    guest::arch::send_ipi(cpu);
    if (cpu == guest::this_cpu() && !guest::irqs_off()) guest::wait_until_run(mailbox);
    return true;
}

bool send_nmi(u32 cpu, InterruptHandler function, void* argument) {
    if (cpu >= guest::cpu_count) return false;
    guest::Mailbox& mailbox = guest::nmi_mailboxes[cpu];
    if (!guest::post(mailbox, function, argument)) return false;
    guest::arch::send_nmi(cpu);
    if (cpu == guest::this_cpu() && !host::in_nmi()) guest::wait_until_run(mailbox);
    return true;
}

}  // namespace barebpf::machine
