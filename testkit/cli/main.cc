// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// barebpf: real BPF objects in an ordinary process.
#include <cstdio>
#include <cstring>
#include <exception>

#include "testkit/cli/errors.h"
#include "testkit/cli/options.h"
#include "testkit/cli/output.h"
#include "testkit/cli/world.h"

namespace barebpf::cli {

namespace {

const Command& find_command(const std::string& name) {
    std::vector<std::string> names = {"help"};
    for (const Command* command : all_commands()) {
        if (name == command->name) return *command;
        names.emplace_back(command->name);
    }
    const std::string near = nearest(name, names);
    throw UsageError("there is no command '" + name + "'",
                     near.empty() ? "'barebpf help' lists them" : "did you mean " + near + "?");
}

bool asks_for_help(const std::vector<std::string>& words) {
    for (const std::string& word : words) {
        if (word == "--") return false;
        if (word == "--help" || word == "-h") return true;
    }
    return false;
}

int show_help(const std::vector<std::string>& words) {
    if (words.size() > 1) throw UsageError("help explains one command at a time");
    const std::string text = words.empty() ? general_help() : command_help(find_command(words[0]));
    std::printf("%s", text.c_str());
    return 0;
}

int dispatch(std::vector<std::string> words) {
    if (words.empty()) throw UsageError("which command?", "'barebpf --help' shows how to begin");
    const std::string name = words[0];
    words.erase(words.begin());
    if (name == "help" || name == "--help" || name == "-h") return show_help(words);
    const Command& command = find_command(name);
    if (asks_for_help(words)) return show_help({name});
    return command.run(parse_arguments(command, words));
}

// Standard error for people, and for programs that asked for it a document on standard output.
int report(const Failure& failure, bool json, int status) {
    std::fflush(stdout);
    std::fprintf(stderr, "barebpf: %s\n", failure.what());
    if (!failure.next().empty()) std::fprintf(stderr, "    next: %s\n", failure.next().c_str());
    if (json) print_json({{"error", failure.what()}, {"next", failure.next()}});
    return status;
}

int guarded(const std::vector<std::string>& words) {
    bool json = false;
    for (const std::string& word : words) json |= word == "--json";
    try {
        return dispatch(words);
    } catch (const UsageError& error) {
        return report(error, json, kExitUsage);
    } catch (const Failure& failure) {
        return report(failure, json, kExitNo);
    } catch (const std::exception& error) {  // no memory, mostly
        return report(Failure(error.what()), json, kExitNo);
    }
}

}  // namespace

}  // namespace barebpf::cli

int main(int count, char** words) {
    using namespace barebpf::cli;  // NOLINT: this is the door to it
    int status = guarded({words + 1, words + count});
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
        std::fprintf(stderr, "barebpf: standard output: %s\n", std::strerror(errno));
        status = kExitNo;
    }
    leave(status);
}
