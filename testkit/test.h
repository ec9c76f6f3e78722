// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One set of test macros. In user space they are GoogleTest's; in guests and in the module a small
// runner of ours (testkit/guest/runner.h) provides the same names: the backend's <test_framework.h>
// chooses. A test that needs no process includes this file and nothing hosted but headers of the C++
// library that need no operating system (containers, strings, random numbers), and uses only:
//
//     TEST(Suite, Name), TEST_F(Fixture, Name) with SetUp() and TearDown(), TEST_P with Values(), ValuesIn()
//     EXPECT_ / ASSERT_  TRUE FALSE EQ NE LT LE GT GE STREQ, ADD_FAILURE, GTEST_SKIP
//     run_on_cpus(count, function)   runs function(cpu_number) on that many CPUs at once and waits
//     host::Cpu::Entry               around what uses the library directly in the test's own body
//                                    (run_on_cpus holds one for its function)
//
// and what testkit/machine.h offers. Such a test is listed in `unit_tests` of its folder's meson.build; one that
// needs a process, another program or the running kernel is listed in `user_tests`.
#pragma once

#include <test_framework.h>

#include "kernel/lib/types.h"

namespace barebpf::test {

// How many CPUs run_on_cpus() has: eight in user space, those of the machine in a guest.
u32 cpus();
// As many of the wanted ones as there are.
inline u32 cpus_up_to(u32 wanted) {
    return cpus() < wanted ? cpus() : wanted;
}

// Type-erased so that the body is in one place for each backend.
enum class Where { Inside, Outside };
void run_on_cpus_raw(u32 count, Where where, void (*function)(void* closure, u32 cpu),
                     void* closure);

template <class Function>
void run_on_cpus(u32 count, Function function) {
    run_on_cpus_raw(
        count, Where::Inside,
        [](void* closure, u32 cpu) { (*static_cast<Function*>(closure))(cpu); }, &function);
}

// The same for functions that enter and leave the library themselves; the caller is outside too. Each is on a CPU
// of its own while it is inside.
template <class Function>
void run_outside_on_cpus(u32 count, Function function) {
    run_on_cpus_raw(
        count, Where::Outside,
        [](void* closure, u32 cpu) { (*static_cast<Function*>(closure))(cpu); }, &function);
}

// How many functions run_outside_on_cpus() should have so that they wait for each other: more than there are CPUs where
// a CPU is not a thread's own, those of the machine in a guest.
u32 threads();

// Loses the processor for a moment where threads share one: what is open meanwhile is open for longer.
void lose_processor();

// What was released before is gone: callbacks have run, and those that these queued. May be called inside or
// outside, with nothing held.
void settle();

// How often a test with random cases goes round: that often in a process, a tenth in an emulated machine.
u32 rounds(u32 in_a_process);

// Of the machine.
u64 memory_mib();

// A number that whoever starts the tests may set: in user space by the environment (BAREBPF_SEED for "seed"), in a
// guest by an argument (seed=).
u64 setting(const char* name, u64 otherwise);

// bpf(2) of the kernel that the test runs on, for comparison: what it returns, errors as -errno. It may be
// forbidden, and a guest has no other kernel (-ENOSYS): what compares is skipped then.
s64 kernel_bpf(u32 command, void* attr, u32 size);
void kernel_close(int fd);

}  // namespace barebpf::test

// In a test's body: it is about what that many CPUs do at once, or about something that large.
#define NEEDS_CPUS(count) \
    if (::barebpf::test::cpus() < (count)) GTEST_SKIP() << "needs " << (count) << " CPUs"
#define NEEDS_MEMORY(mib) \
    if (::barebpf::test::memory_mib() < (mib)) GTEST_SKIP() << "needs " << (mib) << " MiB"
