// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/run_result.h"

#include <cerrno>
#include <cstring>

#include "testkit/cli/output.h"
#include "testkit/cli/verdict.h"

namespace barebpf::cli {

namespace {

constexpr size_t kTraceLinesShown = 50;

std::string percent(uint64_t part, uint64_t whole) {
    char text[32];
    std::snprintf(text, sizeof text, "%5.1f %%",
                  100.0 * static_cast<double>(part) / static_cast<double>(whole));
    return text;
}

std::string heading(const RunResult& result) {
    std::string text = result.program + " (" + result.type_text + ", " +
                       (result.jited ? "machine code" : "interpreter") + ") on " +
                       result.capture_path + ": " + counted(result.packets, "packet") + ", " +
                       counted(result.bytes, "byte") + "\n";
    if (result.chosen_by_us) {
        text += "the first of several programs; --program chooses another:";
        for (const std::string& other : result.others) text += " " + other;
        text += "\n";
    }
    return text;
}

std::string verdicts_text(const RunResult& result) {
    Table table({"verdict", "packets", "share"});
    for (const auto& [value, packets] : result.verdicts)
        table.add({verdict_name(result.type, value), packets, percent(packets, result.packets)});
    for (const auto& [error, what] : result.errors)
        table.add(
            {"not run: " + errno_name(error), what.packets, percent(what.packets, result.packets)});
    std::string text = table.text("    ");
    if (result.shortened)
        text += "    " + counted(result.shortened, "packet") + " accepted, but cut short\n";
    for (const auto& [error, what] : result.errors) {
        text += "    " + errno_name(error) + ": first packet " + std::to_string(what.first) + " (" +
                counted(what.first_size, "byte") + ")";
        if (error == EINVAL) text += ", too short for its headers or too long for a frame";
        text += "\n";
    }
    return text;
}

std::string time_text(const RunResult& result) {
    if (!result.timed) return "";
    std::string text =
        "time per packet: " + duration_text(result.nanoseconds / static_cast<double>(result.timed));
    if (result.repeat > 1) return text + " (mean of " + grouped(result.repeat) + " runs each)\n";
    return text + " (one run each; --repeat 1000 makes it steady)\n";
}

std::string trace_text(const RunResult& result) {
    const auto& lines = result.trace.lines;
    if (lines.empty()) return "";
    std::string text = "\ntrace (packet: text)\n";
    for (size_t i = 0; i < lines.size() && i < kTraceLinesShown; ++i)
        text += "    " + std::to_string(lines[i].packet) + ": " + lines[i].text + "\n";
    const uint64_t more = lines.size() + result.trace.dropped;
    if (more > kTraceLinesShown)
        text += "    (" + grouped(more - kTraceLinesShown) + " more lines; --json has the first " +
                grouped(kMaxTraceLines) + ")\n";
    return text;
}

}  // namespace

std::string run_text(const RunResult& result, size_t element_limit) {
    std::string text = heading(result);
    if (result.packets) text += "\n" + verdicts_text(result);
    std::string more;
    if (result.changed) more += counted(result.changed, "packet") + " changed\n";
    more += time_text(result);
    if (!result.out_path.empty())
        more += counted(result.written, "packet") + " written to " + result.out_path + "\n";
    if (!more.empty()) text += "\n" + more;
    text += trace_text(result);
    if (!result.maps.empty()) text += "\n" + maps_text(result.maps, element_limit);
    return text;
}

Json run_json(const RunResult& result) {
    Json verdicts = Json::array(), errors = Json::array(), trace = Json::array();
    for (const auto& [value, packets] : result.verdicts)
        verdicts.push_back(
            {{"value", value}, {"name", verdict_name(result.type, value)}, {"packets", packets}});
    for (const auto& [error, what] : result.errors)
        errors.push_back({{"errno", error},
                          {"name", errno_name(error)},
                          {"packets", what.packets},
                          {"first_packet", what.first}});
    for (const TraceLine& line : result.trace.lines)
        trace.push_back({{"packet", line.packet}, {"text", line.text}});
    Json json = {{"file", result.object_path},
                 {"program", result.program},
                 {"type", result.type_text},
                 {"engine", result.jited ? "jit" : "interpreter"},
                 {"capture", result.capture_path},
                 {"packets", result.packets},
                 {"bytes", result.bytes},
                 {"verdicts", verdicts},
                 {"errors", errors},
                 {"changed", result.changed},
                 {"repeat", result.repeat},
                 {"nanoseconds_per_packet",
                  result.timed ? Json(result.nanoseconds / static_cast<double>(result.timed))
                               : Json(nullptr)},
                 {"maps", maps_json(result.maps)},
                 {"trace", trace},
                 {"trace_dropped", result.trace.dropped}};
    add_records(result.records, &json);
    if (!result.out_path.empty())
        json["out"] = {{"file", result.out_path}, {"packets", result.written}};
    if (!result.damage.empty()) json["error"] = result.damage;
    return json;
}

}  // namespace barebpf::cli
