// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One set of test macros. In user space they are GoogleTest's; in guests and in the module a small
// runner of ours provides the same names. A test that needs no process includes this file and
// nothing hosted, and uses only:
//
//     TEST(Suite, Name), TEST_F(Fixture, Name) with SetUp() and TearDown()
//     EXPECT_ / ASSERT_  TRUE FALSE EQ NE LT LE GT GE STREQ
//     run_on_cpus(count, function)   runs function(cpu_number) on that many CPUs at once and waits
//     host::Cpu::Entry               around what uses the library directly in the test's own body
//                                    (run_on_cpus holds one for its function)
// Up to eight CPUs in user space.
#pragma once

#include <gtest/gtest.h>

#include "kernel/lib/types.h"

namespace barebpf::test {

// Type-erased so that the body is in one place for each backend.
void run_on_cpus_raw(u32 count, void (*function)(void* closure, u32 cpu), void* closure);

template <class Function>
void run_on_cpus(u32 count, Function function) {
    run_on_cpus_raw(
        count, [](void* closure, u32 cpu) { (*static_cast<Function*>(closure))(cpu); }, &function);
}

}  // namespace barebpf::test
