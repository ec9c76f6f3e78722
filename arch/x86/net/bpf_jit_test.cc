// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The compiler against the conformance cases of testkit/data/isa, and what they cannot say: calls
// out, stack alignment, preserved registers, tail calls, images.
#include "arch/x86/net/bpf_jit_program_test.h"
#include "kernel/bpf/prog_array.h"
#include "testkit/data/data_file.h"
#include "testkit/data/isa_cases.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf::x86::test {
namespace {

using testdata::IsaCase;

u8 code_buffer[testdata::kIsaMaxCode];
u8 memory_buffer[2 * testdata::kIsaMaxMemory];

// The verifier's fix-ups replace may_goto; no engine sees it.
bool has_may_goto(const Insns& insns) {
    for (const bpf_insn& in : insns)
        if (in.code == (BPF_JMP | BPF_JCOND)) return true;
    return false;
}

void run_case(const testdata::DataFile& file, const IsaCase& test) {
    Insns insns(test.code.size / sizeof(bpf_insn));
    memcpy(insns.data(), test.code.data, test.code.size);
    if (has_may_goto(insns)) return;
    TestProgram program(insns);
    std::string where = std::string(file.name) + ": " + std::string(test.name.data, test.name.size);
    ASSERT_TRUE(program.compile()) << where << " error " << to_int(program.error());
    alignas(16) u8 memory[testdata::kIsaMaxMemory];
    if (test.memory.size != 0) memcpy(memory, test.memory.data, test.memory.size);
    EXPECT_EQ(program.run(memory, test.memory.size), test.result) << where;
    if (test.memory.size != 0) {
        EXPECT_EQ(memcmp(memory, test.memory_after.data, test.memory.size), 0) << where;
    }
}

TEST(BpfJit, ConformanceCases) {
    u32 count = 0;
    for (u32 i = 0; i < testdata::kIsaFileCount; i++) {
        const testdata::DataFile& file = testdata::kIsaFiles[i];
        testdata::IsaReader reader(
            file.text, file.size,
            {code_buffer, sizeof code_buffer, memory_buffer, testdata::kIsaMaxMemory});
        IsaCase test;
        while (true) {
            auto more = reader.next(&test);
            ASSERT_TRUE(more.ok()) << file.name << ":" << reader.error_line();
            if (!more.value()) break;
            if (test.fault != testdata::IsaFault::None) continue;
            run_case(file, test);
            count++;
        }
    }
    EXPECT_GE(count, 1500u);
}

// ---- calls out

u64 aligned_calls, misaligned_calls;

// Called by programs; checks what the ABI promises to a C function.
__attribute__((noinline)) u64 sum_helper(u64 a, u64 b, u64 c, u64 d, u64 e) {
    auto frame = reinterpret_cast<u64>(__builtin_frame_address(0));
    (frame % 16 == 0 ? aligned_calls : misaligned_calls)++;
    return a + 10 * b + 100 * c + 1000 * d + 10000 * e;
}

Insns five_arguments() {
    return {mov_imm(1, 1), mov_imm(2, 2), mov_imm(3, 3), mov_imm(4, 4), mov_imm(5, 5)};
}

// Every mix of saved registers and stack, near and far calls: arguments arrive, the stack is
// aligned, R6 to R9 survive.
TEST(BpfJit, HelperCalls) {
    for (u32 mask = 0; mask < 32; mask++) {
        Insns insns;
        for (u32 reg = 6; reg <= 9; reg++)
            if (mask >> (reg - 6) & 1) insns.push_back(mov_imm(reg, static_cast<s32>(reg * 1000)));
        if (mask & 16) insns.push_back(insn(BPF_STX | BPF_MEM | BPF_DW, 10, 10, -8, 0));
        append(insns, five_arguments());
        insns.push_back(call_helper(0));
        u64 expected = 54321;
        for (u32 reg = 6; reg <= 9; reg++) {
            if (!(mask >> (reg - 6) & 1)) continue;
            insns.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_X, 0, reg, 0, 0));
            expected += reg * 1000;
        }
        insns.push_back(exit_insn());
        TestProgram program(insns, {reinterpret_cast<const void*>(&sum_helper)});
        ASSERT_TRUE(program.compile());
        EXPECT_EQ(program.run(nullptr, 0), expected) << mask;
        LowerOptions far;
        far.direct_calls = false;
        ASSERT_TRUE(program.compile(far));
        EXPECT_EQ(program.run(nullptr, 0), expected) << mask;
    }
    EXPECT_EQ(aligned_calls, 64u);
    EXPECT_EQ(misaligned_calls, 0u);
}

