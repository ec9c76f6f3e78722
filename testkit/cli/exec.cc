// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// barebpf exec: raw instructions on raw memory.
#include <signal.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <iostream>
#include <iterator>
#include <memory>

#include "kernel/barebpf.h"
#include "testkit/cli/errors.h"
#include "testkit/cli/hex_input.h"
#include "testkit/cli/host_program.h"
#include "testkit/cli/options.h"
#include "testkit/cli/output.h"
#include "testkit/cli/world.h"

namespace barebpf::cli {

namespace {

uint64_t timeout_seconds;

void ring(int) {
    char text[128];
    const int length = std::snprintf(text, sizeof text,
                                     "barebpf: the program still ran after %" PRIu64
                                     " s\n    next: --timeout SECONDS gives it longer\n",
                                     timeout_seconds);
    [[maybe_unused]] auto written = write(STDERR_FILENO, text, static_cast<size_t>(length));
    _exit(kExitNo);
}

std::string result_text(const HostRun& run, bool with_memory) {
    char text[32];
    std::snprintf(text, sizeof text, "%" PRIx64, run.result);
    std::string line = text;
    if (with_memory) line += " " + hex_bytes(run.memory.data(), run.memory.size());
    return line;
}

void print_run(const HostRun& run, const Arguments& arguments) {
    if (!arguments.json()) {
        std::printf("%s\n", result_text(run, arguments.has("show-memory")).c_str());
        return;
    }
    const Json json = {{"result", result_text(run, false)},
                       {"memory", hex_bytes(run.memory.data(), run.memory.size())},
                       {"engine", run.jited ? "jit" : "interpreter"}};
    std::printf("%s\n", json.dump().c_str());
}

std::string one_line(std::string text) {
    for (char& character : text)
        if (character == '\n') character = ' ';
    return text;
}

// A program a line, its memory behind it; an answer a line.
int run_batch(const Arguments& arguments, const HostRunOptions& options) {
    int status = 0;
    size_t number = 0;
    for (std::string line; std::getline(std::cin, line);) {
        const std::string where = "line " + std::to_string(++number);
        const size_t space = line.find(' ');
        const std::string memory = space == std::string::npos ? "" : line.substr(space);
        try {
            print_run(run_host(parse_hex(where, line.substr(0, space)),
                               parse_hex(where + ", memory", memory), options),
                      arguments);
        } catch (const UsageError&) {
            throw;
        } catch (const Failure& failure) {
            status = kExitNo;
            const std::string why = one_line(failure.what());
            if (arguments.json())
                std::printf("%s\n", Json{{"error", why}}.dump().c_str());
            else
                std::printf("error: %s\n", why.c_str());
            if (is_damaged()) return status;  // a fault: what comes next could not be trusted
        }
    }
    return status;
}

int exec(const Arguments& arguments) {
    HostRunOptions options;
    options.verify = !arguments.has("unverified");
    options.compile = wants_jit(arguments);
    timeout_seconds = arguments.number("timeout", 1, 1'000'000, 10);
    const auto& operands = arguments.operands();
    if (!operands.empty() && arguments.has("memory"))
        throw UsageError("memory is given twice: --memory and '" + operands[0] + "'");
    if (arguments.has("batch") && (!operands.empty() || arguments.has("memory")))
        throw UsageError("--batch reads the memory from standard input, behind each program");
    const auto memory =
        parse_hex("memory", operands.empty() ? arguments.text("memory").value_or("") : operands[0]);
    std::string text;
    if (!arguments.has("batch"))
        text.assign(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
    const auto code = parse_hex("program", text);
    if (!options.verify) {  // a verified program ends
        signal(SIGALRM, ring);
        alarm(static_cast<unsigned>(timeout_seconds));
    }
    start_world(options.compile);
    if (arguments.has("batch")) return run_batch(arguments, options);
    print_run(run_host(code, memory, options), arguments);
    return 0;
}

}  // namespace

const Command& exec_command() {
    static const Command command = {
        "exec",
        "[MEMORY]",
        "runs raw instructions from standard input and prints R0",
        "Reads a program as hexadecimal bytes (8 an instruction) from standard input, runs it "
        "with\n"
        "R1 = address and R2 = length of the memory (0 and 0 without), and prints R0 in "
        "hexadecimal.\n"
        "It is verified first, with those two arguments. --unverified leaves that out: a fault "
        "ends\n"
        "the program with exit status 1, and so does the timeout. What suites of the instruction\n"
        "set call a plugin: MEMORY may be the operand.\n",
        {{"memory", "HEX", "what R1 points to"},
         kEngineOption,
         {"unverified", nullptr, "only decode it, then run whatever it does"},
         {"timeout", "SECONDS", "how long an unverified program may run (10)"},
         {"show-memory", nullptr, "print the memory after the run behind the result"},
         {"batch", nullptr, "a program a line, its memory behind a space; an answer a line"},
         kJsonOption},
        "    echo 'b7 00 00 00 2a 00 00 00  95 00 00 00 00 00 00 00' | barebpf exec      prints "
        "2a\n"
        "    echo 71100000000000009500000000000000 | barebpf exec --memory 7f            prints "
        "7f\n"
        "    barebpf exec 0102030405060708 --engine interpreter < program.hex\n",
        0,
        1,
        exec};
    return command;
}

}  // namespace barebpf::cli
