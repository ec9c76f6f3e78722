// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The verifier as PROG_LOAD, the command line and the tests see it: one call.
#pragma once

#include "kernel/bpf/prog.h"
#include "kernel/bpf/prog_type.h"
#include "kernel/bpf/verifier_btf.h"

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

// What the verifier needs besides the program. verifier_input() fills it for PROG_LOAD; tests fill it
// by hand and need neither descriptors nor BTF.
struct VerifierInput {
    VerifierLogRequest log{};
    // The program's type; null for kProgTypeHost only.
    const ProgTypeOps* ops = nullptr;
    bool bpf_capable = true;      // CAP_BPF: loops, subprograms, no strict limits
    bool perfmon_capable = true;  // CAP_PERFMON: pointers may be leaked and compared freely
    // PROG_LOAD's fd_array (for BPF_PSEUDO_MAP_IDX), 0 if none.
    host::UserAddress fd_array{};
    // A counted map from a descriptor, and giving it back.
    Result<MapRef> (*map_by_fd)(int fd) = nullptr;
    void (*put_map)(Map* map) = nullptr;
    const VerifierBtf* btf = nullptr;
    // For func_info and line_info (and prog_btf_fd, unless prog->debug.btf is there already); null:
    // none.
    const bpf_attr* attr = nullptr;
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
