// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// barebpf verify: would the verifier take these programs?
#include <cstdio>

#include "testkit/cli/errors.h"
#include "testkit/cli/options.h"
#include "testkit/cli/rejection.h"
#include "testkit/cli/world.h"

namespace barebpf::cli {

namespace {

void print_one(const Verification& verification, bool with_log) {
    const VerifierStats& stats = verification.stats;
    std::printf("%s (%s): %s", verification.program.c_str(), verification.section.c_str(),
                verification.accepted ? "accepted" : "REJECTED");
    if (!verification.accepted) std::printf(", %s", verification.error.c_str());
    if (stats.insns_processed) {
        std::printf("; %s", counted(stats.insns_processed, "instruction").c_str());
        if (stats.total_states)
            std::printf(", %s (at most %s at once)", counted(stats.total_states, "state").c_str(),
                        grouped(stats.peak_states).c_str());
        if (stats.time_us)
            std::printf(", %s", duration_text(1e3 * static_cast<double>(stats.time_us)).c_str());
    }
    std::printf("\n");
    if (!verification.accepted) std::printf("%s", rejection_text(verification).c_str());
    if (with_log) std::printf("%s", verification.log.c_str());
}

int verify(const Arguments& arguments) {
    const std::string& path = arguments.operands()[0];
    const auto level = static_cast<uint32_t>(arguments.number("log-level", 0, 7, 0));
    start_world(false);  // what runs it later makes no difference here
    auto results = verify_object(path, arguments.text("program").value_or(""), level);
    size_t rejected = 0;
    for (const Verification& result : results) rejected += !result.accepted;
    if (arguments.json()) {
        Json programs = Json::array();
        for (const Verification& result : results) {
            programs.push_back(to_json(result));
            if (level) programs.back()["log"] = result.log;
        }
        print_json({{"file", path}, {"accepted", rejected == 0}, {"programs", programs}});
    } else {
        for (const Verification& result : results) print_one(result, level != 0);
        if (rejected && !level)
            std::printf("%zu of %zu rejected; --log-level 1 shows the way there\n", rejected,
                        results.size());
    }
    return rejected ? kExitNo : 0;
}

}  // namespace

const Command& verify_command() {
    static const Command command = {
        "verify",
        "OBJECT",
        "says of each program whether the verifier accepts it, and if not, why",
        "Loads each program of an object file by itself and tells whether it is accepted and what\n"
        "that took. Of a rejected one it shows the instruction, its source line (compile with "
        "-g),\n"
        "the verifier's reason and what to do about it.\n",
        {kProgramOption,
         {"log-level", "N",
          "the verifier's log as well: 1 the way to a rejection, 2 every path, 4 statistics"},
         kJsonOption},
        "    barebpf verify filter.bpf.o\n"
        "    barebpf verify filter.bpf.o --program ingress --log-level 2\n"
        "    barebpf verify filter.bpf.o --json | jq '.programs[] | select(.accepted | not)'\n",
        1,
        1,
        verify};
    return command;
}

}  // namespace barebpf::cli