u64 read_helper(const u64* from) {
    return *from;
}

// What is stored there may be read by whoever has the address, however it came by it.
TEST(BpfJit, TheStackIsThereForOthers) {
    const Insns stored = {insn(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 42)};
    const Insns add8 = {insn(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, -8)};
    const Insns ways[] = {
        {mov_reg(1, 10)},
        {mov_reg(2, 10), mov_reg(1, 2)},
        {mov_imm(1, 0), insn(BPF_ALU64 | BPF_ADD | BPF_X, 1, 10, 0, 0)},
        {insn(BPF_STX | BPF_MEM | BPF_DW, 10, 10, -16, 0),
         insn(BPF_LDX | BPF_MEM | BPF_DW, 1, 10, -16, 0)},
    };
    for (const Insns& way : ways) {
        Insns insns = stored;
        append(insns, way);
        append(insns, add8);
        append(insns, {call_helper(0), exit_insn()});
        TestProgram program(insns, {reinterpret_cast<const void*>(&read_helper)});
        ASSERT_TRUE(program.compile());
        EXPECT_EQ(program.run(nullptr, 0), 42u);
    }
}

TEST(BpfJit, RefusesACallOfNoHelper) {
    TestProgram program({call_helper(3), exit_insn()});
    EXPECT_FALSE(program.compile());
    EXPECT_EQ(program.prog()->jit.code.exec, nullptr);
    EXPECT_EQ(program.prog()->run, nullptr);
}

TEST(BpfJit, RefusesWhatNoProgramHas) {
    const Insns bad[] = {
        {insn(BPF_ALU64 | BPF_MOV | BPF_X, 0, 11, 0, 0), exit_insn()},  // no such register
        {insn(BPF_ALU64 | BPF_NEG, 15, 0, 0, 0), exit_insn()},          // nor this one
        {insn(BPF_JMP | BPF_JA, 0, 0, 7, 0), exit_insn()},              // jump out
        {insn(BPF_JMP | BPF_JA, 0, 0, -3, 0), exit_insn()},             // likewise, in front
        {insn(BPF_LD | BPF_IMM | BPF_DW, 0, 0, 0, 1)},                  // half of an instruction
        {insn(BPF_JMP | BPF_JCOND, 0, 0, 0, 0), exit_insn()},           // the fix-ups' business
        {insn(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 0), exit_insn()},      // likewise
        {insn(BPF_STX | BPF_ATOMIC | BPF_DW, 1, 2, 0, 0x77), exit_insn()},  // no such operation
        {insn(BPF_STX | BPF_ATOMIC | BPF_B, 1, 2, 0, BPF_ADD), exit_insn()},
    };
    for (const Insns& insns : bad) {
        TestProgram program(insns);
        EXPECT_FALSE(program.compile()) << static_cast<u32>(insns[0].code);
        EXPECT_EQ(program.prog()->jit.code.exec, nullptr);
        EXPECT_FALSE(program.prog()->jited);
    }
    TestProgram program({insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 0), exit_insn()});
    program.prog()->subprogs[1].start = 0;  // the table does not know the target
    EXPECT_FALSE(program.compile());
}

