// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// libbpf's readers of all ring buffers and perf event arrays of a loaded object.
//
// A ring buffer is as large as the object says. The ring of perf events, one for each CPU, is this reader's to choose.
// Nothing reads while a program runs: what a packet writes must fit.
#pragma once

#include <memory>
#include <vector>

#include "testkit/cli/object.h"
#include "testkit/cli/records.h"

namespace barebpf::cli {

class RecordReaders {
public:
    // Throws Failure.
    explicit RecordReaders(const Object& object);
    ~RecordReaders();
    RecordReaders(const RecordReaders&) = delete;
    RecordReaders& operator=(const RecordReaders&) = delete;

    bool empty() const { return readers_.empty(); }
    // What was written since, map by map, and behind it what was lost; all of it is taken for this packet's.
    std::vector<Record> drain(uint64_t packet);
    // The same, unseen.
    void discard();
    // How full the fullest ring is: 0 to 1.
    double fill() const;

private:
    class Reader;
    class RingReader;
    class PerfReader;
    std::vector<std::unique_ptr<Reader>> readers_;
};

}  // namespace barebpf::cli
