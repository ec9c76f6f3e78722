// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a run of a program over a capture gave, and how it is shown.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "testkit/cli/maps.h"
#include "testkit/cli/records.h"
#include "testkit/cli/world.h"

namespace barebpf::cli {

struct RunError {  // packets that the test run itself refused
    uint64_t packets = 0;
    uint64_t first = 0;  // number of the first such packet
    uint32_t first_size = 0;
};

struct RunResult {
    std::string object_path, program, capture_path, out_path;
    bpf_prog_type type;
    std::string type_text;
    std::vector<std::string> others;  // further programs that could have been run
    bool chosen_by_us = false;        // among several, by being the first
    bool jited = false;
    uint32_t repeat = 1;

    uint64_t packets = 0, bytes = 0;
    std::map<int64_t, uint64_t> verdicts;
    std::map<int, RunError> errors;  // by errno
    uint64_t shortened = 0;          // socket filters: accepted, but not whole
    uint64_t changed = 0;            // came out other than they went in
    uint64_t written = 0;            // to out_path
    uint64_t timed = 0;              // packets behind nanoseconds
    double nanoseconds = 0;          // mean of one run each, added up
    std::string damage;              // of the capture, behind the last packet
    std::vector<MapContents> maps;
    Trace trace;
    RecordLog records;
};

std::string run_text(const RunResult& result, size_t element_limit);
Json run_json(const RunResult& result);

}  // namespace barebpf::cli
