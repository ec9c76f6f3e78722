// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The user backend's own interface: what the preload library, the command and the tests need from
// it beyond the host contract.
#pragma once

#include <stddef.h>

#include "kernel/host/contract.h"
#include "kernel/lib/types.h"
#include "testkit/machine.h"

namespace barebpf::user {

using namespace machine;  // NOLINT: what it implements for tests is used beside its own

// ── CPU slots ─────────────────────────────────────────────────────────────────────────────────
// Slots default to the machine's possible CPUs; unit tests get eight (testkit/user/test_main.cc).
// Only while no thread is inside and no per-CPU memory exists. 1..64; false: out of range, or a
// thread is inside.
bool set_cpu_count(u32 count);
// Counts the machine's, once. It happens by itself when the program starts, but the constructor of
// another library may come in before.
void count_cpus();

// Enters on one given slot and waits for it if need be, after a yield point too: what a test's "CPU
// n" is.
class EntryOn {
public:
    explicit EntryOn(u32 cpu);
    ~EntryOn();
    EntryOn(const EntryOn&) = delete;
    EntryOn& operator=(const EntryOn&) = delete;
};

// A thread that is inside waits for something outside: its slot is free for the guard's life.
class Outside {
public:
    Outside();
    ~Outside();
    Outside(const Outside&) = delete;
    Outside& operator=(const Outside&) = delete;

private:
    u32 cpu_;
};

// ── Fork ──────────────────────────────────────────────────────────────────────────────────────
// In the child, before anything else of the library: no slot owned, no descriptor ours (those that
// were are inherited ones), no page or mapping tracked, no callback queued. What the parent had in memory is left alone.
void after_fork_in_child();

// ── Descriptors ───────────────────────────────────────────────────────────────────────────────
// One that the library keeps for itself: the application must not close it or take its number.
bool fd_is_hidden(int fd);
// One of ours in the process that forked this one, and not closed since.
bool fd_is_inherited(int fd);
// True if this thread named an inherited one to the library since it last asked.
bool take_inherited_use();
// The smallest number from `from` on that is ours, hidden or inherited; -1: none.
int next_fd(int from);
// The kernel closed fd / made new_fd a duplicate of old_fd (new_fd may have been ours before).
// Called after the system call succeeded; calls for foreign descriptors do nothing.
void fd_closed(int fd);
void fd_duplicated(int old_fd, int new_fd);
// POLLIN and so on that hold now for the object; 0 if fd is not ours or is never ready.
u32 fd_poll(int fd);
// After a wake-up that found nothing ready: takes it back. What comes later is not lost.
void fd_drain(int fd);
// Before a wait that reports what is ready at its beginning (poll, select; epoll asks when it is told of a
// descriptor). The readiness of a ring buffer is in memory that the
// client writes, and records may be committed without a wake-up: if it is ready, a wake-up is there afterwards.
void fd_announce(int fd);

// mmap(2) of one of ours: the address, or a negative errno. flags and prot are mmap's.
long mmap_object(void* address, size_t length, int prot, int flags, int fd, u64 offset);
// The application unmapped or covered this range; call after munmap(2), or before a mapping that
// replaces it.
void munmapped(void* address, size_t length);
// True if any of this range is a mapping of ours.
bool object_is_mapped(const void* address, size_t length);
// mremap(2) moved it.
void mapping_moved(void* from, void* to, size_t length);

// ── Credentials, random ───────────────────────────────────────────────────────────────────────
struct Credentials {
    u64 capabilities = ~u64{0};  // by Linux's numbers
    bool unprivileged_bpf_disabled = true;
    u32 uid = 0;
};
void set_credentials(const Credentials& credentials);

// From here on random bits are a sequence that the seed determines (tests); 0: real ones again.
void seed_random(u64 seed);

// ── Faults ────────────────────────────────────────────────────────────────────────────────────
// Calls function(argument) and catches SIGSEGV, SIGBUS, SIGILL and SIGFPE in it, on this thread.
// False: it faulted; the signal and the fault's address are told. Nothing that function held is
// released.
struct Fault {
    int signal;
    u64 address;
    u64 pc;
};
bool call_catching_faults(void (*function)(void* argument), void* argument, Fault* fault);

}  // namespace barebpf::user
