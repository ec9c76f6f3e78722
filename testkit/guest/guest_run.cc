// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the guest is for: the tests that tests=FILTER selects, or all.
#include "testkit/guest/guest.h"
#include "testkit/guest/runner.h"

namespace barebpf::guest {

u32 guest_run(const Arguments& arguments) {
    return run_tests(arguments.value("tests")) ? 1 : 0;
}

}  // namespace barebpf::guest