// Each allocation fails in turn: an error, nothing left behind, and the next attempt works.
TEST(BpfJit, FailedAllocationsLeaveNothing) {
    TestProgram program({mov_imm(0, 5), insn(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1, 0), mov_imm(0, 6),
                         call_helper(0), exit_insn()},
                        {reinterpret_cast<const void*>(&sum_helper)});
    machine::LiveMemory before = machine::live_memory();
    u64 charged = program.prog()->memory.bytes();
    u32 failures = 0;
    for (;; failures++) {
        machine::fail_allocation_after(failures);
        bool compiled = program.compile();
        if (!machine::stop_failing_allocations()) {
            EXPECT_TRUE(compiled);
            break;
        }
        ASSERT_FALSE(compiled);
        EXPECT_EQ(program.error(), Errno::NoMem);
        EXPECT_EQ(machine::live_memory().bytes, before.bytes);
        EXPECT_EQ(machine::live_memory().blocks, before.blocks);
        EXPECT_EQ(program.prog()->memory.bytes(), charged);
        EXPECT_EQ(program.prog()->run, nullptr);
    }
    EXPECT_GE(failures, 5u);
}

// A program may not change its caller's registers, whatever it does with its own.
TEST(BpfJit, KeepsTheCallersRegisters) {
    Insns insns;
    for (u32 reg = 0; reg <= 9; reg++) insns.push_back(mov_imm(reg, -1));
    insns.push_back(insn(BPF_STX | BPF_MEM | BPF_DW, 10, 9, -512, 0));
    insns.push_back(insn(BPF_ALU64 | BPF_DIV | BPF_X, 6, 7, 0, 0));
    insns.push_back(exit_insn());
    TestProgram program(insns);
    ASSERT_TRUE(program.compile());
    u64 result = 0;
    EXPECT_EQ(test::registers_changed_by(program, &result), 0u);
    EXPECT_EQ(result, ~0ull);
}

// ---- division by constants, which is a multiplication

TEST(BpfJit, DivisionByConstants) {
    std::vector<s32> divisors = {
        1,     2,       3,          5,          6,          7,          9,     10,    11,
        12,    13,      25,         28,         60,         100,        125,   127,   255,
        256,   257,     641,        1000,       1001,       4095,       10000, 65535, 65537,
        86400, 1000000, 0x3fffffff, 0x40000001, 0x7ffffffe, 0x7fffffff, -1,    -7};
    for (s32 i = 3; i < 200; i++) divisors.push_back(i);
    for (s32 d : divisors)
        for (bool wide : {false, true}) {
            u64 divisor = wide ? static_cast<u64>(s64{d}) : static_cast<u32>(d);
            std::vector<u64> values = {
                0,           1,     2,         0x7fffffff, 0x80000000,      0xffffffff,
                0x100000000, ~0ull, ~0ull - 1, 1ull << 63, (1ull << 63) - 1};
            for (u64 k : {u64{1}, u64{1000}, ~u64{0} / divisor})
                for (s64 near = -2; near <= 2; near++)
                    values.push_back(divisor * k + static_cast<u64>(near));
            if (!wide)
                for (u64 near = 0; near < 4; near++)
                    values.push_back(0xffffffff / divisor * divisor - near);
            for (u32 op : {BPF_DIV, BPF_MOD})
                for (u32 dst : {0u, 3u, 6u}) {
                    u32 cls = wide ? BPF_ALU64 : BPF_ALU;
                    TestProgram program({mov_imm(0, 77), mov_imm(3, 88), mov_reg(dst, 1),
                                         insn(cls | op | BPF_K, dst, 0, 0, d),
                                         insn(BPF_STX | BPF_MEM | BPF_DW, 2, dst, 0, 0),
                                         insn(BPF_ALU64 | BPF_ADD | BPF_X, 0, 3, 0, 0),
                                         exit_insn()});
                    ASSERT_TRUE(program.compile());
                    for (u64 value : values) {
                        u64 result = 0, left = wide ? value : static_cast<u32>(value);
                        u64 expected = op == BPF_DIV ? left / divisor : left % divisor;
                        auto entry = reinterpret_cast<u64>(program.prog()->run);
                        u64 sum = reinterpret_cast<u64 (*)(u64, u64*)>(entry)(value, &result);
                        ASSERT_EQ(result, expected) << value << " by " << d << " wide " << wide;
                        u64 r0 = dst == 0 ? expected : 77, r3 = dst == 3 ? expected : 88;
                        ASSERT_EQ(sum, r0 + r3);
                    }
                }
        }
}

