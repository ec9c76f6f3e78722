// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/options.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <utility>

#include "testkit/cli/errors.h"

namespace barebpf::cli {

namespace {

size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), size_t{0});
    for (size_t i = 1; i <= a.size(); ++i) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size(); ++j) {
            const size_t above = row[j];
            row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = above;
        }
    }
    return row[b.size()];
}

const Option* find_option(const Command& command, const std::string& name) {
    for (const Option& option : command.options)
        if (name == option.name) return &option;
    return nullptr;
}

[[noreturn]] void unknown_option(const Command& command, const std::string& name) {
    std::vector<std::string> names;
    for (const Option& option : command.options) names.emplace_back(option.name);
    const std::string near = nearest(name, names);
    throw UsageError(std::string(command.name) + " has no option --" + name,
                     near.empty()
                         ? "'barebpf help " + std::string(command.name) + "' lists its options"
                         : "did you mean --" + near + "?");
}

void check_operands(const Command& command, const Arguments& arguments) {
    const size_t count = arguments.operands().size();
    if (count >= command.least_operands && count <= command.most_operands) return;
    const std::string usage = "usage: barebpf " + std::string(command.name) + " " +
                              command.operands + "; 'barebpf help " + command.name +
                              "' explains it";
    if (count < command.least_operands)
        throw UsageError(std::string(command.name) + " needs " + command.operands, usage);
    throw UsageError("what is '" + arguments.operands()[command.most_operands] + "'?", usage);
}

// Reads the option at words[at]; the index of its last word.
size_t parse_option(const Command& command, const std::vector<std::string>& words, size_t at,
                    Arguments* arguments) {
    const std::string& word = words[at];
    const size_t equals = word.find('=');
    const std::string name = word.substr(2, equals == std::string::npos ? equals : equals - 2);
    const Option* option = find_option(command, name);
    if (!option) unknown_option(command, name);
    if (arguments->has(name)) throw UsageError("--" + name + " is given twice");
    if (!option->value) {
        if (equals != std::string::npos) throw UsageError("--" + name + " takes no value");
        arguments->set(name, "");
    } else if (equals != std::string::npos) {
        arguments->set(name, word.substr(equals + 1));
    } else if (at + 1 < words.size()) {
        arguments->set(name, words[++at]);
    } else {
        throw UsageError("--" + name + " needs a value: " + option->value);
    }
    return at;
}

}  // namespace

std::optional<std::string> Arguments::text(const std::string& name) const {
    auto found = values_.find(name);
    if (found == values_.end()) return {};
    return found->second;
}

uint64_t Arguments::number(const std::string& name, uint64_t least, uint64_t most,
                           uint64_t otherwise) const {
    auto given = text(name);
    if (!given) return otherwise;
    uint64_t value = 0;
    const char* end = given->data() + given->size();
    auto parsed = std::from_chars(given->data(), end, value);
    if (parsed.ec != std::errc() || parsed.ptr != end || value < least || value > most)
        throw UsageError("--" + name + " " + *given + ": not a number from " +
                         std::to_string(least) + " to " + std::to_string(most));
    return value;
}

Arguments parse_arguments(const Command& command, const std::vector<std::string>& words) {
    Arguments arguments;
    bool options_end = false;
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (!options_end && word == "--") {
            options_end = true;
        } else if (options_end || word.size() < 2 || word[0] != '-') {
            arguments.add_operand(word);
        } else if (word[1] == '-') {
            i = parse_option(command, words, i, &arguments);
        } else {
            throw UsageError("what is '" + word + "'?", "options are long: --json, --program");
        }
    }
    check_operands(command, arguments);
    return arguments;
}

bool wants_jit(const Arguments& arguments) {
    const std::string engine = arguments.text("engine").value_or("jit");
    if (engine == "jit") return true;
    if (engine == "interpreter") return false;
    throw UsageError("--engine " + engine + ": no such engine", "jit or interpreter");
}

std::string nearest(const std::string& word, const std::vector<std::string>& candidates) {
    std::string best;
    size_t best_distance = 3;
    for (const std::string& candidate : candidates) {
        const size_t distance = edit_distance(word, candidate);
        if (distance < best_distance) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

std::vector<std::string> nearest_few(const std::string& word, std::vector<std::string> candidates,
                                     size_t most) {
    // A letter too many or too few counts half of a wrong one: parts of a name are near.
    const auto distance = [&](const std::string& one) {
        const size_t longer = std::max(one.size(), word.size());
        return 2 * edit_distance(word, one) - (longer - std::min(one.size(), word.size()));
    };
    std::sort(candidates.begin(), candidates.end(), [&](const auto& a, const auto& b) {
        return std::pair(distance(a), a) < std::pair(distance(b), b);
    });
    if (candidates.size() > most) candidates.resize(most);
    return candidates;
}

}  // namespace barebpf::cli
