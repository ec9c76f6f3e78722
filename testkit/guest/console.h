// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest: lines on the console (testkit/guest/console.cc), and the run's end (testkit/guest/panic.cc).
#pragma once

#include "kernel/lib/text.h"
#include "testkit/guest/arch.h"

namespace barebpf::guest {

// The final line and the exit status. Any context; must not fail.
[[noreturn]] void finish(u32 status, const char* text);

// A line of the kernel's own: "guest: " and the parts.
template <class... Parts>
void say(const Parts&... parts) {
    char line[200];
    TextBuffer out(line);
    out.print(parts...);
    print_line(out.c_str());
}

template <class... Parts>
[[noreturn]] void fail_with(const Parts&... parts) {
    char line[200];
    TextBuffer out(line);
    out.print(parts...);
    fail(out.c_str());
}

// What was asked for cannot be had (arguments, memory, CPUs): the line and the end, without a dump.
template <class... Parts>
[[noreturn]] void refuse(const Parts&... parts) {
    char line[200];
    TextBuffer out(line);
    out.print(parts...);
    print_line(out.c_str());
    finish(1, out.c_str());
}

// From here on whoever writes does so without the lock, and every other CPU's lines are dropped.
void take_console(u32 cpu);

// ── Stacks (testkit/guest/dump.cc) ────────────────────────────────────────────────────────────
// Return addresses, innermost first, of the code that runs; what is not in the image's text ends the walk. Safe
// in any context, whatever the frame pointers hold.
u32 return_addresses(u64* out, u32 count, u64 frame_pointer);
void print_stack(u64 pc, u64 frame_pointer);

// In an NMI: true if it was for a dump, which has been printed. Then this CPU stops.
void answer_dump_request(Frame* frame);
// The caller's CPU has printed its own: lets each other one print, by NMI, in bounded time.
void dump_other_cpus();

}  // namespace barebpf::guest