// ---- tail calls

class Array {
public:
    explicit Array(u32 entries) : storage_(ProgArray::bytes(entries) / 8 + 1) {
        array_ = new (storage_.data(), PlaceTag{}) ProgArray;
        array_->max_entries = entries;
    }
    ~Array() { array_->~ProgArray(); }
    Array(const Array&) = delete;
    Array& operator=(const Array&) = delete;
    void set(u32 index, TestProgram* program) {
        array_->slots()[index].store(program->prog(), host::Order::Release);
    }
    u64 address() const { return reinterpret_cast<u64>(array_); }

private:
    std::vector<u64> storage_;
    ProgArray* array_;
};

// r2 = array; r3 = index; tail call; r1 is whatever it is
void append_tail_call(Insns& out, u64 array, s32 index) {
    load_imm64(out, 2, array);
    out.push_back(mov_imm(3, index));
    out.push_back(tail_call());
}

TEST(TailCall, TakesTheTargetWithItsContext) {
    Array array(4);
    Insns caller = {mov_imm(6, 1), mov_imm(7, 2)};
    append_tail_call(caller, array.address(), 2);
    append(caller, {mov_imm(0, 7), exit_insn()});
    Insns callee = {insn(BPF_LDX | BPF_MEM | BPF_DW, 0, 1, 0, 0), exit_insn()};
    TestProgram from(caller), to(callee);
    ASSERT_TRUE(from.compile() && to.compile());
    u64 context = 99;
    EXPECT_EQ(from.run(&context, 0), 7u);  // empty slot
    array.set(2, &to);
    EXPECT_EQ(from.run(&context, 0), 99u);
    for (s32 index : {4, -1}) {  // out of bounds
        Insns outside;
        append_tail_call(outside, array.address(), index);
        append(outside, {mov_imm(0, 8), exit_insn()});
        TestProgram program(outside);
        ASSERT_TRUE(program.compile());
        EXPECT_EQ(program.run(&context, 0), 8u);
    }
}

// Constants of a loop stand in registers that are free; that of the count is not, even where no other is.
TEST(TailCall, IsCountedBesideConstants) {
    Array array(1);
    TestProgram to({mov_imm(0, 5), exit_insn()});
    Insns caller;
    for (u32 reg = 6; reg <= 9; ++reg) caller.push_back(mov_imm(reg, static_cast<s32>(reg)));
    const size_t begin = caller.size();
    load_imm64(caller, 1, 0x123456789);
    append_tail_call(caller, array.address(), 0);
    caller.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_K, 6, 0, 0, -1));
    const s32 back = static_cast<s32>(begin) - static_cast<s32>(caller.size()) - 1;
    append(caller, {insn(BPF_JMP | BPF_JNE | BPF_K, 6, 0, back, 0), mov_reg(0, 9),
                    insn(BPF_ALU64 | BPF_ADD | BPF_X, 0, 7, 0, 0),
                    insn(BPF_ALU64 | BPF_ADD | BPF_X, 0, 8, 0, 0), exit_insn()});
    TestProgram from(caller);
    ASSERT_TRUE(from.compile() && to.compile());
    u64 result = 0;
    EXPECT_EQ(test::registers_changed_by(from, &result), 0u);
    EXPECT_EQ(result, 24u);  // an empty slot
    array.set(0, &to);
    EXPECT_EQ(test::registers_changed_by(from, &result), 0u);
    EXPECT_EQ(result, 5u);
}

TEST(TailCall, IndexIsThirtyTwoBits) {
    Array array(2);
    TestProgram to({mov_imm(0, 5), exit_insn()});
    Insns caller;
    load_imm64(caller, 2, array.address());
    load_imm64(caller, 3, 0x1'0000'0001);
    append(caller, {tail_call(), mov_imm(0, 6), exit_insn()});
    TestProgram from(caller);
    ASSERT_TRUE(from.compile() && to.compile());
    array.set(1, &to);
    EXPECT_EQ(from.run(nullptr, 0), 5u);
}

