// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the small image is for, which has no tests in it (barebpf-guest-run).
#include "testkit/guest/arch.h"
#include "testkit/guest/run_program.h"

namespace barebpf::guest {

u32 guest_run(const Arguments& arguments) {
    return run_program(arguments);
}

void skip_test(const char* reason) {
    fail(reason);
}

}  // namespace barebpf::guest
