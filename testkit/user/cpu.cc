// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// CPU slots: entering, leaving, giving way (the idea: include/host_backend/cpu.h).
//
// Ordering: enter's compare-and-exchange (acquire) pairs with leave's store (release) of the
// previous owner, so per-CPU data passes from owner to owner; both take part in RCU's protocol
// (testkit/rcu/rcu.h).
//
// Waiting for a slot: a waiter announces itself in attention, tries, and sleeps on slot_freed for
// at most a millisecond. Who leaves looks at attention after it has given the slot up; that look
// may come too early to see the waiter, which the bounded sleep makes good.
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "testkit/user/internal.h"
#include "testkit/user/user.h"

namespace barebpf::backend {

__thread ThreadState thread_state __attribute__((tls_model("initial-exec")));
CpuSlot cpu_slots[kCpuSlots];
u32 cpu_count = 1;
Atomic<u64> attention;

namespace {

Atomic<u32> slot_freed;  // a futex: counts wake-ups

// The highest CPU number in a list such as "0-3,8-11", plus one.
u32 count_cpus(const char* list) {
    u32 highest = 0;
    for (const char* p = list; *p;) {
        if (*p < '0' || *p > '9') {
            ++p;
            continue;
        }
        char* end;
        u32 number = static_cast<u32>(strtoul(p, &end, 10));
        if (number > highest) highest = number;
        p = end;
    }
    return highest + 1;
}

void count_possible_cpus() {
    char text[256] = "";
    int fd = open("/sys/devices/system/cpu/possible", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        if (read(fd, text, sizeof(text) - 1) < 0) text[0] = 0;
        close(fd);
    }
    u32 count = text[0] ? count_cpus(text) : static_cast<u32>(sysconf(_SC_NPROCESSORS_CONF));
    cpu_count = count < 1 ? 1 : count > kCpuSlots ? kCpuSlots : count;
}

__attribute__((constructor(101))) void count_at_start() {
    user::count_cpus();
}

// The real CPU this thread runs on, from the area that the kernel keeps up to date for us.
u32 real_cpu() {
    if (LIKELY(__rseq_size != 0)) {
        char* base = static_cast<char*>(
#if defined(__x86_64__) && defined(__clang__)
            static_cast<void*>(*reinterpret_cast<void* __attribute__((address_space(257)))*>(0))
#else
            __builtin_thread_pointer()
#endif
        );
        auto* area = reinterpret_cast<volatile struct rseq*>(base + __rseq_offset);
        return area->cpu_id_start;
    }
    int cpu = sched_getcpu();
    return cpu < 0 ? 0 : static_cast<u32>(cpu);
}

u32 preferred_slot() {
    u32 cpu = real_cpu();
    return LIKELY(cpu < cpu_count) ? cpu : cpu % cpu_count;
}

bool try_take(u32 cpu) {
    CpuSlot& slot = cpu_slots[cpu];
    u64 word = slot.word.load(Order::Relaxed);
    // Pairs with the release in give_up().
    if ((word & 1) || !slot.word.compare_exchange(word, word + 1, Order::Acquire, Order::Relaxed))
        return false;
    if (UNLIKELY(!thread_state.thread_id)) thread_state.thread_id = gettid();
    slot.thread_id.store(thread_state.thread_id, Order::Relaxed);
    thread_state.word = word + 1;
    interrupt_barrier();
    thread_state.cpu = cpu;  // from here on an interrupt may arrive
    return true;
}

void give_up() {
    CpuSlot& slot = cpu_slots[thread_state.cpu];
    thread_state.cpu = kNoCpu;
    interrupt_barrier();
    // Pairs with the acquire in try_take(), and with the one in RCU's passed().
    slot.word.store(thread_state.word + 1, Order::Release);
}

bool try_take_any(u32 first) {
    for (u32 i = 0; i < cpu_count; ++i) {
        u32 cpu = first + i < cpu_count ? first + i : first + i - cpu_count;
        if (try_take(cpu)) return true;
    }
    return false;
}

// One step of a wait for a slot: yields at first, then sleeps until somebody leaves.
void wait_for_slot(u32 tries) {
    if (tries < 32) {
        sched_yield();
        return;
    }
    const timespec limit{0, 1000000};
    u32 seen = slot_freed.load(Order::Relaxed);
    syscall(SYS_futex, &slot_freed, FUTEX_WAIT_PRIVATE, seen, &limit, nullptr, 0);
}

// cpu: the wanted slot, or kNoCpu for any.
NOINLINE void take_waiting(u32 wanted) {
    attention.fetch_add(kAttentionWaiter, Order::AcqRel);
    for (u32 tries = 0;; ++tries) {
        if (wanted == kNoCpu ? try_take_any(preferred_slot()) : try_take(wanted)) break;
        wait_for_slot(tries);
    }
    attention.fetch_sub(kAttentionWaiter, Order::AcqRel);
}

void wake_waiter() {
    slot_freed.fetch_add(1, Order::Relaxed);
    syscall(SYS_futex, &slot_freed, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

// After the slot was given up: what attention asks for. RCU comes last, for whoever holds a slot may
// be in the way of a grace period and has to look again.
NOINLINE void after_leave() {
    if (attention.load(Order::Relaxed) >= kAttentionWaiter) wake_waiter();
    // Without a free slot: whoever holds one does it when it leaves.
    if ((attention.load(Order::Relaxed) & kAttentionDeferred) && user::take_slot()) {
        user::run_deferred_releases();
        give_up();
    }
    if (attention.load(Order::Relaxed) & kAttentionRcu) user::advance_rcu();
}

}  // namespace

void enter() {
    thread_state.entered = 1;
    interrupt_barrier();
    if (UNLIKELY(!try_take(preferred_slot()))) {
        if (!try_take_any(preferred_slot())) take_waiting(kNoCpu);
    }
}

void leave() {
    host::validator::expect_none_held("leaving the library");
    give_up();
    if (UNLIKELY(attention.load(Order::Relaxed))) after_leave();
    interrupt_barrier();
    thread_state.entered = 0;
}

void yield_slow() {
    host::validator::expect_none_held("a yield point");
    if (thread_state.pins || thread_state.read_guards)
        host::panic("a yield point inside a Pin or an RCU read guard");
    // For a slot, or for readers: to lose the processor while outside is in nobody's way.
    const bool somebody_waits = attention.load(Order::Relaxed) >= kAttentionReaders;
    give_up();
    after_leave();
    if (somebody_waits) sched_yield();
    if (thread_state.bound != kNoCpu) {
        if (!try_take(thread_state.bound)) take_waiting(thread_state.bound);
    } else if (!try_take_any(preferred_slot())) {
        take_waiting(kNoCpu);
    }
}

void outside_the_library() {
    host::panic("code of the library runs outside of it: hold a host::Cpu::Entry");
}

}  // namespace barebpf::backend

namespace barebpf::backend {

// The initial-exec model: each thread has its copy at one distance from its thread pointer. The
// compiler must not fold the difference: the linker would not know the instruction that makes it.
host::CpuIdPlace Cpu::id_place() {
    u64 cpu = reinterpret_cast<u64>(&thread_state.cpu);
    asm("" : "+r"(cpu));
    const u64 thread = reinterpret_cast<u64>(__builtin_thread_pointer());
    return {host::CpuIdBase::Thread, static_cast<s32>(cpu - thread)};
}

}  // namespace barebpf::backend

namespace barebpf::user {

using namespace backend;  // NOLINT: the slots are this file's own

void count_cpus() {
    static Atomic<u32> counted;
    if (!counted.exchange(1, Order::Relaxed)) count_possible_cpus();
}

bool set_cpu_count(u32 count) {
    if (count < 1 || count > kCpuSlots) return false;
    for (const CpuSlot& slot : cpu_slots) {
        if (slot.word.load(Order::Relaxed) & 1) return false;
    }
    cpu_count = count;
    return true;
}

EntryOn::EntryOn(u32 cpu) {
    if (thread_state.entered) host::panic("EntryOn inside the library");
    if (cpu >= cpu_count) host::panic("EntryOn: no such CPU; see user::set_cpu_count()");
    thread_state.entered = 1;
    thread_state.bound = cpu;
    interrupt_barrier();
    if (!try_take(cpu)) take_waiting(cpu);
}

EntryOn::~EntryOn() {
    thread_state.bound = kNoCpu;
    leave();
}

Outside::Outside() : cpu_(thread_state.cpu) {
    if (cpu_ != kNoCpu) leave();
}

Outside::~Outside() {
    if (cpu_ == kNoCpu) return;
    thread_state.entered = 1;
    interrupt_barrier();
    if (!try_take(cpu_)) take_waiting(cpu_);
}

bool take_slot() {
    return try_take_any(preferred_slot());
}

void give_up_slot() {
    give_up();
}

void forget_slots() {
    for (CpuSlot& slot : cpu_slots) slot.word.store(0, Order::Relaxed);
    attention.store(0, Order::Relaxed);
    thread_state = ThreadState{};
}

}  // namespace barebpf::user
