// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/host_program.h"

#include <cstring>

#include "kernel/barebpf.h"
#include "kernel/bpf/prog.h"
#include "kernel/bpf/verifier_api.h"
#include "testkit/cli/errors.h"
#include "testkit/cli/rejection.h"
#include "testkit/cli/world.h"

namespace barebpf::cli {

namespace {

constexpr u32 kLogSize = 1 << 20;

struct Releaser {
    void operator()(Prog* prog) const {
        if (!is_damaged()) put_prog(prog);
    }
};
using OwnedProg = std::unique_ptr<Prog, Releaser>;

OwnedProg load(const std::vector<bpf_insn>& insns, u32 memory_size, const HostRunOptions& options) {
    std::vector<char> log(kLogSize);
    HostProgramOptions how;
    how.memory_size = memory_size;
    how.verify = options.verify;
    how.compile = options.compile;
    auto loaded = load_host_program(insns.data(), static_cast<u32>(insns.size()), how);
    if (loaded.ok()) return OwnedProg(loaded.value());
    const Errno error = loaded.error();
    // Once more for the reason: good programs need no log. A path too long for the log gives the reason alone.
    how.log = log.data();
    how.log_size = kLogSize;
    for (u32 level : {kVerifierLogBranches, kVerifierLogStats}) {
        how.log_level = level;
        auto again = load_host_program(insns.data(), static_cast<u32>(insns.size()), how);
        if (again.ok()) put_prog(again.value());
        if (again.ok() || again.error() != Errno::NoSpc) break;
    }
    Verification rejection;
    rejection.error = errno_name(to_int(error));
    rejection.log = log.data();
    read_log(&rejection);
    std::string text =
        "the program is rejected (" + rejection.error + ")\n" + rejection_text(rejection);
    text.pop_back();
    throw Failure(text);
}

struct Call {
    Prog* prog;
    void* memory;
    u32 length;
    u64 result;
};

void call_now(void* argument) {
    auto* call = static_cast<Call*>(argument);
    call->result = run_host_program(call->prog, call->memory, call->length);
}

}  // namespace

HostRun run_host(const std::vector<uint8_t>& code, const std::vector<uint8_t>& memory,
                 const HostRunOptions& options) {
    if (code.empty() || code.size() % sizeof(bpf_insn))
        throw UsageError("program: " + counted(code.size(), "byte") + ", but an instruction has 8",
                         "bytes in hexadecimal on standard input");
    std::vector<bpf_insn> insns(code.size() / sizeof(bpf_insn));
    std::memcpy(insns.data(), code.data(), code.size());
    OwnedProg prog = load(insns, static_cast<u32>(memory.size()), options);

    std::vector<u64> aligned((memory.size() + 7) / 8);
    if (!memory.empty()) std::memcpy(aligned.data(), memory.data(), memory.size());
    Call call = {prog.get(), memory.empty() ? nullptr : aligned.data(),
                 static_cast<u32>(memory.size()), 0};
    if (options.verify)
        call_now(&call);  // a fault here would be an error of ours
    else
        catching_faults("the program", call_now, &call,
                        "unverified programs may do anything: without --unverified the verifier "
                        "says what is wrong");
    const auto* after = reinterpret_cast<const uint8_t*>(aligned.data());
    return {call.result, {after, after + memory.size()}, prog->jited};
}

}  // namespace barebpf::cli
