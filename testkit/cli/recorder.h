// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The bpf(2) calls of this process that make something, as they come: libbpf's, while it loads an object.
//
// Descriptors in them are replaced by ids at once, by asking what each one is: libbpf duplicates descriptors
// and closes them as it likes, but ids are of one object for good. So are the ids of a map or program in the
// end, and what they are made of is followed from there: what libbpf only tried out (feature probes) is
// recorded as well, and nobody asks for it.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace barebpf::cli {

using Blob = std::vector<uint8_t>;

struct RecordedElement {
    Blob key, value;         // value: empty where object is set
    uint32_t object_id = 0;  // of a program or map
    uint64_t flags = 0;
    uint64_t order = 0;
};

struct RecordedMap {
    bpf_attr attr;  // descriptors in it are not valid any more
    uint32_t btf_id = 0, inner_map_id = 0;
    std::vector<RecordedElement> elements;
    uint64_t order = 0;
    uint64_t frozen = 0;  // order; 0: not frozen
};

struct RecordedProgram {
    bpf_attr attr;
    uint32_t btf_id = 0;
    std::string license;
    std::vector<bpf_insn> insns;
    std::map<size_t, uint32_t> map_ids;  // by the instruction that names the map
    Blob func_info, line_info;
    uint64_t order = 0;
};

// Order counts calls: what is done again must be done in the same order.
struct Recording {
    std::map<uint32_t, Blob> btf;  // all by id
    std::map<uint32_t, RecordedMap> maps;
    std::map<uint32_t, RecordedProgram> programs;
    std::string problem;  // what could not be recorded; empty: all was
};

// While it lives, calls are recorded. One at a time.
class Recorder {
public:
    Recorder();
    ~Recorder();
    Recorder(const Recorder&) = delete;
    Recorder& operator=(const Recorder&) = delete;
    const Recording& recording() const { return recording_; }

private:
    static void observe(uint32_t command, uint64_t attr, uint32_t size, long result);
    void record(uint32_t command, const bpf_attr& attr, int fd);
    void record_map(const bpf_attr& attr, int fd);
    void record_btf(const bpf_attr& attr, int fd);
    void record_program(const bpf_attr& attr, int fd);
    void record_element(const bpf_attr& attr);
    void record_freeze(const bpf_attr& attr);

    Recording recording_;
    uint64_t order_ = 0;
    bool recording_now_ = false;
};

// Ids behind descriptors; 0: it is not one.
uint32_t map_id(int fd);
uint32_t program_id(int fd);

}  // namespace barebpf::cli
