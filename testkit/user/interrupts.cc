// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Interrupts and NMIs as real-time signals, for tests.
//
// A request is a record that the signal carries to the handler. Requests come from a fixed pool, so
// that neither side allocates; the pool is far larger than what a test keeps in flight. Its state
// passes it from hand to hand: kFree -> kTaken by the sender (acquire) -> kSent (release, pairs with
// the acquire in request_of()) -> kFree by the handler (release, pairs with the sender's acquire).
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testkit/user/internal.h"
#include "testkit/user/user.h"

namespace barebpf::backend {

struct PendingInterrupt {
    user::InterruptHandler function;
    void* argument;
    u32 cpu;
    Atomic<u32> state;
    PendingInterrupt* next;
};

namespace {

enum State : u32 { kFree, kTaken, kSent };

constexpr u32 kRequests = 1024;
PendingInterrupt requests[kRequests];
Atomic<u32> next_request;
Atomic<u32> handlers_installed;

int irq_signal() {
    return SIGRTMIN + 5;
}
int nmi_signal() {
    return SIGRTMIN + 6;
}

PendingInterrupt* take_request() {
    for (u32 tries = 0;; ++tries) {
        PendingInterrupt& request = requests[next_request.fetch_add(1, Order::Relaxed) % kRequests];
        u32 free = kFree;
        if (request.state.compare_exchange(free, kTaken, Order::Acquire, Order::Relaxed))
            return &request;
        if (tries % kRequests == kRequests - 1) sched_yield();
    }
}

void drop_request(PendingInterrupt* request) {
    request->state.store(kFree, Order::Release);
}

PendingInterrupt* request_of(siginfo_t* info) {
    auto* request = static_cast<PendingInterrupt*>(info->si_value.sival_ptr);
    if (request->state.load(Order::Acquire) != kSent) host::panic("a stray interrupt signal");
    return request;
}

void run_irq(PendingInterrupt* request) {
    u32 old = thread_state.irq_off;
    thread_state.irq_off = 1;
    request->function(request->argument);
    thread_state.irq_off = old;
    drop_request(request);
}

// The other of the two is blocked meanwhile only for an NMI: an NMI interrupts an interrupt.
void on_irq(int, siginfo_t* info, void*) {
    const int saved_errno = errno;
    PendingInterrupt* request = request_of(info);
    if (thread_state.cpu != request->cpu) {
        drop_request(request);
    } else if (thread_state.irq_off) {
        // Oldest first.
        PendingInterrupt** tail = &thread_state.pending;
        while (*tail) tail = &(*tail)->next;
        *tail = request;
    } else {
        run_irq(request);
    }
    errno = saved_errno;
}

void on_nmi(int, siginfo_t* info, void*) {
    const int saved_errno = errno;
    PendingInterrupt* request = request_of(info);
    if (thread_state.cpu == request->cpu) {
        ++thread_state.nmi;
        request->function(request->argument);
        --thread_state.nmi;
    }
    drop_request(request);
    errno = saved_errno;
}

void install_handlers() {
    struct sigaction action {};
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigemptyset(&action.sa_mask);
    action.sa_sigaction = on_irq;
    sigaction(irq_signal(), &action, nullptr);
    sigaddset(&action.sa_mask, irq_signal());
    action.sa_sigaction = on_nmi;
    sigaction(nmi_signal(), &action, nullptr);
    handlers_installed.store(1, Order::Release);
}

bool send(int signal, u32 cpu, user::InterruptHandler function, void* argument) {
    if (!handlers_installed.load(Order::Acquire)) install_handlers();
    CpuSlot& slot = cpu_slots[cpu];
    if (cpu >= cpu_count || !(slot.word.load(Order::Acquire) & 1)) return false;
    PendingInterrupt* request = take_request();
    request->function = function;
    request->argument = argument;
    request->cpu = cpu;
    request->next = nullptr;
    request->state.store(kSent, Order::Release);
    siginfo_t info{};
    info.si_signo = signal;
    info.si_code = SI_QUEUE;
    info.si_pid = getpid();
    info.si_uid = getuid();
    info.si_value.sival_ptr = request;
    s32 thread = slot.thread_id.load(Order::Relaxed);
    if (syscall(SYS_rt_tgsigqueueinfo, getpid(), thread, signal, &info) == 0) return true;
    drop_request(request);
    return false;
}

}  // namespace

void run_pending_interrupts() {
    // With interrupts off meanwhile, so that what arrives now queues behind.
    while (thread_state.pending && !thread_state.irq_off) {
        thread_state.irq_off = 1;
        interrupt_barrier();
        PendingInterrupt* request = thread_state.pending;
        thread_state.pending = nullptr;
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

namespace barebpf::user {

bool send_irq(u32 cpu, InterruptHandler function, void* argument) {
    return backend::send(backend::irq_signal(), cpu, function, argument);
}

bool send_nmi(u32 cpu, InterruptHandler function, void* argument) {
    return backend::send(backend::nmi_signal(), cpu, function, argument);
}

void forget_interrupts() {
    for (auto& request : backend::requests) request.state.store(backend::kFree, Order::Relaxed);
}

}  // namespace barebpf::user
