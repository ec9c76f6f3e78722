// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the verifier's tests share: a program, what it may rely on, the verdict and words that the log
// must contain.
#pragma once

#include <string>
#include <vector>

#include "kernel/bpf/insn.h"
#include "kernel/bpf/map.h"
#include "kernel/bpf/verifier_api.h"
#include "testkit/test.h"

namespace barebpf::test {

inline constexpr Errno kAccepted{};

// What a program is run as. Packet: a packet type with the first rows of __sk_buff.
enum class As : u8 { Host, Packet };

struct VerifierCase {
    const char* name;
    std::vector<bpf_insn> insns;
    Errno verdict = kAccepted;
    const char* phrase = "";
    As as = As::Packet;
    u32 flags = 0;  // BPF_F_*
    bool privileged = true;
    Btf* btf = nullptr;  // with
    std::vector<bpf_func_info> functions = {};
};

// Descriptor numbers of ld_imm64 in test programs.
inline constexpr int kArrayFd = 3;     // array: 4-byte key, 48-byte value, one element
inline constexpr int kReadOnlyFd = 4;  // the same, BPF_F_RDONLY_PROG, frozen; bytes 0, 1, 2 ...
inline constexpr int kWriteOnlyFd = 5;

struct Verdict {
    Errno error = kAccepted;
    std::string log;
    u32 insns = 0;
};

Verdict verify(const VerifierCase& one, u32 log_level = 2);
// Runs all cases as one test; names what went wrong with the log.
void check_cases(const std::vector<VerifierCase>& cases);

}  // namespace barebpf::test
