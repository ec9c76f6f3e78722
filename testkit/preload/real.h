// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The way past ourselves: system calls without libc, and the functions that come after ours in the
// search order of the dynamic linker.
//
// The linker's --wrap sends every call of an interposed name from inside the library (the user
// backend's close(), mmap(), ...) to __wrap_NAME in real.cc, which is the bare system call. So the
// library never calls itself through its own interposed names.
#pragma once

#include <dlfcn.h>
#include <errno.h>
#include <sys/syscall.h>

#include "kernel/host/atomic.h"
#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"

// What the dynamic linker finds in this library instead of libc's NAME. Bound to the name by hand:
// libc declares several of them variadic or under two names.
#define BAREBPF_INTERPOSE(name) asm(#name) __attribute__((visibility("default")))

namespace barebpf::preload {

// The kernel's answer: a result, or -errno. errno is not touched.
ALWAYS_INLINE long raw_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0,
                               long e = 0, long f = 0) {
#if defined(__x86_64__)
    long result;
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 asm("x8") = number;
    register long x0 asm("x0") = a;
    register long x1 asm("x1") = b;
    register long x2 asm("x2") = c;
    register long x3 asm("x3") = d;
    register long x4 asm("x4") = e;
    register long x5 asm("x5") = f;
    asm volatile("svc #0"
                 : "+r"(x0)
                 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                 : "memory");
    return x0;
#endif
}

template <class T>
ALWAYS_INLINE long word(T* pointer) {
    return reinterpret_cast<long>(pointer);
}

// What libc's wrapper makes of it: -1 and errno, or the result.
ALWAYS_INLINE long with_errno(long result) {
    if (LIKELY(static_cast<unsigned long>(result) < -4095ul)) return result;
    errno = static_cast<int>(-result);
    return -1;
}

// A function of the next library that has it, usually libc: found at its first use, which may be
// before any constructor ran. Null: there is none, or this thread is looking one up already (the
// dynamic linker may allocate, and the allocator may map or open): the caller then makes the
// system call itself.
template <class Function>
class Next {
public:
    constexpr explicit Next(const char* name) : name_(name) {}

    Function* get() {
        void* found = found_.load(host::Order::Acquire);
        if (UNLIKELY(!found)) found = look_up();
        return reinterpret_cast<Function*>(found);
    }

private:
    NOINLINE void* look_up();

    const char* name_;
    host::Atomic<void*> found_{};
};

void* look_up_next(const char* name);

template <class Function>
void* Next<Function>::look_up() {
    void* found = look_up_next(name_);
    // Any thread finds the same: no pairing needed beyond the dynamic linker's own locks.
    if (found) found_.store(found, host::Order::Release);
    return found;
}

}  // namespace barebpf::preload
