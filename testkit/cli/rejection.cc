// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/rejection.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sstream>

#include "testkit/cli/errors.h"
#include "testkit/cli/hints.h"
#include "testkit/cli/object.h"

namespace barebpf::cli {

namespace {

constexpr uint32_t kLogStats = 4;
// Of a program's log; memory that is not written to is not used.
constexpr size_t kLogSize = 16u << 20;
constexpr size_t kLargestLogSize = 512u << 20;

bool starts_with(const std::string& line, const char* start) {
    return line.rfind(start, 0) == 0;
}

// "12: (61) r0 = *(u32 *)(r1 +0)   ; R0_w=..."
bool read_insn_line(const std::string& line, int64_t* index, std::string* text) {
    size_t at = 0;
    while (at < line.size() && line[at] >= '0' && line[at] <= '9') ++at;
    if (at == 0 || line.compare(at, 3, ": (") != 0) return false;
    *index = std::stoll(line.substr(0, at));
    *text = line.substr(at + 2);
    const size_t comment = text->find(" ; ");
    if (comment != std::string::npos) text->erase(comment);
    text->erase(text->find_last_not_of(' ') + 1);
    return true;
}

bool is_state_line(const std::string& line) {
    size_t at = 0;
    while (at < line.size() && line[at] >= '0' && line[at] <= '9') ++at;
    if (at && line.compare(at, 3, ": R") == 0) return true;
    return starts_with(line, "from ") || starts_with(line, "frame") || starts_with(line, "func#") ||
           starts_with(line, "last_idx") || starts_with(line, "parent ") ||
           starts_with(line, "regs=") || starts_with(line, "propagating") ||
           starts_with(line, "Validating ") || starts_with(line, "Func#") ||
           starts_with(line, "mark_precise") || starts_with(line, "caller:") ||
           starts_with(line, "callee:") || starts_with(line, "returning from callee");
}

bool read_stats_line(const std::string& line, VerifierStats* stats) {
    unsigned long long insns, limit, per_insn, total, peak, time;
    if (std::sscanf(line.c_str(),
                    "processed %llu insns (limit %llu) max_states_per_insn %llu total_states %llu "
                    "peak_states %llu",
                    &insns, &limit, &per_insn, &total, &peak) == 5) {
        stats->insns_processed = insns;
        stats->total_states = total;
        stats->peak_states = peak;
        return true;
    }
    if (std::sscanf(line.c_str(), "verification time %llu usec", &time) == 1) {
        stats->time_us = time;
        return true;
    }
    if (starts_with(line, "stack depth ")) {
        stats->stack_depth = line.substr(std::strlen("stack depth "));
        return true;
    }
    return false;
}

}  // namespace

void read_log(Verification* verification) {
    std::istringstream log(verification->log);
    std::string reason;
    for (std::string line; std::getline(log, line);) {
        if (read_stats_line(line, &verification->stats)) continue;
        if (read_insn_line(line, &verification->insn, &verification->insn_text)) {
            reason.clear();
        } else if (starts_with(line, "; ")) {
            verification->source = line.substr(2);
            reason.clear();
        } else if (!line.empty() && !is_state_line(line)) {
            reason += (reason.empty() ? "" : "\n") + line;
        }
    }
    if (verification->accepted) return;
    verification->reason = reason.empty() ? verification->error : reason;
    verification->next = hint_for(verification->reason);
    if (reason.empty())
        verification->next =
            "the verifier did not come to look at it: its type, attach type or flags are not known "
            "here (xdp, sched_cls, sched_act and socket_filter are)";
}

namespace {

// One attempt to load the object with a log for each program that is to be loaded.
class Attempt {
public:
    Attempt(const std::string& path, uint32_t log_level, size_t log_size) : object_(path) {
        for (bpf_program* program : object_.programs()) {
            logs_.emplace_back(new char[log_size]);
            logs_.back()[0] = '\0';
            bpf_program__set_log_buf(program, logs_.back().get(), log_size);
            bpf_program__set_log_level(program, log_level);
        }
    }

    void load_only(size_t index) {
        auto programs = object_.programs();
        for (size_t i = 0; i < programs.size(); ++i)
            bpf_program__set_autoload(programs[i], i == index);
    }

    bool load() { return object_.load(); }

