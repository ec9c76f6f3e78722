// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/records.h"

#include <algorithm>
#include <cstdio>

#include "testkit/cli/output.h"
#include "testkit/cli/record_types.h"

namespace barebpf::cli {

namespace {

constexpr size_t kBytesShown = 256;
constexpr size_t kBytesInLine = 16;

// "0010  01 02 ...  |..|"
std::string dump_line(const uint8_t* bytes, size_t size, size_t at) {
    char offset[32];
    std::snprintf(offset, sizeof offset, "%04zx ", at);
    std::string text = offset, characters;
    for (size_t i = 0; i < kBytesInLine; ++i) {
        if (i == kBytesInLine / 2) text += " ";
        const bool there = at + i < size;
        text += there ? " " + hex_bytes(bytes + at + i, 1) : "   ";
        if (!there) continue;
        const char character = static_cast<char>(bytes[at + i]);
        characters += character >= ' ' && character <= '~' ? character : '.';
    }
    return "        " + text + "  |" + characters + "|\n";
}

// From offset `from` on.
std::string dump_text(const std::vector<uint8_t>& bytes, size_t from) {
    const size_t end = std::min(bytes.size(), from + kBytesShown);
    std::string text;
    bool repeated = false;
    for (size_t at = from; at < end; at += kBytesInLine) {
        // Lines like the one before are one star, as of hexdump; the last one shows where it ends.
        const bool same =
            at > from && at + kBytesInLine < end &&
            std::equal(&bytes[at], &bytes[at] + kBytesInLine, &bytes[at - kBytesInLine]);
        if (!same) text += dump_line(bytes.data(), end, at);
        if (same && !repeated) text += "        *\n";
        repeated = same;
    }
    if (end < bytes.size())
        text += "        (" + counted(bytes.size() - end, "more byte") + "; --json has all)\n";
    return text;
}

// Perf events are filled up with zeros, so that with a length of 4 bytes they end at a multiple of 8.
size_t rest_of(const Record& record) {
    const size_t with_padding = (record.decoded + 4 + 7) / 8 * 8 - 4;
    if (record.cpu >= 0 && record.bytes.size() == with_padding) return 0;
    return record.bytes.size() - record.decoded;
}

std::string record_text(const Record& record, const std::string& type) {
    std::string text = "    " + std::to_string(record.packet) + ": " + record.map;
    if (record.cpu >= 0) text += ", cpu " + std::to_string(record.cpu);
    if (record.lost)
        return text + ", " + counted(record.lost, "record") + " lost: there was no room\n";
    text += ", " + counted(record.bytes.size(), "byte");
    if (record.value.is_null()) {
        if (!type.empty()) text += ", fewer than " + type + " has";
        return text + "\n" + dump_text(record.bytes, 0);
    }
    text += ": " + value_text(record.value);
    const size_t rest = rest_of(record);
    if (!rest) return text + "\n";
    return text + ", and behind it " + counted(rest, "byte") + "\n" +
           dump_text(record.bytes, record.decoded);
}

}  // namespace

bool RecordSink::prints(const std::vector<Record>& records) const {
    return mode_ == Mode::Print && !records.empty() && taken_ < limit_;
}

void RecordSink::take(std::vector<Record> records) {
    const bool shown = prints(records);
    for (Record& record : records) {
        log_.lost += record.lost;
        if (++taken_ > limit_) {
            ++log_.dropped;
            continue;
        }
        types_.decode(&record);
        if (mode_ == Mode::Print)
            print(record);
        else
            log_.kept.push_back(std::move(record));
    }
    if (shown) std::fflush(stdout);
}

void RecordSink::print(const Record& record) {
    if (taken_ == 1) std::printf("records (packet: map, size: contents)\n");
    std::printf("%s", record_text(record, types_.name_of(record.map)).c_str());
    lost_shown_ += record.lost;
    hint(record);
}

void RecordSink::hint(const Record& record) {
    if (hinted_ || record.lost || !types_.name_of(record.map).empty()) return;
    hinted_ = true;
    std::printf("    (the bytes as they are: --record-type %s=STRUCT names what is in them)\n",
                record.map.c_str());
}

RecordLog RecordSink::finish(uint64_t more) {
    log_.dropped += more;
    if (mode_ == Mode::Keep) return std::move(log_);
    if (log_.dropped)
        std::printf("    (%s more; --records %llu shows them)\n", grouped(log_.dropped).c_str(),
                    static_cast<unsigned long long>(taken_ + more));
    if (log_.lost > lost_shown_)
        std::printf("    (%s more were lost: there was no room)\n",
                    grouped(log_.lost - lost_shown_).c_str());
    if (taken_ + more) std::printf("\n");
    return {};
}

void add_records(const RecordLog& log, Json* json) {
    Json records = Json::array(), lost = Json::array();
    for (const Record& record : log.kept) {
        Json one = {{"packet", record.packet}, {"map", record.map}};
        if (record.cpu >= 0) one["cpu"] = record.cpu;
        if (record.lost) {
            one["records"] = record.lost;
            lost.push_back(std::move(one));
            continue;
        }
        one["size"] = record.bytes.size();
        one["bytes"] = hex_bytes(record.bytes.data(), record.bytes.size());
        one["value"] = record.value;
        records.push_back(std::move(one));
    }
    (*json)["records"] = std::move(records);
    (*json)["records_lost"] = log.lost;
    (*json)["losses"] = std::move(lost);
    (*json)["records_dropped"] = log.dropped;
}

}  // namespace barebpf::cli