// Counts its runs in memory, then calls itself: 33 tail calls are taken, so it runs 34 times.
Insns self_calling(u64 array) {
    Insns out = {insn(BPF_LDX | BPF_MEM | BPF_DW, 0, 1, 0, 0),
                 insn(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 1),
                 insn(BPF_STX | BPF_MEM | BPF_DW, 1, 0, 0, 0)};
    append(out, {mov_reg(6, 1)});
    append_tail_call(out, array, 0);
    append(out, {insn(BPF_LDX | BPF_MEM | BPF_DW, 0, 6, 0, 0), exit_insn()});
    return out;
}

TEST(TailCall, StopsAfterTheLimit) {
    Array array(1);
    TestProgram program(self_calling(array.address()));
    ASSERT_TRUE(program.compile());
    array.set(0, &program);
    for (u32 round = 0; round < 3; round++) {  // each run has a budget of its own
        u64 runs = 0;
        EXPECT_EQ(program.run(&runs, 0), kMaxTailCalls + 1);
    }
}

// A subprogram that tail calls: the target returns to the subprogram's caller, whose registers and
// stack are as they were; the budget is shared with what the caller does afterwards.
TEST(TailCall, WorksFromSubprograms) {
    Array array(2);
    TestProgram looping(self_calling(array.address()));
    array.set(0, &looping);
    Insns insns = {mov_reg(6, 1), mov_imm(7, 700), mov_imm(8, 80), mov_imm(9, 9),
                   insn(BPF_STX | BPF_MEM | BPF_DW, 10, 7, -16, 0)};
    append(insns, {insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 10)});  // to the subprogram
    append(insns, {mov_reg(1, 6), insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 8)});
    append(insns, {insn(BPF_ALU64 | BPF_MUL | BPF_K, 0, 0, 0, 10000),
                   insn(BPF_LDX | BPF_MEM | BPF_DW, 7, 10, -16, 0),
                   insn(BPF_ALU64 | BPF_ADD | BPF_X, 0, 7, 0, 0),
                   insn(BPF_ALU64 | BPF_ADD | BPF_X, 0, 8, 0, 0),
                   insn(BPF_ALU64 | BPF_ADD | BPF_X, 0, 9, 0, 0), mov_imm(1, 0), mov_imm(2, 0),
                   exit_insn()});
    ASSERT_EQ(insns.size(), 16u);
    append(insns, {mov_imm(6, 0), mov_imm(9, 0), insn(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -16, 0)});
    append_tail_call(insns, array.address(), 0);
    append(insns, {mov_imm(0, 3), exit_insn()});
    TestProgram program(insns);
    ASSERT_TRUE(program.compile() && looping.compile());
    u64 runs = 0;
    // First call: 33 tail calls. Second: none left, the subprogram goes on and returns 3.
    EXPECT_EQ(program.run(&runs, 0), 30789u);
    EXPECT_EQ(runs, kMaxTailCalls);
}

// A helper calls back into the program; tail calls are not taken there.
u64 calls_back(u64 function, u64 argument, u64, u64, u64) {
    return call_callback(function, argument, 0, 0, 0) + 1;
}

TEST(BpfJit, Callbacks) {
    for (bool with_tail_call : {false, true}) {
        Array array(1);
        TestProgram other({mov_imm(0, 1000), exit_insn()});
        array.set(0, &other);
        Insns insns = {insn(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_FUNC, 0, 4),
                       insn(0, 0, 0, 0, 0), mov_imm(2, 20), call_helper(0), exit_insn()};
        append(insns, {mov_reg(6, 1)});
        if (with_tail_call) append_tail_call(insns, array.address(), 0);
        append(insns, {mov_reg(0, 6), insn(BPF_ALU64 | BPF_MUL | BPF_K, 0, 0, 0, 2), exit_insn()});
        TestProgram program(insns, {reinterpret_cast<const void*>(&calls_back)});
        EXPECT_EQ(interpret(nullptr, program.prog()), 41u);
        ASSERT_TRUE(program.compile() && other.compile());
        EXPECT_EQ(program.run(nullptr, 0), 41u);
    }
}

