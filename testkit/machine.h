// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a test may ask of the machine it runs on, beyond the host contract: each backend that tests run on
// implements it (testkit/user: a process; testkit/guest: the test kernel), so that the same test sources
// interrupt, starve and inspect the library everywhere.
#pragma once

#include "kernel/host/contract.h"
#include "kernel/lib/types.h"

namespace barebpf::machine {

// ── Interrupts and NMIs ───────────────────────────────────────────────────────────────────────
// Interrupts that CPU: function(argument) runs there, with interrupts off; an interrupt waits while the CPU has
// interrupts off, an NMI never does. To this CPU it is synchronous (but for interrupts off). False: in a process,
// nobody is on that CPU; in a guest, the CPU still has an earlier one of the same kind before it. A thread of a
// process that leaves the library before the interrupt arrives runs nothing.
using InterruptHandler = void (*)(void* argument);
bool send_irq(u32 cpu, InterruptHandler function, void* argument);
bool send_nmi(u32 cpu, InterruptHandler function, void* argument);

// ── Memory accounting and failure injection ───────────────────────────────────────────────────
struct LiveMemory {
    s64 bytes;   // heap, per-CPU, pages, executable memory
    s64 blocks;  // allocations of these
};
LiveMemory live_memory();

// The next count allocations succeed and the one after fails, once; counted over heap, per-CPU
// memory, pages, page mappings, executable reservations and descriptors of every CPU.
void fail_allocation_after(u64 count);
// Ends the injection; true if the failure had come.
bool stop_failing_allocations();

// ── Descriptors ───────────────────────────────────────────────────────────────────────────────
// True while fd is one of the library's.
bool fd_is_ours(int fd);
// Closes one of ours for real; -EBADF otherwise.
int close_fd(int fd);
// "anon_inode:bpf-map" and so on; null if fd is not ours.
const char* fd_name(int fd);
// The object's fdinfo lines; false if fd is not ours.
bool fd_info(int fd, TextBuffer* out);

// ── Log ───────────────────────────────────────────────────────────────────────────────────────
// Null: standard error, or the console. The text has no newline and is not NUL-terminated.
using LogCallback = void (*)(host::LogLevel level, const char* text, size_t length);
void set_log_callback(LogCallback callback);

}  // namespace barebpf::machine
