// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The one world of this process: libbpf's bpf(2) ends there (testkit/preload is part of this
// program), not in the kernel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace barebpf::cli {

// Makes the world; programs loaded from now on are compiled, or interpreted.
void start_world(bool jit);

// What bpf_trace_printk() wrote. Lines beyond the first kMaxTraceLines are only counted.
inline constexpr size_t kMaxTraceLines = 10'000;
struct TraceLine {
    uint64_t packet;  // the one that was running, from 1
    std::string text;
};
struct Trace {
    std::vector<TraceLine> lines;
    uint64_t dropped = 0;
};
Trace& trace();
// Which packet comes next; 0: what is written now is of no interest.
void trace_packet(uint64_t number);

// Calls function and catches faults (a damaged file that makes a parser run away). Throws Failure
// that names what was being done; the world is not to be used any more then.
void catching_faults(const std::string& doing, void (*function)(void*), void* argument,
                     const std::string& next);

// Ends the process without destructors and exit handlers, output written: after a fault, where
// nothing can be relied on.
[[noreturn]] void leave(int status);
// True after a fault.
bool is_damaged();

}  // namespace barebpf::cli
