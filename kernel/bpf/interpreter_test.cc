// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The interpreter against the conformance cases of testkit/data/isa, and what those cannot say: helper
// calls and tail calls. It is the reference for the compilers, so the cases are its only judge.
#include <cstring>
#include <memory>
#include <string>

#include "kernel/bpf/prog.h"
#include "kernel/bpf/prog_array.h"
#include "testkit/data/data_file.h"
#include "testkit/data/isa_cases.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using host::AllocContext;
using testdata::IsaCase;

constexpr bpf_insn make(u32 code, u32 dst = 0, u32 src = 0, s32 off = 0, s32 imm = 0) {
    bpf_insn insn{};
    insn.code = u8(code);
    insn.dst_reg = dst & 15;
    insn.src_reg = src & 15;
    insn.off = s16(off);
    insn.imm = imm;
    return insn;
}
constexpr bpf_insn mov(u32 dst, s32 imm) {
    return make(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm);
}
constexpr bpf_insn add(u32 dst, s32 imm) {
    return make(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm);
}
constexpr bpf_insn leave() {
    return make(BPF_JMP | BPF_EXIT);
}

struct TestProgram {
    TestProgram(const bpf_insn* insns, size_t count) {
        EXPECT_TRUE(prog.insns.allocate(count, AllocContext::MaySleep, prog.memory));
        memcpy(prog.insns.data(), insns, count * sizeof(bpf_insn));
    }
    template <size_t N>
    explicit TestProgram(const bpf_insn (&insns)[N]) : TestProgram(insns, N) {}
    void call_target(const void* function) {
        EXPECT_TRUE(prog.calls.allocate(1, AllocContext::MaySleep, prog.memory));
        prog.calls[0].address = function;
    }
    Prog prog;
};

// The fix-ups replace may_goto: no engine sees it.
bool has_may_goto(const bpf_insn* insns, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        if (insns[i].code == (BPF_JMP | BPF_JCOND)) return true;
    }
    return false;
}

void run_case(const char* file, const IsaCase& test) {
    const std::string where =
        std::string(file) + ": " + std::string(test.name.data, test.name.size);
    const size_t count = test.code.size / sizeof(bpf_insn);
    auto insns = std::make_unique<bpf_insn[]>(count);
    memcpy(insns.get(), test.code.data, test.code.size);
    if (has_may_goto(insns.get(), count)) return;
    TestProgram program(insns.get(), count);
    alignas(16) u8 memory[testdata::kIsaMaxMemory];
    if (test.memory.size) memcpy(memory, test.memory.data, test.memory.size);
    EXPECT_EQ(interpret_host(&program.prog, memory, test.memory.size), test.result) << where;
    if (!test.memory.size) return;
    EXPECT_EQ(memcmp(memory, test.memory_after.data, test.memory.size), 0) << where;
}

TEST(Interpreter, ConformanceCases) {
    static u8 code[testdata::kIsaMaxCode];
    static u8 memory[2 * testdata::kIsaMaxMemory];
    u32 count = 0;
    for (u32 i = 0; i < testdata::kIsaFileCount; ++i) {
        const testdata::DataFile& file = testdata::kIsaFiles[i];
        testdata::IsaReader reader(file.text, file.size,
                                   {code, sizeof code, memory, testdata::kIsaMaxMemory});
        for (;;) {
            IsaCase test;
            auto more = reader.next(&test);
            ASSERT_TRUE(more.ok()) << file.name << ":" << reader.error_line();
            if (!more.value()) break;
            if (test.fault != testdata::IsaFault::None) continue;
            run_case(file.name, test);
            ++count;
        }
    }
    EXPECT_GE(count, 1500u);
}

u64 weigh(u64 a, u64 b, u64 c, u64 d, u64 e) {
    return a + 10 * b + 100 * c + 1000 * d + 10000 * e;
}

TEST(Interpreter, HelpersGetFiveArgumentsAndR6ToR9Survive) {
    const bpf_insn insns[] = {
        mov(6, 7),
        mov(1, 1),
        mov(2, 2),
        mov(3, 3),
        mov(4, 4),
        mov(5, 5),
        make(BPF_JMP | BPF_CALL, 0, 0, 0, 0),
        make(BPF_ALU64 | BPF_ADD | BPF_X, 0, 6),
        leave(),
    };
    TestProgram program(insns);
    program.call_target(reinterpret_cast<const void*>(&weigh));
    EXPECT_EQ(interpret(nullptr, &program.prog), 54328u);
}

// An array of programs as the map type lays it out, without the map type.
class Programs {
public:
    explicit Programs(u32 slots) : memory_(new u8[ProgArray::bytes(slots)]()) {
        array_ = construct_at<ProgArray>(memory_.get());
        array_->max_entries = slots;
    }
    void set(u32 slot, Prog* prog) { array_->slots()[slot].store(prog, host::Order::Release); }
    u64 address() const { return reinterpret_cast<u64>(array_); }

private:
    std::unique_ptr<u8[]> memory_;
    ProgArray* array_;
};

bpf_insn low_half(u32 dst, u64 value) {
    return make(BPF_LD | BPF_IMM | BPF_DW, dst, 0, 0, s32(value));
}
bpf_insn high_half(u64 value) {
    return make(0, 0, 0, 0, s32(value >> 32));
}

TEST(Interpreter, TailCallEndsAfterItsBudget) {
    Programs programs(1);
    const bpf_insn insns[] = {
        // counts its runs in the context
        make(BPF_LDX | BPF_MEM | BPF_DW, 0, 1), add(0, 1),
        make(BPF_STX | BPF_MEM | BPF_DW, 1, 0), low_half(2, programs.address()),
        high_half(programs.address()),          mov(3, 0),
        make(BPF_JMP | BPF_TAIL_CALL),          leave(),
    };
    TestProgram program(insns);
    programs.set(0, &program.prog);
    u64 runs = 0;
    EXPECT_EQ(interpret(&runs, &program.prog), kMaxTailCalls + 1);
    EXPECT_EQ(runs, kMaxTailCalls + 1);
}

TEST(Interpreter, TailCallToNothingGoesOn) {
    Programs programs(2);
    for (s32 index : {0, 1, 2, -1}) {
        const bpf_insn insns[] = {
            low_half(2, programs.address()),
            high_half(programs.address()),
            mov(3, index),
            make(BPF_JMP | BPF_TAIL_CALL),
            mov(0, 42),
            leave(),
        };
        TestProgram program(insns);
        EXPECT_EQ(interpret(nullptr, &program.prog), 42u) << index;
    }
}

// A tail call in a subprogram replaces that frame only: the caller goes on with its result.
TEST(Interpreter, TailCallFromASubprogramReturnsToTheCaller) {
    Programs programs(1);
    const bpf_insn target[] = {mov(0, 5), mov(6, 99), leave()};
    TestProgram target_program(target);
    programs.set(0, &target_program.prog);
    const bpf_insn insns[] = {
        mov(6, 30),
        make(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 2),
        make(BPF_ALU64 | BPF_ADD | BPF_X, 0, 6),
        leave(),
        low_half(2, programs.address()),
        high_half(programs.address()),
        mov(3, 0),
        make(BPF_JMP | BPF_TAIL_CALL),
        mov(0, 1000),
        leave(),
    };
    TestProgram program(insns);
    EXPECT_EQ(interpret(nullptr, &program.prog), 35u);
}

}  // namespace
}  // namespace barebpf
