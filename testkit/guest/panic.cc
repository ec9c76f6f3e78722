// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The end of a run that fails.
//
//     fail() / on_fault() ──> this CPU is the first? ──> message, its stack ──> the others' stacks ──> exit
//                                │no: another CPU is at it: wait to be stopped
//                                │no: this CPU is at it: a failure while reporting one: exit at once
//
// Nothing here allocates, takes a lock, or waits without a limit.
#include "testkit/guest/guest.h"
#include "testkit/guest/heap.h"
#include "testkit/guest/kernel.h"

namespace barebpf::guest {

namespace {

Atomic<u32> failing;   // CPU + 1 that ends the run
Atomic<u32> attempts;  // of that CPU

// Returns for the one CPU that shall report.
void become_reporter() {
    const u32 self = current_cpu() + 1;
    u32 nobody = 0;
    if (!failing.compare_exchange(nobody, self, Order::AcqRel, Order::Acquire) && nobody != self) {
        // Its stack is printed when the reporter asks for it, by NMI.
        for (;;) backend::spin_hint();
    }
    const u32 attempt = attempts.fetch_add(1, Order::Relaxed);
    if (attempt == 1) {
        print_newline();  // it may have been in the middle of a line
        finish(1, "a failure while reporting a failure");
    }
    if (attempt > 1) arch::exit(1);
    if (areas_ready) irq_save();
    take_console(self - 1);
}

[[noreturn]] void report(const char* text, u64 pc, u64 frame_pointer) {
    say("CPU ", current_cpu(), ":");
    print_stack(pc, frame_pointer);
    if (areas_ready) dump_other_cpus();
    finish(1, text);
}

}  // namespace

void finish(u32 status, const char* text) {
    char line[240];
    TextBuffer out(line);
    if (status) {
        out.print("FAIL ", text);
    } else {
        out.print("PASS");
    }
    print_line(out.c_str());
    arch::exit(status);
}

NOINLINE void fail(const char* text) {
    become_reporter();
    print_line(text);
    report(text, 0, reinterpret_cast<u64>(__builtin_frame_address(0)));
}

NOINLINE void fail(const char* text, u64 number) {
    become_reporter();
    static char line[200];
    TextBuffer out(line);
    out.print(text, ": ", hex(number));
    print_line(out.c_str());
    report(out.c_str(), 0, reinterpret_cast<u64>(__builtin_frame_address(0)));
}

void on_fault(Frame* frame, const char* what, u64 address) {
    become_reporter();
    static char line[200];
    TextBuffer out(line);
    out.print(what, " at ", hex(arch::frame_pc(*frame)), ", address ", hex(address));
    print_line(out.c_str());
    if (areas_ready) heap::describe(address);
    arch::print_frame(*frame);
    report(out.c_str(), arch::frame_pc(*frame), arch::frame_fp(*frame));
}

}  // namespace barebpf::guest
