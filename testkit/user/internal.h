// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the files of the user backend share with each other only.
#pragma once

#include "kernel/host/contract.h"

namespace barebpf::user {

using host::Order;
template <class T>
using Atomic = host::Atomic<T>;

// ── heap.cc ──
// Counts an allocation; false: this is the one that the injection wants to fail.
extern Atomic<s64> failure_countdown;  // -1: no injection
bool allocation_allowed_slow();
inline bool allocation_allowed() {
    if (LIKELY(failure_countdown.load(Order::Relaxed) < 0)) return true;
    return allocation_allowed_slow();
}
void account(s64 bytes, s64 blocks);
// size bytes of zeroed address space, a huge page's alignment and advice from 2 MiB up.
void* map_anonymous(size_t size);

// ── Each part's share of after_fork_in_child() ──
void forget_slots();
void forget_accounts();
void forget_interrupts();
void forget_rcu();
void forget_pages();
void forget_exec_memory();
void forget_descriptors();
void forget_mappings();

// ── cpu.cc ──
// Takes a free slot, without waiting for one; gives it up, without looking at attention.
bool take_slot();
void give_up_slot();

// ── rcu.cc ──
// On no slot.
void advance_rcu();

// ── fd.cc ──
// Releases what a signal handler's close had to leave behind.
void run_deferred_releases();

// ── pages.cc ──
// Maps the pages at address (MAP_FIXED, over a reservation of ours) with these protections. The
// descriptor used forbids a later write access unless may_write.
bool map_pages_at(char* address, const host::Page* pages, u32 count, int prot, bool may_write);

// ── usercopy.cc ──
void install_fault_handlers();

// ── descriptors of our own (memfd, eventfd): fd.cc ──
// Moves fd out of the application's way, close-on-exec; user::fd_is_hidden() tells it from now on.
// after_fork_in_child() closes what is hidden.
int hide_descriptor(int fd);
void close_hidden(int fd);

// A lock between threads for slow paths of process context, usable before any constructor ran.
class Mutex {
public:
    void lock();
    void unlock();
    void forget() { word_.store(0, Order::Relaxed); }

private:
    Atomic<u32> word_{};  // 0 free, 1 taken, 2 taken and waited for
};

class MutexGuard {
public:
    explicit MutexGuard(Mutex& mutex) : mutex_(mutex) { mutex_.lock(); }
    ~MutexGuard() { mutex_.unlock(); }
    MutexGuard(const MutexGuard&) = delete;
    MutexGuard& operator=(const MutexGuard&) = delete;

private:
    Mutex& mutex_;
};

}  // namespace barebpf::user
