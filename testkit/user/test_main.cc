// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The main() of unit tests: eight CPU slots, whatever the machine has.
#include <gtest/gtest.h>

#include "testkit/user/user.h"

// Interrupt handlers of tests are code of the library, allocation included; the backend keeps them
// out of malloc by deferring them (testkit/user/heap.cc), which ThreadSanitizer cannot know.
extern "C" const char* __tsan_default_options() {
    return "report_signal_unsafe=0";
}

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    barebpf::user::set_cpu_count(8);
    return RUN_ALL_TESTS();
}
