// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Copies to and from the caller's memory, and what becomes of faults.
//
// One routine in assembly (arch_*.S) touches memory that may fault. The handler of SIGSEGV and
// SIGBUS compares the faulting PC with the routine's range and, if it is in there, resumes at the
// routine's error exit. Any other fault goes to whoever had the signal before us: a handler is
// called as it would have been; the default action is taken by resetting the signal and returning,
// so that the faulting instruction raises it again.
//
// Limits. A handler that the application installs after us replaces ours, and a bad pointer then
// reaches it (the preload library passes sigaction() on to us). A thread that blocks SIGSEGV dies of
// a bad pointer: Linux kills a thread whose fault cannot be delivered.
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "testkit/user/internal.h"
#include "testkit/user/user.h"

extern "C" {
bool barebpf_user_copy(void* to, const void* from, size_t size);
extern const char barebpf_user_copy_begin[] __attribute__((visibility("hidden")));
extern const char barebpf_user_copy_end[] __attribute__((visibility("hidden")));
extern const char barebpf_user_copy_fault[] __attribute__((visibility("hidden")));
}

namespace barebpf::user {

namespace {

// Upper end of what a process can map, for the usual 47- or 48-bit address space.
#if defined(__x86_64__)
constexpr u64 kUserEnd = (u64{1} << 47) - 4096;
#else
constexpr u64 kUserEnd = u64{1} << 48;
#endif

constexpr int kSignals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE};
constexpr int kSignalCount = 4;
struct sigaction previous[kSignalCount];
Atomic<u32> installed;
Mutex install_mutex;

// Of call_catching_faults(): the innermost on this thread.
struct Catcher {
    sigjmp_buf resume;
    Fault fault;
    Catcher* outer;
};
__thread Catcher* catcher __attribute__((tls_model("initial-exec")));

#if defined(__x86_64__)
using PcWord = greg_t;
PcWord* pc_of(ucontext_t* context) {
    return &context->uc_mcontext.gregs[REG_RIP];
}
#elif defined(__aarch64__)
using PcWord = unsigned long long;
PcWord* pc_of(ucontext_t* context) {
    return &context->uc_mcontext.pc;
}
#endif

int index_of(int signal) {
    for (int i = 0; i < kSignalCount; ++i) {
        if (kSignals[i] == signal) return i;
    }
    return 0;
}

void pass_on(int signal, siginfo_t* info, void* context) {
    const struct sigaction& before = previous[index_of(signal)];
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(signal, info, context);
        return;
    }
    if (before.sa_handler == SIG_IGN && info->si_code <= 0) return;  // sent, not a fault
    if (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN) {
        struct sigaction action {};
        action.sa_handler = SIG_DFL;
        sigaction(signal, &action, nullptr);
        // A fault comes again by itself; a signal that was sent does not.
        if (info->si_code <= 0) raise(signal);
        return;
    }
    before.sa_handler(signal);
}

void on_fault(int signal, siginfo_t* info, void* raw_context) {
    auto* context = static_cast<ucontext_t*>(raw_context);
    auto* pc = pc_of(context);
    const auto at = static_cast<u64>(*pc);
    if (at >= reinterpret_cast<u64>(barebpf_user_copy_begin) &&
        at < reinterpret_cast<u64>(barebpf_user_copy_end)) {
        *pc = reinterpret_cast<PcWord>(barebpf_user_copy_fault);
        return;
    }
    if (catcher && info->si_code > 0) {
        catcher->fault = {signal, reinterpret_cast<u64>(info->si_addr), at};
        siglongjmp(catcher->resume, 1);
    }
    pass_on(signal, info, raw_context);
}

bool in_user_range(u64 address, size_t size) {
    return size <= kUserEnd && address <= kUserEnd - size;
}

NOINLINE void install_slow() {
    MutexGuard guard(install_mutex);
    if (installed.load(Order::Relaxed)) return;
    struct sigaction action {};
    action.sa_sigaction = on_fault;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < kSignalCount; ++i) sigaction(kSignals[i], &action, &previous[i]);
    installed.store(1, Order::Release);  // pairs with the acquire in install_fault_handlers()
}

}  // namespace

void install_fault_handlers() {
    if (UNLIKELY(!installed.load(Order::Acquire))) install_slow();
}

bool call_catching_faults(void (*function)(void* argument), void* argument, Fault* fault) {
    install_fault_handlers();
    Catcher here;
    here.outer = catcher;
    const u32 irq_off = backend::thread_state.irq_off;
    const u32 pins = backend::thread_state.pins;
    const u32 read_guards = backend::thread_state.read_guards;
    if (sigsetjmp(here.resume, 1) == 0) {
        catcher = &here;
        function(argument);
        catcher = here.outer;
        return true;
    }
    catcher = here.outer;
    backend::thread_state.pins = pins;
    backend::thread_state.read_guards = read_guards;
    backend::Cpu::irq_restore(irq_off);
    *fault = here.fault;
    return false;
}

}  // namespace barebpf::user

namespace barebpf::backend {

bool UserCopy::from_user(void* to, u64 from, size_t size) {
    user::install_fault_handlers();
    if (UNLIKELY(!user::in_user_range(from, size))) return false;
    return barebpf_user_copy(to, reinterpret_cast<const void*>(from), size);
}

bool UserCopy::read_nofault(void* to, u64 from, size_t size) {
    return from_user(to, from, size);
}

bool UserCopy::to_user(u64 to, const void* from, size_t size) {
    user::install_fault_handlers();
    if (UNLIKELY(!user::in_user_range(to, size))) return false;
    return barebpf_user_copy(reinterpret_cast<void*>(to), from, size);
}

}  // namespace barebpf::backend
