// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Verification of an object's programs, and what the verifier's log means.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "testkit/cli/object.h"
#include "testkit/cli/output.h"

namespace barebpf::cli {

struct VerifierStats {
    uint64_t insns_processed = 0;
    uint64_t total_states = 0;
    uint64_t peak_states = 0;
    uint64_t time_us = 0;
    std::string stack_depth;  // of each function: "64+16"; empty if not told
};

struct Verification {
    std::string program;
    std::string type;
    std::string section;
    bool accepted = false;
    VerifierStats stats;
    std::string log;  // all of it
    // Of a rejection:
    std::string error;      // name of the errno
    int64_t insn = -1;      // index of the instruction; -1: the log names none
    std::string insn_text;  // as the log prints it
    std::string source;     // the source line, if the object has line_info
    std::string reason;
    std::string next;
};

// Loads each program (or only the one named) and says what the verifier thinks of it. Throws Failure
// where it is not the verifier that says no (a map cannot be made, a relocation failed).
std::vector<Verification> verify_object(const std::string& path, const std::string& only,
                                        uint32_t log_level);

// The object could not be loaded: which program was rejected, and why?
[[noreturn]] void explain_load_failure(const Object& object);

// The rejection for people, indented; for programs, all of it.
std::string rejection_text(const Verification& rejection);
Json to_json(const Verification& verification);

// Reads the log's parts into verification: statistics and, of a rejection, instruction and reason.
void read_log(Verification* verification);

}  // namespace barebpf::cli
