// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Programs that run without proof: `barebpf exec --unverified`, conformance suites.
#pragma once

#include "kernel/bpf/verifier_api.h"

namespace barebpf {

// As bpf_check(), for a host program that is to run as it is: instructions are decoded, jumps and
// calls checked (inside, no recursion, not too deep), and the program is brought into final form
// (may_goto, calls, addresses). Every frame has all of kMaxStack. What the program does to memory is
// its own affair.
Result<void> bpf_decode_only(Prog* prog, const VerifierInput& input);

}  // namespace barebpf
