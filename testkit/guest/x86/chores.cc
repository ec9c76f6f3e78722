// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest, x86-64: what one CPU has all others do at once: forget translations, see new code, load breakpoints.
//
//     asker                                        each other CPU
//     t = ++wanted[chore]   (release)
//     idle?  yes: next CPU                         idle = 0, then as below, before it does anything else
//            no:  NMI, wait until done >= t        any trap: w = wanted[chore] (acquire); do it; done = max(done, w)
//
// An NMI gets through to a CPU that has interrupts off, and to one that is in an NMI handler (entry.S), so that nobody
// waits for a lock or a handler. Every trap does the chores first. A CPU that waits here does its own meanwhile.
// Counters, not flags: who asked for t is content with any later round.
//
// A halted CPU executes nothing that could use a stale translation or stale code until an interrupt wakes it, and
// the first thing that it does then is leave_idle() (traps.cc); until there it touches its trap stacks and this
// file's data, whose mappings never change.
//
// SDM vol. 3, 4.10.5 (TLB shootdown), 8.1.3 (a serialising instruction before code written by another CPU).
#include "testkit/guest/x86/x86.h"

extern "C" {
extern const char guest_x86_halt[];    // the HLT of wait_for_interrupt()
extern const char guest_x86_halted[];  // behind it
}

namespace barebpf::guest::arch {

namespace {

constexpr u32 kChores = static_cast<u32>(Chore::Count);

void perform(X86Cpu* cpu, Chore chore) {
    switch (chore) {
        case Chore::FlushTlb:
            write_cr3(read_cr3());
            break;
        case Chore::SyncCode:
            cpuid(0);
            break;
        case Chore::Breakpoints:
            load_breakpoints(cpu);
            break;
        case Chore::Count:
            break;
    }
}

// An NMI may do the same in the middle of this, and be further on.
void raise_to(Atomic<u64>* counter, u64 value) {
    u64 old = counter->load(Order::Relaxed);
    // Release: the chore comes before; pairs with the acquire in ask().
    while (old < value && !counter->compare_exchange(old, value, Order::Release, Order::Relaxed)) {
    }
}

// What done must reach. 0 if the CPU is halted, and will do it when it wakes.
u64 ask(X86Cpu* cpu, u32 number, u32 chore) {
    // Sequentially consistent, as in enter_idle and leave_idle(): either we see it idle, and it sees the chore
    // when it wakes, or it sees the chore before it halts.
    const u64 ticket = cpu->wanted[chore].fetch_add(1, Order::SeqCst) + 1;
    if (cpu->idle.load(Order::SeqCst)) return 0;
    raise_nmi(number);
    return ticket;
}

}  // namespace

void begin_chores(X86Cpu* cpu) {
    cpu->live.store(1, Order::SeqCst);
    // Whatever was asked of the others before this.
    for (u32 i = 0; i < kChores; ++i) perform(cpu, static_cast<Chore>(i));
}

void do_chores(X86Cpu* cpu) {
    for (u32 i = 0; i < kChores; ++i) {
        // Sequentially consistent: see ask(). Acquire: the asker's page table, code or breakpoint.
        const u64 wanted = cpu->wanted[i].load(Order::SeqCst);
        if (wanted == cpu->done[i].load(Order::Relaxed)) continue;
        perform(cpu, static_cast<Chore>(i));
        raise_to(&cpu->done[i], wanted);
    }
}

void leave_idle(X86Cpu* cpu) {
    if (!cpu->idle.load(Order::Relaxed)) return;
    cpu->idle.store(0, Order::SeqCst);  // see ask()
    do_chores(cpu);
}

void ask_all(Chore chore) {
    const auto index = static_cast<u32>(chore);
    X86Cpu* self = &this_x86();
    u64 tickets[kMaxGuestCpus] = {};
    for (u32 i = 0; i < kMaxGuestCpus; ++i) {
        X86Cpu* cpu = &x86_cpus[i];
        // SeqCst: a CPU that is not live yet performs all chores after it has become so.
        if (cpu == self || !cpu->live.load(Order::SeqCst)) continue;
        tickets[i] = ask(cpu, i, index);
    }
    for (u32 i = 0; i < kMaxGuestCpus; ++i) {
        while (x86_cpus[i].done[index].load(Order::Acquire) < tickets[i]) {
            if (x86_cpus[i].idle.load(Order::SeqCst)) break;
            do_chores(self);
            host::spin_hint();
        }
    }
}

// An interrupt comes after STI only once HLT has begun (SDM vol. 2, STI), so none is slept over. But an NMI may come
// between the two, and on its return the interrupt: then the HLT is left out.
NOINLINE void wait_for_interrupt() {
    X86Cpu* cpu = &this_x86();
    cpu->idle.store(1, Order::SeqCst);  // see ask()
    do_chores(cpu);
    asm volatile("sti\nguest_x86_halt:\n\thlt\nguest_x86_halted:\n\tcli" ::: "memory");
    leave_idle(cpu);
}

void leave_out_halt(Frame* frame) {
    if (frame->rip == reinterpret_cast<u64>(guest_x86_halt))
        frame->rip = reinterpret_cast<u64>(guest_x86_halted);
}

}  // namespace barebpf::guest::arch
