// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host programs: R1 = memory, R2 = its length.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace barebpf::cli {

struct HostRunOptions {
    bool verify = true;
    bool compile = true;
};

struct HostRun {
    uint64_t result = 0;
    std::vector<uint8_t> memory;  // after the run
    bool jited = false;
};

// Throws Failure: rejected, and why; or a fault of an unverified program (is_damaged() then).
HostRun run_host(const std::vector<uint8_t>& code, const std::vector<uint8_t>& memory,
                 const HostRunOptions& options);

}  // namespace barebpf::cli
