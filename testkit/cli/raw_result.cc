// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/raw_result.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

#include "testkit/cli/errors.h"
#include "testkit/cli/record_types.h"

namespace barebpf::cli {

namespace {

constexpr const char kMark[] = "run: ";

using Bytes = std::vector<uint8_t>;

std::string hex_or_dash(const Bytes& bytes) {
    return bytes.empty() ? "-" : hex_bytes(bytes.data(), bytes.size());
}

bool is_zero(const Bytes& bytes) {
    return std::all_of(bytes.begin(), bytes.end(), [](uint8_t byte) { return !byte; });
}

size_t step(const MapContents& map) {
    return (map.value_size + 7) / 8 * 8;
}

std::string raw_value(const MapContents& map, const MapElement& element) {
    if (holds_objects(map.type_number)) {
        const std::string name = element.typed_value.text();
        return " object " + (name.find(' ') == std::string::npos ? name : "-");
    }
    if (!has_value_per_cpu(map.type_number)) return " " + hex_or_dash(element.value);
    std::string text;
    for (size_t cpu = 0; cpu * step(map) < element.value.size(); ++cpu) {
        const auto begin = element.value.begin() + static_cast<ptrdiff_t>(cpu * step(map));
        const Bytes value(begin, begin + map.value_size);
        if (!is_zero(value)) text += " cpu" + std::to_string(cpu) + "=" + hex_or_dash(value);
    }
    return text;
}

std::string raw_map(const MapContents& map) {
    std::ostringstream out;
    out << kMark << "map " << map.name << " " << map.type_number << " " << map.key_size << " "
        << map.value_size << " " << map.max_entries << " " << map.flags << "\n";
    // What has no keys is not gone through there.
    if (!map.unreadable.empty() || !map.key_size) out << kMark << "unreadable\n";
    if (!map.key_size) return out.str();
    std::vector<const MapElement*> elements;
    for (const MapElement& element : map.elements)
        if (!map.is_array || !is_zero(element.value)) elements.push_back(&element);
    std::sort(elements.begin(), elements.end(),
              [](const auto* a, const auto* b) { return a->key < b->key; });
    for (const MapElement* element : elements)
        out << kMark << "element " << hex_or_dash(element->key) << raw_value(map, *element) << "\n";
    return out.str();
}

std::string raw_trace(const TraceLine& line) {
    return std::string(kMark) + "trace " + std::to_string(line.packet) + " " +
           hex_or_dash(Bytes(line.text.begin(), line.text.end())) + "\n";
}

std::string raw_record(const Record& record) {
    std::string text = kMark + ("record " + std::to_string(record.packet)) + " " + record.map;
    if (record.cpu >= 0) text += " cpu" + std::to_string(record.cpu);
    if (record.lost) return text + " lost " + std::to_string(record.lost) + "\n";
    return text + " " + hex_or_dash(record.bytes) + "\n";
}

// As they came: of each packet first its lines, then its records.
std::string raw_stream(const RunResult& result) {
    std::string text;
    auto line = result.trace.lines.begin();
    const auto lines_until = [&](uint64_t packet) {
        for (; line != result.trace.lines.end() && line->packet <= packet; ++line)
            text += raw_trace(*line);
    };
    for (const Record& record : result.records.kept) {
        lines_until(record.packet);
        text += raw_record(record);
    }
    lines_until(UINT64_MAX);
    return text;
}

class RawReader {
public:
    RawReader(const std::string& path, const Object& object, RunResult* result)
        : path_(path), object_(object), result_(*result) {}

    void read() {
        std::ifstream file(path_);
        if (!file) throw Failure(path_ + ": " + std::strerror(errno));
        for (std::string line; std::getline(file, line);) {
            ++line_;
            if (line.rfind(kMark, 0) != 0) continue;
            while (!line.empty() && (line.back() == '\r')) line.pop_back();
            words_ = std::istringstream(line.substr(sizeof kMark - 1));
            read_line(word());
        }
        if (!ended_)
            throw Failure(path_ + ": no guest ran a program to its end here",
                          "what it printed instead says why");
        // As the object has them.
        for (const bpf_map* map : object_.maps())
            for (MapContents& contents : maps_)
                if (contents.name == shown_name(map)) result_.maps.push_back(std::move(contents));
        result_.maps = in_order(std::move(result_.maps));
    }

private:
    [[noreturn]] void bad(const std::string& what) {
        throw Failure(path_ + ": line " + std::to_string(line_) + ": " + what,
                      "is it the whole console of a guest that ran this very object?");
    }

