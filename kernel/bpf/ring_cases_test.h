// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Programs with ring buffers, dynptrs and values of maps, and what Linux says to them: for this verifier
// (check_dynptr_test.cc, check_call_test.cc) and for the kernel that the test runs on
// (check_dynptr_kernel_test.cc).
#pragma once

#include "kernel/bpf/verifier_calls_test.h"

namespace barebpf::test {

inline constexpr Errno kAccepted{};

// What kernels after 6.1 say.
enum class Newer : u8 {
    Same,
    Accepts,
    Refuses,  // after a million instructions: not asked
};

struct RingCase {
    const char* name;
    Insns insns;
    Errno error = kAccepted;
    const char* text = "";
    std::vector<Insns> functions = {};
    const char* newer_text = nullptr;
    Newer newer = Newer::Same;
    Errno newer_error = kAccepted;
};

// The static functions by number in subprog_call() and function_address(), until they are placed.
inline Insns function_address(u8 dst, s32 function) {
    return {wide_low(dst, BPF_PSEUDO_FUNC, function), wide_high(0)};
}

struct PlacedCase {
    Insns insns = {};
    std::vector<bpf_func_info> functions = {};  // type ids: main's, then one for each
};

// Behind each other, with calls and addresses in place.
inline PlacedCase place(const RingCase& c, TestBtf& types) {
    PlacedCase placed;
    placed.insns = c.insns;
    placed.functions.push_back({0, types.function("main", true, {TestBtf::kContextPtr})});
    for (const Insns& function : c.functions) {
        placed.functions.push_back(
            {u32(placed.insns.size()), types.function("f", false, {TestBtf::kInt})});
        placed.insns = placed.insns + function;
    }
    for (size_t i = 0; i < placed.insns.size(); ++i) {
        bpf_insn& insn = placed.insns[i];
        const bool call = insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == BPF_PSEUDO_CALL;
        const bool address =
            insn.code == (BPF_LD | BPF_IMM | BPF_DW) && insn.src_reg == BPF_PSEUDO_FUNC;
        if (call || address)
            insn.imm = s32(placed.functions[size_t(insn.imm) + 1].insn_off) - s32(i) - 1;
    }
    return placed;
}

// With descriptors for the maps' numbers.
inline void set_map_fds(Insns& insns, const int* fds) {
    for (bpf_insn& insn : insns) {
        const bool map = insn.src_reg == BPF_PSEUDO_MAP_FD || insn.src_reg == BPF_PSEUDO_MAP_VALUE;
        if (insn.code == (BPF_LD | BPF_IMM | BPF_DW) && map) insn.imm = fds[insn.imm];
    }
}

std::vector<RingCase> record_cases();    // reserved records: record_cases_test.cc
std::vector<RingCase> dynptr_cases();    // dynptr_cases_test.cc
std::vector<RingCase> callback_cases();  // dynptrs that callbacks are given: the same
std::vector<RingCase> value_cases();     // values for helpers of maps: value_cases_test.cc

}  // namespace barebpf::test
