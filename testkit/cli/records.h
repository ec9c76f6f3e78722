// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Records that a program handed to readers, by ring buffers and perf events, and how they are shown.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "testkit/cli/json.h"

namespace barebpf::cli {

class RecordTypes;

struct Record {
    uint64_t packet = 0;  // the one that was running, from 1
    std::string map;
    int cpu = -1;  // of perf events
    std::vector<uint8_t> bytes;
    uint64_t lost = 0;   // not 0: no record, but how many of this CPU's had no room
    Json value;          // null: no type is known, or it is larger
    size_t decoded = 0;  // bytes behind value
};

// What is kept where no limit is given: JSON and the plain form.
inline constexpr uint64_t kMaxRecords = 10'000;
// What is printed.
inline constexpr uint64_t kRecordsShown = 100;

struct RecordLog {
    std::vector<Record> kept;
    uint64_t dropped = 0;  // records, or notes of losses, that were too many
    uint64_t lost = 0;     // before they could be read: of all, listed or not
};

// Takes records as they come. Prints them on standard output at once, or keeps them.
class RecordSink {
public:
    enum class Mode { Print, Keep };
    RecordSink(const RecordTypes& types, Mode mode, uint64_t limit)
        : types_(types), mode_(mode), limit_(limit) {}

    // True: something will be printed.
    bool prints(const std::vector<Record>& records) const;
    void take(std::vector<Record> records);
    // Once, behind the last: what was kept, or a line about what was not shown. more: were dropped elsewhere.
    RecordLog finish(uint64_t more);

private:
    void print(const Record& record);
    void hint(const Record& record);

    const RecordTypes& types_;
    Mode mode_;
    uint64_t limit_;
    uint64_t taken_ = 0;
    uint64_t lost_shown_ = 0;
    bool hinted_ = false;
    RecordLog log_;
};

// "records"; "losses", and how many they are: "records_lost"; "records_dropped".
void add_records(const RecordLog& log, Json* json);

}  // namespace barebpf::cli
