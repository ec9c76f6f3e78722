// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the guest is for: a packed program where run= asks for it, else the tests that tests=FILTER selects, or all.
#include "testkit/guest/guest.h"
#include "testkit/guest/run_program.h"
#include "testkit/guest/runner.h"

namespace barebpf::guest {

u32 guest_run(const Arguments& arguments) {
    if (arguments.value("run")) return run_program(arguments);
    return run_tests(arguments.value("tests")) ? 1 : 0;
}

}  // namespace barebpf::guest
