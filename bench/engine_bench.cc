// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Engines and loading, without bpf(2): one host program on the interpreter and compiled, and what it costs
// to verify and compile programs of growing length.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "kernel/barebpf.h"
#include "uapi/linux/bpf.h"

namespace barebpf {
namespace {

using Insns = std::vector<bpf_insn>;

bpf_insn make(u32 code, u32 dst = 0, u32 src = 0, s32 off = 0, s32 imm = 0) {
    bpf_insn insn{};
    insn.code = static_cast<u8>(code);
    insn.dst_reg = dst & 15;
    insn.src_reg = src & 15;
    insn.off = static_cast<s16>(off);
    insn.imm = imm;
    return insn;
}

// A loop of 1,024 rounds of xorshift over one word.
Insns loop() {
    Insns out = {make(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 12345),
                 make(BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 0)};
    const struct {
        u32 op;
        s32 by;
    } steps[] = {{BPF_LSH, 13}, {BPF_RSH, 7}, {BPF_LSH, 17}};
    for (auto step : steps) {
        out.push_back(make(BPF_ALU64 | BPF_MOV | BPF_X, 4, 0));
        out.push_back(make(BPF_ALU64 | step.op | BPF_K, 4, 0, 0, step.by));
        out.push_back(make(BPF_ALU64 | BPF_XOR | BPF_X, 0, 4));
    }
    out.push_back(make(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, 1));
    out.push_back(make(BPF_JMP | BPF_JNE | BPF_K, 3, 0, -11, 1024));
    out.push_back(make(BPF_JMP | BPF_EXIT));
    return out;
}

Insns straight(s64 length) {
    Insns out = {make(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1)};
    const u32 ops[] = {BPF_ADD, BPF_XOR, BPF_MUL, BPF_RSH};
    for (s64 i = 2; i < length; ++i) {
        const u32 op = ops[i % 4];
        out.push_back(
            make(BPF_ALU64 | op | BPF_K, 0, 0, 0, op == BPF_RSH ? 1 : static_cast<s32>(i)));
    }
    out.push_back(make(BPF_JMP | BPF_EXIT));
    return out;
}

void run(benchmark::State& state, bool compile) {
    const Insns insns = loop();
    HostProgramOptions options;
    options.compile = compile;
    auto prog = load_host_program(insns.data(), static_cast<u32>(insns.size()), options);
    if (!prog) return state.SkipWithError("the program was refused");
    for (auto _ : state) benchmark::DoNotOptimize(run_host_program(prog.value(), nullptr, 0));
    put_prog(prog.value());
    state.SetItemsProcessed(state.iterations() * 1024);
}

void load(benchmark::State& state, bool compile) {
    const Insns insns = straight(state.range(0));
    HostProgramOptions options;
    options.compile = compile;
    for (auto _ : state) {
        auto prog = load_host_program(insns.data(), static_cast<u32>(insns.size()), options);
        if (!prog) return state.SkipWithError("the program was refused");
        put_prog(prog.value());
    }
    state.SetItemsProcessed(state.iterations() * state.range(0));
}

BENCHMARK_CAPTURE(run, interpreter, false);
BENCHMARK_CAPTURE(run, compiled, true);
BENCHMARK_CAPTURE(load, verify, false)
    ->Arg(100)
    ->Arg(1000)
    ->Arg(10000)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(load, verify_and_compile, true)
    ->Arg(100)
    ->Arg(1000)
    ->Arg(10000)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace barebpf

int main(int argc, char** argv) {
    if (!barebpf::init()) return 1;
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    barebpf::shutdown();
    return 0;
}
