// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest: runs a packed program on packets, as `barebpf run` does in a process (testkit/guest/run).
#pragma once

#include "testkit/guest/guest.h"

namespace barebpf::guest {

// The initial RAM disk holds /program.bundle (barebpf pack) and /capture.pcap. Arguments:
//
//     run=NAME                   the program; without a value the first that runs on packets
//     engine=jit|interpreter     jit, where there is a compiler, unless told otherwise
//
// Prints the result in the plain form (testkit/bundle/raw_text.h). Returns the exit status.
u32 run_program(const Arguments& arguments);

}  // namespace barebpf::guest
