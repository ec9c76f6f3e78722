// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The verifier as PROG_LOAD, the command line and the tests see it: one call.
#pragma once

#include "kernel/bpf/prog.h"
#include "kernel/bpf/prog_type.h"

namespace barebpf {

// Where the log goes: the three log fields of PROG_LOAD.
struct VerifierLogRequest {
    u32 level = 0;  // kVerifierLog* bits
    u32 size = 0;
    host::UserAddress buffer{};
};

inline constexpr u32 kVerifierLogBranches = 1;  // BPF_LOG_LEVEL1: the path that failed
inline constexpr u32 kVerifierLogAll = 2;       // BPF_LOG_LEVEL2: every path
inline constexpr u32 kVerifierLogStats = 4;     // BPF_LOG_STATS: the closing figures

// What the verifier needs besides the program. The two look-ups hand out counted references; a null
// function means that there are no such descriptors (tests without bpf(2)).
struct VerifierInput {
    VerifierLogRequest log{};
    bool bpf_capable = true;      // CAP_BPF: loops, subprograms, no strict limits
    bool perfmon_capable = true;  // CAP_PERFMON: pointers may be leaked and compared freely
    // PROG_LOAD's fd_array (for BPF_PSEUDO_MAP_IDX), 0 if none.
    host::UserAddress fd_array{};
    Result<MapRef> (*map_by_fd)(int fd) = nullptr;
    Result<Btf*> (*btf_by_fd)(int fd) = nullptr;
    // func_info and line_info as PROG_LOAD passes them; null: none.
    const bpf_attr* attr = nullptr;
    host::UserAddress uattr{};
};

// Decodes, checks, verifies and rewrites prog->insns into final form (see prog.h) and fills
// prog->subprogs, calls, maps and debug. On an error prog->insns is unspecified; what was filled is
// the prog's, and is released with it.
//
// Errors as Linux: Inval for what is malformed or forbidden, Acces for accesses that cannot be
// proven safe, Perm for what needs a capability, TooBig for complexity, NoSpc when the log did not
// fit, Fault for a bad log buffer, NoMem.
Result<void> bpf_check(Prog* prog, const VerifierInput& input);

}  // namespace barebpf