    std::string word() {
        std::string text;
        if (!(words_ >> text)) bad("something is missing");
        return text;
    }
    template <class Number = uint64_t>
    Number number() {
        const std::string text = word();
        Number value{};
        const char* end = text.data() + text.size();
        const auto parsed = std::from_chars(text.data(), end, value);
        if (parsed.ec != std::errc() || parsed.ptr != end) bad("'" + text + "' is no number");
        return value;
    }
    Bytes hex(const std::string& text) {
        if (text == "-") return {};
        Bytes bytes(text.size() / 2);
        for (size_t i = 0; i < bytes.size(); ++i) {
            const char* at = text.data() + 2 * i;
            if (std::from_chars(at, at + 2, bytes[i], 16).ptr != at + 2) bad("no bytes: " + text);
        }
        if (text.size() % 2) bad("half a byte");
        return bytes;
    }

    void read_line(const std::string& what) {
        if (what == "program")
            read_program();
        else if (what == "trace")
            read_trace();
        else if (what == "trace_dropped")
            result_.trace.dropped = number();
        else if (what == "record")
            read_record();
        else if (what == "records_dropped")
            result_.records.dropped = number();
        else if (what == "packets")
            read_packets();
        else if (what == "verdict")
            read_verdict();
        else if (what == "error")
            read_error();
        else if (what == "damaged")
            result_.damage = result_.capture_path + ": packet " + std::to_string(number()) +
                             " cannot be read (in the guest)";
        else if (what == "map")
            read_map();
        else if (what == "element")
            read_element();
        else if (what == "unreadable")
            unreadable_ = true;
        else if (what == "end")
            end();
        else
            bad("'" + what + "' is not known");
    }

    void read_program() {
        if (!result_.program.empty()) bad("a second run begins");
        result_.program = word();
        const bpf_program* program = object_.program(result_.program);
        result_.type = bpf_program__type(program);
        result_.type_text = type_name(program);
        if (number() != static_cast<uint64_t>(result_.type)) bad("a program of another type");
        result_.jited = word() == "jit";
    }
    void read_trace() {
        const uint64_t packet = number();
        const Bytes text = hex(word());
        result_.trace.lines.push_back({packet, std::string(text.begin(), text.end())});
    }
    void read_record() {
        Record record;
        record.packet = number();
        record.map = word();
        std::string rest = word();
        if (rest.rfind("cpu", 0) == 0) {
            const char* end = rest.data() + rest.size();
            if (std::from_chars(rest.data() + 3, end, record.cpu).ptr != end || record.cpu < 0)
                bad("no CPU: " + rest);
            rest = word();
        }
        if (rest == "lost")
            record.lost = number();
        else
            record.bytes = hex(rest);
        const auto maps = object_.maps();
        const bool known = std::any_of(maps.begin(), maps.end(), [&](const bpf_map* map) {
            return has_records(bpf_map__type(map)) && shown_name(map) == record.map;
        });
        if (!known) bad("there is no map " + record.map + " with records");
        result_.records.kept.push_back(std::move(record));
    }
    void read_packets() {
        result_.packets = number();
        result_.bytes = number();
        result_.changed = number();
        result_.shortened = number();
    }
    void read_verdict() {
        const auto verdict = number<int64_t>();
        result_.verdicts[verdict] = number();
    }
    void read_error() {
        RunError& error = result_.errors[number<int>()];
        error.packets = number();
        error.first = number();
        error.first_size = number<uint32_t>();
    }

