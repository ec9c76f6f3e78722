// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Programs without proof: the conformance cases as a loader gets them, through the decoder and the
// fix-ups. may_goto is among them, which no engine knows.
#include "kernel/bpf/unverified.h"

#include <cstring>
#include <string>

#include "testkit/data/data_file.h"
#include "testkit/data/isa_cases.h"
#include "testkit/test.h"

namespace barebpf::test {
namespace {

using testdata::IsaCase;
using testdata::IsaFault;

struct Counts {
    u32 run = 0, refused = 0;
};

void run_good(const std::string& where, const IsaCase& test, const Prog& prog) {
    alignas(16) u8 memory[testdata::kIsaMaxMemory];
    if (test.memory.size) memcpy(memory, test.memory.data, test.memory.size);
    EXPECT_EQ(interpret_host(&prog, memory, test.memory.size), test.result) << where;
    if (!test.memory.size) return;
    EXPECT_EQ(memcmp(memory, test.memory_after.data, test.memory.size), 0) << where;
}

void run_case(const char* file, const IsaCase& test, Counts* counts) {
    const std::string where =
        std::string(file) + ": " + std::string(test.name.data, test.name.size);
    host::Cpu::Entry entry;
    Prog prog;
    prog.type = kProgTypeHost;
    const size_t count = test.code.size / sizeof(bpf_insn);
    ASSERT_TRUE(prog.insns.allocate(count, host::AllocContext::MaySleep, prog.memory));
    memcpy(prog.insns.data(), test.code.data, test.code.size);
    const auto decoded = bpf_decode_only(&prog, {});
    switch (test.fault) {
        case IsaFault::None:
            ASSERT_TRUE(decoded.ok()) << where;
            run_good(where, test, prog);
            ++counts->run;
            break;
        case IsaFault::Decode:
            EXPECT_FALSE(decoded.ok()) << where;
            ++counts->refused;
            break;
        case IsaFault::Flow: {
            // Code that nothing reaches does no harm.
            const std::string reason(test.reason.data, test.reason.size);
            EXPECT_EQ(decoded.ok(), reason == "code that nothing reaches") << where;
            ++counts->refused;
            break;
        }
        case IsaFault::Operand:
            break;
    }
}

TEST(Unverified, ConformanceCases) {
    static u8 code[testdata::kIsaMaxCode];
    static u8 memory[2 * testdata::kIsaMaxMemory];
    Counts counts;
    for (u32 i = 0; i < testdata::kIsaFileCount; ++i) {
        const testdata::DataFile& file = testdata::kIsaFiles[i];
        testdata::IsaReader reader(file.text, file.size,
                                   {code, sizeof code, memory, testdata::kIsaMaxMemory});
        for (;;) {
            IsaCase test;
            auto more = reader.next(&test);
            ASSERT_TRUE(more.ok()) << file.name << ":" << reader.error_line();
            if (!more.value()) break;
            run_case(file.name, test, &counts);
        }
    }
    EXPECT_GE(counts.run, 1500u);
    EXPECT_GE(counts.refused, 50u);
}

Result<void> decode(const bpf_insn* insns, size_t count) {
    host::Cpu::Entry entry;
    Prog prog;
    prog.type = kProgTypeHost;
    EXPECT_TRUE(prog.insns.allocate(count, host::AllocContext::MaySleep, prog.memory));
    if (count) memcpy(prog.insns.data(), insns, count * sizeof(bpf_insn));
    return bpf_decode_only(&prog, {});
}

TEST(Unverified, CallsNeitherRecurseNorGoTooDeep) {
    constexpr bpf_insn kExit = {.code = BPF_JMP | BPF_EXIT};
    auto call = [](s32 distance) {
        return bpf_insn{.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = distance};
    };
    const bpf_insn itself[] = {call(1), kExit, call(-1), kExit};
    EXPECT_FALSE(decode(itself, 4).ok());
    // A chain of n frames: each calls the next, the last one exits.
    bpf_insn chain[2 * (kMaxCallFrames + 1)];
    for (u32 frames = 1; frames <= kMaxCallFrames + 1; ++frames) {
        for (u32 i = 0; i < frames; ++i) {
            chain[2 * i] = i + 1 < frames ? call(1) : bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K};
            chain[2 * i + 1] = kExit;
        }
        EXPECT_EQ(decode(chain, 2 * frames).ok(), frames <= kMaxCallFrames) << frames;
    }
}

TEST(Unverified, JumpsStayInside) {
    const bpf_insn outside[] = {{.code = BPF_JMP | BPF_JA, .off = 1}, {.code = BPF_JMP | BPF_EXIT}};
    EXPECT_EQ(decode(outside, 2).error(), Errno::Inval);
    EXPECT_EQ(decode(nullptr, 0).error(), Errno::Inval);
}

}  // namespace
}  // namespace barebpf::test
