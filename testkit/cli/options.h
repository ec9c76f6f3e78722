// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Commands, their options and their help, as data.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace barebpf::cli {

struct Option {
    const char* name;   // without the dashes
    const char* value;  // what help calls it; null: a flag
    const char* about;
};

class Arguments {
public:
    bool has(const std::string& name) const { return values_.count(name) != 0; }
    std::optional<std::string> text(const std::string& name) const;
    // A decimal number within the bounds, or a usage error that says which are allowed.
    uint64_t number(const std::string& name, uint64_t least, uint64_t most,
                    uint64_t otherwise) const;
    const std::vector<std::string>& operands() const { return operands_; }
    bool json() const { return has("json"); }

    void set(const std::string& name, const std::string& value) { values_[name] = value; }
    void add_operand(const std::string& operand) { operands_.push_back(operand); }

private:
    std::map<std::string, std::string> values_;
    std::vector<std::string> operands_;
};

struct Command {
    const char* name;
    const char* operands;  // as in the usage line
    const char* summary;   // one line
    const char* about;     // paragraphs
    std::vector<Option> options;
    const char* examples;
    size_t least_operands;
    size_t most_operands;
    int (*run)(const Arguments& arguments);
};

// One each, in the file of its name.
const Command& run_command();
const Command& maps_command();
const Command& pack_command();
const Command& verify_command();
const Command& disasm_command();
const Command& exec_command();
const std::vector<const Command*>& all_commands();

// --name VALUE, --name=VALUE, flags, operands in any order; "--" ends the options.
Arguments parse_arguments(const Command& command, const std::vector<std::string>& words);

// --engine jit|interpreter: true for the compiler, which is also the default.
bool wants_jit(const Arguments& arguments);
inline constexpr Option kEngineOption = {"engine", "jit|interpreter",
                                         "machine code (default), or the interpreter"};
inline constexpr Option kJsonOption = {"json", nullptr, "JSON on standard output, for programs"};
inline constexpr Option kProgramOption = {"program", "NAME",
                                          "which program of the object (its function's name)"};

// The candidate that was probably meant; empty if none is near.
std::string nearest(const std::string& word, const std::vector<std::string>& candidates);
// The most likely ones first, at most so many, however far they are.
std::vector<std::string> nearest_few(const std::string& word, std::vector<std::string> candidates,
                                     size_t most);

std::string general_help();
std::string command_help(const Command& command);

}  // namespace barebpf::cli