    void read_map() {
        finish_map();
        const std::string name = word();
        for (const bpf_map* map : object_.maps())
            if (shown_name(map) == name) map_ = map;
        if (!map_) bad("there is no map " + name);
        const uint32_t expected[] = {static_cast<uint32_t>(bpf_map__type(map_)),
                                     bpf_map__key_size(map_), bpf_map__value_size(map_),
                                     bpf_map__max_entries(map_)};
        for (uint32_t one : expected)
            if (number() != one) bad("map " + name + " is another one");
    }
    void read_element() {
        if (!map_) bad("an element of no map");
        MapElement element;
        element.key = hex(word());
        if (element.key.size() != bpf_map__key_size(map_)) bad("a key of another size");
        if (holds_objects(bpf_map__type(map_))) {
            word();
            element.typed_value = word();
            element.value.resize(bpf_map__value_size(map_));
        } else if (has_value_per_cpu(bpf_map__type(map_))) {
            element.value = values_per_cpu();
        } else {
            element.value = hex(word());
            if (element.value.size() != bpf_map__value_size(map_)) bad("a value of another size");
        }
        elements_.push_back(std::move(element));
    }
    Bytes values_per_cpu() {
        const size_t size = bpf_map__value_size(map_), distance = (size + 7) / 8 * 8;
        Bytes all(distance);
        for (std::string text; words_ >> text;) {
            const size_t equals = text.find('=');
            uint32_t cpu = 0;
            if (equals == std::string::npos || text.rfind("cpu", 0) != 0 ||
                std::from_chars(text.data() + 3, text.data() + equals, cpu).ptr !=
                    text.data() + equals ||
                cpu > 4096)
                bad("no value of a CPU: " + text);
            const Bytes value = hex(text.substr(equals + 1));
            if (value.size() != size) bad("a value of another size");
            all.resize(std::max(all.size(), (cpu + 1) * distance));
            std::copy(value.begin(), value.end(),
                      all.begin() + static_cast<ptrdiff_t>(cpu * distance));
        }
        return all;
    }
    void finish_map() {
        if (!map_) return;
        maps_.push_back(map_contents(object_, map_, std::move(elements_)));
        // Where a note says why, it is so here too.
        if (unreadable_ && maps_.back().note.empty()) maps_.back().unreadable = "not in the guest";
        unreadable_ = false;
        elements_.clear();
        map_ = nullptr;
    }
    void end() {
        finish_map();
        ended_ = true;
    }

    const std::string& path_;
    const Object& object_;
    RunResult& result_;
    std::istringstream words_;
    size_t line_ = 0;
    const bpf_map* map_ = nullptr;
    std::vector<MapElement> elements_;
    std::vector<MapContents> maps_;
    bool unreadable_ = false;
    bool ended_ = false;
};

}  // namespace

std::string run_raw(const RunResult& result) {
    std::ostringstream out;
    out << kMark << "program " << result.program << " " << result.type << " "
        << (result.jited ? "jit" : "interpreter") << "\n";
    out << raw_stream(result);
    if (result.trace.dropped) out << kMark << "trace_dropped " << result.trace.dropped << "\n";
    if (result.records.dropped)
        out << kMark << "records_dropped " << result.records.dropped << "\n";
    out << kMark << "packets " << result.packets << " " << result.bytes << " " << result.changed
        << " " << result.shortened << "\n";
    for (const auto& [value, packets] : result.verdicts)
        out << kMark << "verdict " << value << " " << packets << "\n";
    for (const auto& [error, what] : result.errors)
        out << kMark << "error " << error << " " << what.packets << " " << what.first << " "
            << what.first_size << "\n";
    if (!result.damage.empty()) out << kMark << "damaged " << result.packets + 1 << "\n";
    std::vector<const MapContents*> maps;
    for (const MapContents& map : result.maps) maps.push_back(&map);
    std::sort(maps.begin(), maps.end(),
              [](const auto* a, const auto* b) { return a->name < b->name; });
    for (const MapContents* map : maps) out << raw_map(*map);
    out << kMark << "end\n";
    return out.str();
}

void read_raw(const std::string& path, const Object& object, RunResult* result) {
    RawReader(path, object, result).read();
}

}  // namespace barebpf::cli
