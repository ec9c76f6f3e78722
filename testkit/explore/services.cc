// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The rest of the host contract. What does not matter to the structures under test is as small as can be: there are no
// descriptors and no executable memory, time is the number of steps, random numbers are the same in each
// execution.
#include <errno.h>
#include <host_backend/clock.h>
#include <host_backend/cred.h>
#include <host_backend/exec_memory.h>
#include <host_backend/fd.h>
#include <host_backend/log.h>
#include <host_backend/random.h>
#include <host_backend/stack_trace.h>
#include <host_backend/usercopy.h>
#include <host_backend/wake.h>
#include <string.h>

#include "testkit/explore/engine.h"

namespace barebpf::explore {

namespace {
u64 random_state;
}

void services_reset() {
    random_state = 0;
}

u64 wake_ticket(const host::WaitQueue& queue) {
    static_assert(sizeof queue == sizeof(u64));
    engine.step(&queue, false);
    return *reinterpret_cast<const u64*>(&queue);
}

void sleep_on(const host::WaitQueue& queue, u64 ticket) {
    engine.step(&queue, false);
    if (*reinterpret_cast<const u64*>(&queue) != ticket) return;
    engine.trace(Op::Sleep, &queue, 8, ticket, 0, Order::Relaxed, {});
    engine.block(Wait::Queue, &queue, ticket);
}

}  // namespace barebpf::explore

using namespace barebpf;
using explore::engine;

extern "C" {

// A queue counts its wake-ups.
void host_wake_all(void** queue) {
    engine.step(queue, true);
    ++*reinterpret_cast<u64*>(queue);
    engine.trace(explore::Op::Wake, queue, 8, *reinterpret_cast<u64*>(queue), 0,
                 host::Order::Relaxed, {});
}
void host_wait_queue_close(void**) {}

u64 host_clock_monotonic_ns() {
    return engine.steps();
}
u64 host_clock_boottime_ns() {
    return engine.steps();
}
u64 host_clock_monotonic_coarse_ns() {
    return engine.steps();
}
u64 host_clock_tai_ns() {
    return engine.steps();
}
u64 host_clock_jiffies64() {
    return engine.steps() / 4'000'000;
}

u64 host_random_u64() {
    u64 z = explore::random_state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

bool host_capable(u8) {
    return true;
}
bool host_unprivileged_bpf_disabled() {
    return true;
}
u32 host_uid() {
    return 0;
}
u32 host_tgid() {
    return 1;
}
u32 host_pid() {
    return 1;
}
void host_comm(char* out16) {
    memset(out16, 0, 16);
    memcpy(out16, "explore", 7);
}

void host_print(u8, const char* text, size_t length) {
    static char line[200];
    const size_t size = length < sizeof line - 1 ? length : sizeof line - 1;
    memcpy(line, text, size);
    line[size] = 0;
    explore::note(line);
}
void host_panic(const char* text) {
    engine.stop(explore::Finding::Panic, text);
}

bool host_copy_from_user(void* to, u64 from, size_t size) {
    memcpy(to, reinterpret_cast<const void*>(from), size);
    return true;
}
bool host_copy_to_user(u64 to, const void* from, size_t size) {
    memcpy(reinterpret_cast<void*>(to), from, size);
    return true;
}
// Fibers have no stack worth telling of.
u32 host_stack_walk(const void*, u32, u64*, u32) {
    return 0;
}
u32 host_stack_walk_user(u32, u64*, u32) {
    return 0;
}
bool host_read_nofault(void* to, u64 from, size_t size) {
    return host_copy_from_user(to, from, size);
}

int host_fd_install(host::FileObject*, host::FileMode) {
    return -EMFILE;
}
bool host_fd_get(int, host::FileRef*, void (*)(host::FileObject*)) {
    return false;
}
void host_fd_close_all() {}
bool host_fd_is_open(int) {
    return false;
}

bool host_exec_reserve(u32, u8**, u8**) {
    return false;
}
bool host_exec_publish(u8*, u8*, u32) {
    return false;
}
void host_exec_free(u8*, u8*, u32) {}
bool host_exec_reachable(const void*) {
    return false;
}

}  // extern "C"
