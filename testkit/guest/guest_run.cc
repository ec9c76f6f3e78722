// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the guest is for: a packed program where run= asks for it, else the tests that tests=FILTER selects, or all;
// with shard=I shards=N only every Nth of them.
#include "testkit/guest/console.h"
#include "testkit/guest/guest.h"
#include "testkit/guest/run_program.h"
#include "testkit/guest/runner.h"

namespace barebpf::guest {

u32 guest_run(const Arguments& arguments) {
    if (arguments.value("run")) return run_program(arguments);
    const Shard shard{arguments.number("shard", 0), arguments.number("shards", 1)};
    if (shard.index >= shard.count)
        refuse("arguments shard=", shard.index, " shards=", shard.count, ": 0 <= shard < shards");
    return run_tests(arguments.value("tests"), shard) ? 1 : 0;
}

}  // namespace barebpf::guest
