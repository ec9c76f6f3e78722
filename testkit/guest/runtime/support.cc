// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What else compilers and the C++ library's headers expect to be there. There are no exceptions: what would throw
// ends the run, and says what it was. Nothing is ever destroyed at exit: there is none.
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include "testkit/guest/arch.h"

using barebpf::guest::fail;

extern "C" {

void* __dso_handle = nullptr;

int __cxa_atexit(void (*)(void*), void*, void*) {
    return 0;
}
int atexit(void (*)()) {
    return 0;
}

[[noreturn]] void abort() {
    fail("abort()");
}
[[noreturn]] void __cxa_pure_virtual() {
    fail("a pure virtual function was called");
}
[[noreturn]] void __assert_fail(const char* condition, const char*, unsigned line, const char*) {
    barebpf::guest::print_line(condition);
    fail("assertion failed in line", line);
}

int* __errno_location() {
    static int value;
    return &value;
}

// Variables of functions that are made at the first use: byte 0 of the guard says that it is made (the compiler
// looks at it itself), byte 1 that a CPU is making it. A handler that interrupts that CPU must not come here.
int __cxa_guard_acquire(uint64_t* guard) {
    auto* bytes = reinterpret_cast<uint8_t*>(guard);
    for (;;) {
        // Pairs with the release in __cxa_guard_release().
        if (__atomic_load_n(bytes, __ATOMIC_ACQUIRE)) return 0;
        if (!__atomic_exchange_n(bytes + 1, uint8_t{1}, __ATOMIC_ACQUIRE)) {
            if (!__atomic_load_n(bytes, __ATOMIC_ACQUIRE)) return 1;
            __atomic_store_n(bytes + 1, uint8_t{0}, __ATOMIC_RELEASE);
            return 0;
        }
        barebpf::backend::spin_hint();
    }
}
void __cxa_guard_release(uint64_t* guard) {
    auto* bytes = reinterpret_cast<uint8_t*>(guard);
    __atomic_store_n(bytes, uint8_t{1}, __ATOMIC_RELEASE);
    __atomic_store_n(bytes + 1, uint8_t{0}, __ATOMIC_RELEASE);
}
void __cxa_guard_abort(uint64_t* guard) {
    __atomic_store_n(reinterpret_cast<uint8_t*>(guard) + 1, uint8_t{0}, __ATOMIC_RELEASE);
}

}  // extern "C"

namespace std {

[[noreturn]] void terminate() noexcept {
    fail("std::terminate()");
}
[[noreturn]] void __throw_bad_alloc() {
    fail("std::bad_alloc");
}
[[noreturn]] void __throw_bad_array_new_length() {
    fail("std::bad_array_new_length");
}
[[noreturn]] void __throw_bad_function_call() {
    fail("std::bad_function_call");
}
[[noreturn]] void __throw_logic_error(const char* what) {
    fail(what);
}
[[noreturn]] void __throw_length_error(const char* what) {
    fail(what);
}
[[noreturn]] void __throw_invalid_argument(const char* what) {
    fail(what);
}
[[noreturn]] void __throw_out_of_range(const char* what) {
    fail(what);
}
[[noreturn]] void __throw_out_of_range_fmt(const char* what, ...) {
    fail(what);
}

}  // namespace std