// The CPU that the host says, in every register.
TEST(BpfJit, ThisCpu) {
    host::Cpu::Entry entry;
    for (u32 reg = 0; reg < 10; reg++) {
        Insns insns = {mov_imm(reg, -1), insn(BPF_CPU_ID, reg, 0, 0, 0)};
        append(insns, {mov_reg(0, reg), exit_insn()});
        TestProgram program(insns);
        EXPECT_EQ(interpret(nullptr, program.prog()), host::cpu_id());
        ASSERT_TRUE(program.compile());
        EXPECT_EQ(program.run(nullptr, 0), host::cpu_id()) << "R" << reg;
    }
}

TEST(BpfJit, MaskedOffset) {
    struct Case {
        s16 how;
        u64 dst, src;
        u32 limit;
        u64 expected;
    };
    constexpr s16 kSwap = kMaskedNumberIsDst, kSub = kMaskedSubtract;
    constexpr u64 kTop = u64{1} << 63;
    const Case cases[] = {
        {0, 1000, 7, 7, 1007},           {0, 1000, 8, 7, 1000},
        {0, 1000, 0, 0, 1000},           {0, 1000, 1, 0, 1000},
        {0, 1000, ~u64{0}, 7, 1000},     {0, 1000, kTop, 7, 1000},
        {0, 1000, kTop + 7, 7, 1000},    {0, 1000, 0x7fffffff, 0x7fffffff, 0x800003e7},
        {kSub, 1000, 7, 7, 993},         {kSub, 1000, 8, 7, 1000},
        {kSwap, 7, 1000, 7, 1007},       {kSwap, 8, 1000, 7, 1000},
        {kSwap, ~u64{0}, 1000, 7, 1000},
    };
    for (const Case& c : cases) {
        Insns insns;
        load_imm64(insns, 6, c.dst);
        load_imm64(insns, 2, c.src);
        append(insns, {insn(BPF_MASKED_OFFSET, 6, 2, c.how, static_cast<s32>(c.limit)),
                       mov_reg(0, 6), exit_insn()});
        TestProgram program(insns);
        EXPECT_EQ(interpret(nullptr, program.prog()), c.expected);
        ASSERT_TRUE(program.compile());
        EXPECT_EQ(program.run(nullptr, 0), c.expected)
            << c.dst << " " << c.src << " limit " << c.limit << " how " << c.how;
    }
}

// A barrier against speculation, between a mask and the access that relies on it: the access is not
// drawn over it.
TEST(BpfJit, SpeculationBarrier) {
    Insns insns = {insn(BPF_LDX | BPF_MEM | BPF_B, 0, 1, 0, 0), insn(BPF_NOSPEC, 0, 0, 0, 0),
                   insn(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 7), mov_imm(0, 3), exit_insn()};
    TestProgram program(insns);
    ASSERT_TRUE(program.compile());
    u8 value = 7;
    EXPECT_EQ(program.run(&value, 1), 7u);
    const JitImage& image = program.prog()->jit;
    const u8 lfence[] = {0x0F, 0xAE, 0xE8};
    EXPECT_EQ(memcmp(image.code.exec + image.insn_offset[1], lfence, sizeof lfence), 0);
    EXPECT_GT(image.insn_offset[1], image.insn_offset[0]);
}

TEST(BpfJit, ImageDescribesItself) {
    Insns insns = {mov_imm(0, 1), insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1), exit_insn(),
                   mov_imm(0, 2), exit_insn()};
    TestProgram program(insns);
    ASSERT_TRUE(program.compile());
    const JitImage& image = program.prog()->jit;
    ASSERT_EQ(image.insn_offset.size(), 5u);
    ASSERT_EQ(image.func_offset.size(), 2u);
    EXPECT_EQ(image.func_offset[0], 0u);
    EXPECT_EQ(image.func_offset[1], image.insn_offset[3]);
    EXPECT_LT(image.insn_offset[4], image.code_size);
    EXPECT_EQ(image.code.write, nullptr);
    EXPECT_TRUE(program.prog()->jited);
}

}  // namespace
}  // namespace barebpf::x86::test
