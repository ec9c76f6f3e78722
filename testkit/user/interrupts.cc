// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Interrupts and NMIs as real-time signals, for tests.
//
// Each slot has two mailboxes, one for interrupts and one for NMIs: lists of requests. Who sends puts
// a request in and signals the thread; the handler takes the list. A signal only says "look": it may
// stand for several requests (ThreadSanitizer merges signals). Requests come from a fixed pool, so
// that neither side allocates; the pool is far larger than what a test keeps in flight.
//
// A request that finds its thread between two stays inside is dropped. Whoever sends without end could hold a thread there: the
// next signal comes before its next instruction. So after a request to a slot was dropped the next one waits a little.
//
// Ordering: putting in (release) pairs with taking out (acquire); giving a request back to the pool
// (release) with taking it from there (acquire).
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "testkit/user/internal.h"
#include "testkit/user/user.h"

namespace barebpf::backend {

struct PendingInterrupt {
    machine::InterruptHandler function;
    void* argument;
    s32 thread;  // whom it is meant for
    Atomic<u32> used;
    PendingInterrupt* next;
};

namespace {

enum Kind : u32 { kIrq, kNmi, kKinds };

constexpr u32 kRequests = 1024;
constinit PendingInterrupt requests[kRequests]{};
Atomic<u32> next_request;
Atomic<PendingInterrupt*> mailboxes[kKinds][kCpuSlots];
Atomic<u32> dropped[kCpuSlots];  // not 0: a request was, since the last one was sent
Atomic<u32> handlers_installed;

int signal_of(Kind kind) {
    return SIGRTMIN + 5 + static_cast<int>(kind);
}

PendingInterrupt* take_request() {
    for (u32 tries = 0;; ++tries) {
        PendingInterrupt& request = requests[next_request.fetch_add(1, Order::Relaxed) % kRequests];
        if (!request.used.exchange(1, Order::Acquire)) return &request;
        if (tries % kRequests == kRequests - 1) sched_yield();
    }
}

void drop_request(PendingInterrupt* request) {
    request->used.store(0, Order::Release);
}

void put_in(Atomic<PendingInterrupt*>& mailbox, PendingInterrupt* request) {
    PendingInterrupt* first = mailbox.load(Order::Relaxed);
    do {
        request->next = first;
    } while (!mailbox.compare_exchange(first, request, Order::Release, Order::Relaxed));
}

// Everything in the mailbox, oldest first.
PendingInterrupt* take_out(Atomic<PendingInterrupt*>& mailbox) {
    PendingInterrupt* request = mailbox.exchange(nullptr, Order::Acquire);
    PendingInterrupt* oldest = nullptr;
    while (request) {
        PendingInterrupt* next = request->next;
        request->next = oldest;
        oldest = request;
        request = next;
    }
    return oldest;
}

void run_irq(PendingInterrupt* request) {
    u32 old = thread_state.irq_off;
    thread_state.irq_off = 1;
    request->function(request->argument);
    thread_state.irq_off = old;
    drop_request(request);
}

void handle_irq(PendingInterrupt* request) {
    if (!thread_state.irq_off) {
        run_irq(request);
        return;
    }
    PendingInterrupt** tail = &thread_state.pending;
    while (*tail) tail = &(*tail)->next;
    request->next = nullptr;
    *tail = request;
}

void handle_nmi(PendingInterrupt* request) {
    ++thread_state.nmi;
    request->function(request->argument);
    --thread_state.nmi;
    drop_request(request);
}

void on_signal(Kind kind, u32 cpu) {
    const int saved_errno = errno;
    PendingInterrupt* request = take_out(mailboxes[kind][cpu]);
    while (request) {
        PendingInterrupt* next = request->next;
        if (thread_state.cpu != cpu || request->thread != thread_state.thread_id) {
            drop_request(request);  // it was for who was here then
            dropped[cpu].store(1, Order::Relaxed);
        } else if (kind == kIrq) {
            handle_irq(request);
        } else {
            handle_nmi(request);
        }
        request = next;
    }
    errno = saved_errno;
}

void on_irq(int, siginfo_t* info, void*) {
    on_signal(kIrq, static_cast<u32>(info->si_value.sival_int));
}

void on_nmi(int, siginfo_t* info, void*) {
    on_signal(kNmi, static_cast<u32>(info->si_value.sival_int));
}

// An NMI interrupts an interrupt, not the other way round.
void install_handlers() {
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigemptyset(&action.sa_mask);
    action.sa_sigaction = on_irq;
    sigaction(signal_of(kIrq), &action, nullptr);
    sigaddset(&action.sa_mask, signal_of(kIrq));
    action.sa_sigaction = on_nmi;
    sigaction(signal_of(kNmi), &action, nullptr);
    handlers_installed.store(1, Order::Release);
}

bool send(Kind kind, u32 cpu, machine::InterruptHandler function, void* argument) {
    if (!handlers_installed.load(Order::Acquire)) install_handlers();
    if (cpu >= cpu_count) return false;
    CpuSlot& slot = cpu_slots[cpu];
    if (!(slot.word.load(Order::Acquire) & 1)) return false;
    if (UNLIKELY(dropped[cpu].exchange(0, Order::Relaxed))) {
        const timespec little{0, 20'000};
        nanosleep(&little, nullptr);
    }
    PendingInterrupt* request = take_request();
    request->function = function;
    request->argument = argument;
    request->thread = slot.thread_id.load(Order::Relaxed);
    const s32 thread = request->thread;
    put_in(mailboxes[kind][cpu], request);
    siginfo_t info{};
    info.si_signo = signal_of(kind);
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_int = static_cast<int>(cpu);
    return syscall(SYS_rt_tgsigqueueinfo, getpid(), thread, info.si_signo, &info) == 0;
}

}  // namespace

void run_pending_interrupts() {
    // With interrupts off meanwhile, so that what arrives now queues behind.
    while (thread_state.pending && !thread_state.irq_off) {
        thread_state.irq_off = 1;
        interrupt_barrier();
        PendingInterrupt* request = thread_state.pending;
        thread_state.pending = nullptr;
        interrupt_barrier();
        while (request) {
            PendingInterrupt* next = request->next;
            run_irq(request);
            request = next;
        }
        interrupt_barrier();
        thread_state.irq_off = 0;
        interrupt_barrier();
    }
}

}  // namespace barebpf::backend

namespace barebpf::machine {

using namespace user;  // NOLINT: its own parts

bool send_irq(u32 cpu, InterruptHandler function, void* argument) {
    return backend::send(backend::kIrq, cpu, function, argument);
}

bool send_nmi(u32 cpu, InterruptHandler function, void* argument) {
    return backend::send(backend::kNmi, cpu, function, argument);
}

}  // namespace barebpf::machine

namespace barebpf::user {

void forget_interrupts() {
    for (auto& request : backend::requests) request.used.store(0, Order::Relaxed);
    for (auto& kind : backend::mailboxes) {
        for (auto& mailbox : kind) mailbox.store(nullptr, Order::Relaxed);
    }
}

}  // namespace barebpf::user
