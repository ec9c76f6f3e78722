// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest: what the guest kernel offers to the programs in it (the test runner, the runner of packed objects), and
// what it asks of them. Process context on the boot CPU unless said otherwise.
#pragma once

#include "kernel/host/fd.h"
#include "kernel/lib/result.h"
#include "kernel/lib/types.h"

namespace barebpf::guest {

// ── Arguments: words that QEMU was given, "name=value" or "name" ──────────────────────────────
class Arguments {
public:
    // The value; "" for a bare word; null: there is no such argument. Of several, the last.
    const char* value(const char* name) const;
    // The value as a number, decimal or 0x...; fails the run if it is none.
    u64 number(const char* name, u64 otherwise) const;
};

// ── What the programs provide ─────────────────────────────────────────────────────────────────
// After bring-up: all CPUs idle, constructors run. Returns 0, or the failing exit status (1..100).
u32 guest_run(const Arguments& arguments);
// The running test cannot be run on this machine.
void skip_test(const char* reason);

// ── Initial RAM disk ──────────────────────────────────────────────────────────────────────────
struct Initrd {
    const u8* data;
    u64 size;  // 0: none
};
Initrd initrd();  // readable for good

// ── Console ───────────────────────────────────────────────────────────────────────────────────
// As it is, in one piece (lines of several CPUs do not mix). Any context.
void console_write(const char* text, size_t length);

// ── Heap ──────────────────────────────────────────────────────────────────────────────────────
// Looks at the red zones and the poison of all blocks, live and freed: damage ends the run with a report. Call it
// after each test; any process context.
void heap_check();

// ── Memory figures ────────────────────────────────────────────────────────────────────────────
struct MemoryFigures {
    u64 total_pages;  // of RAM that the page allocator has
    u64 free_pages;   // those that freed blocks still hold in quarantine are not free
    u64 least_free;   // since the start
};
MemoryFigures memory_figures();

// ── Descriptors, as system calls would offer them ─────────────────────────────────────────────
// Maps pages of the object, or fails with what mmap(2) fails with. The address is readable (and writable) by
// everybody until munmap_object() of the same.
Result<void*> mmap_object(int fd, u64 offset, u64 length, bool writable);
Result<void> munmap_object(void* address);
// Ready bits (POLLIN = 1, POLLOUT = 4) that hold now. 0 if fd is not ours.
u32 poll_fd(int fd);
// Sleeps until one of these bits holds, at most so long; the bits that hold, 0: none came. Not inside the
// library (host::Cpu::Entry), interrupts on.
u32 wait_fd(int fd, u32 events, u64 timeout_ns);

// ── Random bits ───────────────────────────────────────────────────────────────────────────────
// From here on the sequence that the seed determines; 0: the machine's.
void seed_random(u64 seed);

// ── CPUs ──────────────────────────────────────────────────────────────────────────────────────
// Runs function(argument) on another CPU, which must be idle; returns at once. finished() tells.
bool start_on_cpu(u32 cpu, void (*function)(void* argument, u32 cpu), void* argument);
bool finished(u32 cpu);
// Waits until it is; this CPU sleeps meanwhile.
void wait_for_cpu(u32 cpu);
// For this CPU, interrupts on: sleeps or spins for about so long.
void sleep_ns(u64 ns);

}  // namespace barebpf::guest

// ── For testkit/test.h ────────────────────────────────────────────────────────────────────────
namespace barebpf::test {
// CPU n runs function(closure, n), inside the library, at once with the others. More than there are CPUs:
// skip_test(), and nothing runs.
void run_on_cpus_raw(u32 count, void (*function)(void* closure, u32 cpu), void* closure);
u32 cpus();
}  // namespace barebpf::test
