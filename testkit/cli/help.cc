// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What --help says.
#include <algorithm>

#include "testkit/cli/options.h"

namespace barebpf::cli {

namespace {

std::string padded(std::string text, size_t width) {
    if (text.size() < width) text.resize(width, ' ');
    return text;
}

}  // namespace

const std::vector<const Command*>& all_commands() {
    static const std::vector<const Command*> commands = {&run_command(),    &verify_command(),
                                                         &disasm_command(), &maps_command(),
                                                         &exec_command(),   &pack_command()};
    return commands;
}

std::string general_help() {
    std::string text =
        "barebpf runs BPF programs in this process: no root, and no BPF in the kernel.\n"
        "\n"
        "    clang -target bpf -g -O2 -c filter.bpf.c -o filter.bpf.o    compile it\n"
        "    barebpf verify filter.bpf.o                                 would Linux take it?\n"
        "    barebpf run filter.bpf.o --pcap packets.pcap                what does it do?\n"
        "\n"
        "Commands:\n";
    for (const Command* command : all_commands())
        text += "    " + padded(command->name, 10) + command->summary + "\n";
    return text +
           "    help      'barebpf help COMMAND' explains a command, with examples\n"
           "\n"
           "Exit status: 0 it worked; 1 the program, the verifier or a file said no; 2 usage.\n"
           "Every command has --json. Packets are recorded with 'tcpdump -i eth0 -w "
           "packets.pcap'.\n";
}

std::string command_help(const Command& command) {
    std::string text = "usage: barebpf " + std::string(command.name) + " " + command.operands +
                       " [OPTION...]\n\n" + command.about + "\nOptions:\n";
    size_t width = 0;
    auto shown = [](const Option& option) {
        return "--" + std::string(option.name) +
               (option.value ? std::string(" ") + option.value : "");
    };
    for (const Option& option : command.options) width = std::max(width, shown(option).size());
    for (const Option& option : command.options)
        text += "    " + padded(shown(option), width + 2) + option.about + "\n";
    return text + "\nExamples:\n" + command.examples;
}

}  // namespace barebpf::cli
