// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The rest of the host contract. What does not matter to the structures under test is as small as can be: descriptors
// and stacks are what the scenario says, there is no executable memory, time is the number of steps, random numbers are
// the same in each execution.
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

constexpr int kFirstDescriptor = 3;
constexpr int kDescriptors = 16;
host::FileObject* descriptors[kDescriptors];

host::FileObject** slot_of(int fd) {
    const int number = fd - kFirstDescriptor;
    return number >= 0 && number < kDescriptors ? &descriptors[number] : nullptr;
}

struct Stack {
    u64 frames[kMaxFrames];
    u32 count;
};
Stack stacks[kMaxCpus + 1][2];  // of each CPU: outside of NMIs, in one

Stack& this_stack() {
    const Cpu& me = engine.current();
    return stacks[me.number][me.nmi != 0];
}
}  // namespace

void services_reset() {
    random_state = 0;
    memset(descriptors, 0, sizeof descriptors);
    memset(stacks, 0, sizeof stacks);
}

int install(host::FileObject* object) {
    for (int number = 0; number < kDescriptors; ++number) {
        if (descriptors[number]) continue;
        descriptors[number] = object;
        return kFirstDescriptor + number;
    }
    return -EMFILE;
}

void close_descriptor(int fd) {
    host::FileObject* object = *slot_of(fd);
    *slot_of(fd) = nullptr;
    object->file_ops->release(object);
}

void set_stack(const u64* frames, u32 count) {
    Stack& stack = this_stack();
    memcpy(stack.frames, frames, count * sizeof *frames);
    stack.count = count;
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
// Fibers have no stack worth telling of but what the scenario says.
u32 host_stack_walk(const void*, u32 skip, u64* to, u32 capacity) {
    const explore::Stack& stack = explore::this_stack();
    u32 seen = 0;
    for (; seen < stack.count && seen < skip + capacity; ++seen) {
        if (seen >= skip) to[seen - skip] = stack.frames[seen];
    }
    return seen;
}
u32 host_stack_walk_user(u32, u64*, u32) {
    return 0;
}
bool host_read_nofault(void* to, u64 from, size_t size) {
    return host_copy_from_user(to, from, size);
}

int host_fd_install(host::FileObject* object, host::FileMode) {
    return explore::install(object);
}
bool host_fd_get(int fd, host::FileRef* ref, void (*pin)(host::FileObject*)) {
    if (!host_fd_is_open(fd)) return false;
    *ref = {*explore::slot_of(fd), host::FileMode::ReadWrite};
    pin(ref->object);
    return true;
}
void host_fd_close_all() {}
bool host_fd_is_open(int fd) {
    host::FileObject** slot = explore::slot_of(fd);
    return slot && *slot;
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
