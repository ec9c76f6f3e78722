// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The main() of unit tests: eight CPU slots, whatever the machine has.
#include <gtest/gtest.h>

#include "testkit/user/user.h"

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    barebpf::user::set_cpu_count(8);
    return RUN_ALL_TESTS();
}
