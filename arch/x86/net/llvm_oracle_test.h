// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// For tests only: LLVM's assembler and disassembler as a second opinion on machine code.
#pragma once

#include <stdlib.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "kernel/lib/types.h"

namespace barebpf::x86::oracle {

inline std::string find_program(const char* name) {
    for (const char* suffix : {"-19", "", "-16", "-14"}) {
        std::string program = std::string(name) + suffix;
        if (system(("command -v " + program + " >/dev/null 2>&1").c_str()) == 0) return program;
    }
    return {};
}

// A private folder that disappears with the object.
class Scratch {
public:
    Scratch() {
        char pattern[] = "/tmp/barebpf-asm-XXXXXX";
        if (mkdtemp(pattern) != nullptr) path_ = pattern;
    }
    ~Scratch() {
        if (!path_.empty() && system(("rm -rf " + path_).c_str()) != 0) perror("rm");
    }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    std::string file(const char* name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

inline void write_file(const std::string& path, const std::string& text) {
    std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_file(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

// The lines of text that a command leaves in `output`; empty when it failed.
inline std::vector<std::string> lines_of(const std::string& command, const std::string& output) {
    std::vector<std::string> lines;
    if (system((command + " >" + output).c_str()) != 0) return lines;
    std::ifstream in(output);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

constexpr const char* kFlags =
    " --triple=x86_64 --output-asm-variant=1 -mattr=+bmi,+bmi2,+movbe,+lzcnt,+popcnt ";

// "\t{disp8}\tnop\t..." -> "nop\t..."
inline std::string instruction_text(std::string line) {
    for (size_t end; (end = line.find('}')) != std::string::npos;) line.erase(0, end + 1);
    line.erase(0, line.find_first_not_of(" \t"));
    line.erase(line.find_last_not_of(" \t") + 1);
    size_t lock = line.find("lock\t\t");
    if (lock == 0) line.erase(4, 1);
    return line;
}

// LLVM prints a lock prefix on a line of its own.
constexpr const char* kLock = "lock";

struct Assembled {
    std::string text;  // as LLVM prints it back
    u32 length;        // of LLVM's own encoding
};

// Intel syntax, one instruction a line.
inline std::vector<Assembled> assemble(const std::string& program, const Scratch& scratch,
                                       const std::string& source) {
    std::string input = scratch.file("in.s"), output = scratch.file("out.s");
    write_file(input, ".intel_syntax noprefix\n" + source);
    std::vector<Assembled> result;
    bool locked = false;
    for (const std::string& line :
         lines_of(program + kFlags + "--x86-asm-syntax=intel --show-encoding " + input, output)) {
        size_t comment = line.find("# encoding: [");
        if (comment == std::string::npos) continue;
        u32 length = 1;
        for (size_t i = comment; i < line.size(); i++) length += line[i] == ',';
        std::string text = instruction_text(line.substr(0, comment));
        if (text == kLock) {
            locked = true;
            continue;
        }
        result.push_back({locked ? kLock + ("\t" + text) : text, length + locked});
        locked = false;
    }
    return result;
}

// `source`: one instruction's bytes a line, "0x.. 0x..".
inline std::vector<std::string> disassemble(const std::string& program, const Scratch& scratch,
                                            const std::string& source) {
    std::string input = scratch.file("in.hex"), output = scratch.file("out.txt");
    write_file(input, source);
    std::vector<std::string> result;
    std::string prefix;
    for (const std::string& line : lines_of(program + kFlags + "--disassemble " + input, output)) {
        if (line.find(".text") != std::string::npos ||
            line.find(".intel_syntax") != std::string::npos)
            continue;
        std::string text = instruction_text(line);
        if (text == kLock) {
            prefix = "lock\t";
            continue;
        }
        result.push_back(prefix + text);
        prefix.clear();
    }
    return result;
}

}  // namespace barebpf::x86::oracle