    // What the load just made of that program.
    Verification verification(size_t index, bool loaded) const {
        bpf_program* program = object_.programs()[index];
        Verification result;
        result.program = bpf_program__name(program);
        result.type = type_name(program);
        result.section = bpf_program__section_name(program);
        result.log = logs_[index].get();
        result.error = loaded ? "" : refusal(result.program);
        // A later step (a program array that wants its other programs) is not the verifier's matter.
        result.accepted = loaded || (result.error.empty() && has_stats(result.log));
        if (!result.accepted && result.error.empty())
            throw Failure(object_.path() + ": " + result.program +
                          " could not be loaded: " + joined_messages());
        read_log(&result);
        return result;
    }

private:
    static bool has_stats(const std::string& log) {
        return log.find("\nprocessed ") != std::string::npos || log.rfind("processed ", 0) == 0;
    }

    // libbpf's line about the program's BPF_PROG_LOAD, its errno's text only; empty: there is none.
    static std::string refusal(const std::string& program) {
        const std::string start = "prog '" + program + "': BPF program load failed: ";
        for (const std::string& line : messages())
            if (line.rfind(start, 0) == 0) return line.substr(start.size());
        return {};
    }

    Object object_;
    std::vector<std::unique_ptr<char[]>> logs_;
};

std::vector<size_t> chosen(const std::string& path, const std::string& only) {
    Object object(path);
    if (!only.empty()) object.program(only);
    std::vector<size_t> indices;
    auto programs = object.programs();
    for (size_t i = 0; i < programs.size(); ++i)
        if (only.empty() || only == bpf_program__name(programs[i])) indices.push_back(i);
    return indices;
}

// Accepted programs tell statistics only; for a rejection the log is taken once more, in full. A log
// that does not fit is an error of its own (ENOSPC).
Verification verify_one(const std::string& path, size_t index, uint32_t log_level,
                        size_t log_size = kLogSize) {
    Attempt attempt(path, log_level | kLogStats, log_size);
    attempt.load_only(index);
    const bool loaded = attempt.load();
    Verification result = attempt.verification(index, loaded);
    if (result.accepted) return result;
    if (result.error == std::strerror(ENOSPC) && log_size < kLargestLogSize)
        return verify_one(path, index, log_level, log_size * 32);
    if (log_level & 3) return result;
    // A path too long for any log: what the statistics' log says is the reason, without the way to it.
    const Verification full = verify_one(path, index, 1);
    return full.error == std::strerror(ENOSPC) ? result : full;
}

}  // namespace

std::vector<Verification> verify_object(const std::string& path, const std::string& only,
                                        uint32_t log_level) {
    std::vector<Verification> results;
    for (size_t index : chosen(path, only)) results.push_back(verify_one(path, index, log_level));
    return results;
}

[[noreturn]] void explain_load_failure(const Object& object) {
    const std::string why = joined_messages();
    for (const Verification& result : verify_object(object.path(), "", 0)) {
        if (result.accepted) continue;
        std::string text = object.path() + ": the verifier rejects " + result.program + " (" +
                           result.error + ")\n" + rejection_text(result);
        text.pop_back();
        throw Failure(text, "'barebpf verify " + object.path() + " --program " + result.program +
                                " --log-level 1' shows the way there");
    }
    throw Failure(object.path() + ": could not be loaded: " + why);
}

std::string rejection_text(const Verification& rejection) {
    std::string text;
    auto field = [&](const char* name, const std::string& value) {
        if (value.empty()) return;
        std::istringstream lines(value);
        bool first = true;
        for (std::string line; std::getline(lines, line); first = false)
            text += "    " + std::string(first ? name : "            ") + line + "\n";
    };
    if (rejection.insn >= 0)
        field("instruction ", std::to_string(rejection.insn) + ": " + rejection.insn_text);
    field("source      ", rejection.source);
    field("reason      ", rejection.reason);
    field("next        ", rejection.next);
    return text;
}

Json to_json(const Verification& verification) {
    Json json = {{"program", verification.program},
                 {"type", verification.type},
                 {"section", verification.section},
                 {"accepted", verification.accepted},
                 {"insns_processed", verification.stats.insns_processed},
                 {"total_states", verification.stats.total_states},
                 {"peak_states", verification.stats.peak_states},
                 {"time_us", verification.stats.time_us},
                 {"stack_depth", verification.stats.stack_depth}};
    if (!verification.accepted) {
        json["error"] = verification.error;
        json["instruction"] = verification.insn >= 0 ? Json(verification.insn) : Json(nullptr);
        json["instruction_text"] = verification.insn_text;
        json["source"] = verification.source;
        json["reason"] = verification.reason;
        json["next"] = verification.next;
    }
    return json;
}

}  // namespace barebpf::cli
