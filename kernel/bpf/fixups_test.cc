// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Each rewriting by itself: what goes in, what comes out, and what that does when it runs.
#include "kernel/bpf/fixups_test.h"
#include "kernel/net/packet.h"
#include "kernel/net/skb_load.h"
#include "testkit/machine.h"

namespace barebpf::test {
namespace {

constexpr bpf_insn kExit = insn_exit();

// -- dead code ----------------------------------------------------------------------------------

TEST(DeadCode, GoesAndTakesItsJumpsAlong) {
    constexpr bpf_insn kOld[] = {
        insn_mov_imm(BPF_REG_1, 5),
        insn_jump_imm(BPF_JEQ, BPF_REG_1, 5, 1),  // always taken
        insn_mov_imm(BPF_REG_0, 9),               // dead
        insn_jump_imm(BPF_JEQ, BPF_REG_1, 6, 1),  // never taken
        insn_mov_imm(BPF_REG_0, 1),
        kExit,
        insn_mov_imm(BPF_REG_0, 3),  // dead
        kExit,                       // dead
    };
    Program program(kOld);
    program.env.insns[3].off = 2;
    for (u32 i : {2u, 6u, 7u}) program.env.aux[i].seen = false;
    program.expect({insn_mov_imm(BPF_REG_1, 5), insn_mov_imm(BPF_REG_0, 1), kExit});
}

TEST(DeadCode, AConditionThatSkipsLiveCodeBecomesAGoto) {
    constexpr bpf_insn kOld[] = {
        insn_mov_imm(BPF_REG_0, 0),                // 0
        insn_jump_imm(BPF_JEQ, BPF_REG_0, 0, 3),   // 1: to 5, always
        insn_mov_imm(BPF_REG_0, 9),                // 2: dead
        insn_mov_imm(BPF_REG_0, 2),                // 3
        kExit,                                     // 4
        insn_jump_imm(BPF_JNE, BPF_REG_0, 7, -3),  // 5: to 3
        kExit,                                     // 6
    };
    Program program(kOld);
    program.env.aux[2].seen = false;
    program.expect({insn_mov_imm(BPF_REG_0, 0), insn_goto(2), insn_mov_imm(BPF_REG_0, 2), kExit,
                    insn_jump_imm(BPF_JNE, BPF_REG_0, 7, -3), kExit});
}

TEST(DeadCode, UselessGotosGo) {
    Program program({insn_goto(0), insn_mov_imm(BPF_REG_0, 4), kExit});
    program.expect({insn_mov_imm(BPF_REG_0, 4), kExit});
}

TEST(DeadCode, BecomesATrapForTheUnprivileged) {
    constexpr bpf_insn kOld[] = {insn_mov_imm(BPF_REG_0, 0),
                                 insn_jump_imm(BPF_JEQ, BPF_REG_0, 0, 2), wide_low(BPF_REG_0, 0, 1),
                                 wide_high(2), kExit};
    Program program(kOld);
    program.env.bpf_capable = false;
    program.env.aux[2].seen = false;
    ASSERT_TRUE(apply_fixups(program.env).ok());
    ASSERT_EQ(program.prog.insns.size(), 4u);
    EXPECT_TRUE(same(program.prog.insns[1], insn_jump_imm(BPF_JEQ, BPF_REG_0, 0, 1)));
    EXPECT_TRUE(same(program.prog.insns[2], insn_goto(-1)));
}

TEST(DeadCode, WholeSubprogramsGo) {
    constexpr bpf_insn kOld[] = {insn_goto(1),
                                 subprog_call(2),
                                 insn_mov_imm(BPF_REG_0, 1),
                                 kExit,
                                 insn_mov_imm(BPF_REG_0, 2),
                                 kExit};
    Program program(kOld);
    for (u32 i : {1u, 4u, 5u}) program.env.aux[i].seen = false;
    program.expect({insn_mov_imm(BPF_REG_0, 1), kExit});
    EXPECT_EQ(program.prog.subprogs.size(), 1u);
}

// -- subprograms --------------------------------------------------------------------------------

TEST(Subprograms, AreDescribed) {
    constexpr bpf_insn kOld[] = {insn_goto(0), subprog_call(1), kExit, insn_mov_imm(BPF_REG_0, 2),
                                 kExit};
    Program program(kOld);
    program.env.subprogs[0].stack_depth = 12;
    program.env.subprogs[1].has_tail_call = true;
    program.env.subprogs[1].is_callback = true;
    program.expect({subprog_call(1), kExit, insn_mov_imm(BPF_REG_0, 2), kExit});
    ASSERT_EQ(program.prog.subprogs.size(), 2u);
    EXPECT_EQ(program.prog.subprogs[0].stack_depth, 16u);
    EXPECT_EQ(program.prog.subprogs[1].start, 2u);
    EXPECT_TRUE(program.prog.subprogs[1].has_tail_call);
    EXPECT_TRUE(program.prog.subprogs[1].is_callback);
    EXPECT_FALSE(program.prog.subprogs[0].is_callback);
}

TEST(Subprograms, TheirAddressKeepsItsDistance) {
    constexpr bpf_insn kOld[] = {wide_low(BPF_REG_1, BPF_PSEUDO_FUNC, 3),
                                 wide_high(0),
                                 insn_goto(0),
                                 kExit,
                                 insn_mov_imm(BPF_REG_0, 2),
                                 kExit};
    Program program(kOld);
    program.expect({wide_low(BPF_REG_1, BPF_PSEUDO_FUNC, 2), wide_high(0), kExit,
                    insn_mov_imm(BPF_REG_0, 2), kExit});
}

// -- lines and functions ------------------------------------------------------------------------

TEST(DebugInfo, FollowsTheInstructions) {
    constexpr bpf_insn kOld[] = {insn_goto(0),  // gone; its line goes on at 1
                                 insn_goto(2),  // 1
                                 insn_mov_imm(BPF_REG_0, 9),
                                 insn_mov_imm(BPF_REG_0, 8),  // dead
                                 insn_mov_imm(BPF_REG_0, 1),  // 4
                                 kExit};
    Program program(kOld);
    program.env.aux[2].seen = program.env.aux[3].seen = false;
    auto& lines = program.prog.debug.line_info;
    ASSERT_TRUE(lines.allocate(4, host::AllocContext::MaySleep, program.prog.memory));
    const u32 at[] = {0, 2, 3, 5};
    for (u32 i = 0; i < 4; ++i) {
        lines[i].insn_off = at[i];
        lines[i].line_col = i;
    }
    program.expect({insn_mov_imm(BPF_REG_0, 1), kExit});
    // 0, 1 are useless gotos and 2, 3 dead: the last line of those stays for instruction 4.
    ASSERT_EQ(lines.size(), 2u);
    EXPECT_EQ(lines[0].line_col, 2u);
    EXPECT_EQ(lines[0].insn_off, 0u);
    EXPECT_EQ(lines[1].line_col, 3u);
    EXPECT_EQ(lines[1].insn_off, 1u);
}

TEST(DebugInfo, OfDeadSubprogramsGoes) {
    constexpr bpf_insn kOld[] = {insn_goto(1),
                                 subprog_call(2),
                                 insn_mov_imm(BPF_REG_0, 1),
                                 kExit,
                                 insn_mov_imm(BPF_REG_0, 2),
                                 kExit};
    Program program(kOld);
    for (u32 i : {1u, 4u, 5u}) program.env.aux[i].seen = false;
    auto& functions = program.prog.debug.func_info;
    ASSERT_TRUE(functions.allocate(2, host::AllocContext::MaySleep, program.prog.memory));
    functions[1] = {.insn_off = 4, .type_id = 7};
    ASSERT_TRUE(apply_fixups(program.env).ok());
    ASSERT_EQ(functions.size(), 1u);
    EXPECT_EQ(functions[0].insn_off, 0u);
}

// -- memory -------------------------------------------------------------------------------------

TEST(Memory, MayRunOutAnywhere) {
    const machine::LiveMemory before = machine::live_memory();
    u32 failures = 0;
    for (bool failed = true; failed; failures += failed) {
        // Long enough to outgrow what is there at first, with calls and lines.
        constexpr u32 kCount = 400;
        bpf_insn insns[kCount];
        for (bpf_insn& insn : insns) insn = make_insn(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 0);
        insns[0] = helper_call(BPF_FUNC_ktime_get_ns);
        insns[kCount - 1] = kExit;
        Program program(insns, kCount);
        auto& lines = program.prog.debug.line_info;
        ASSERT_TRUE(lines.allocate(2, host::AllocContext::MaySleep, program.prog.memory));
        lines[1].insn_off = 1;
        program.env.aux[1].seen = false;
        machine::fail_allocation_after(failures);
        const auto fixed = apply_fixups(program.env);
        failed = machine::stop_failing_allocations();
        EXPECT_EQ(fixed.error(), failed ? Errno::NoMem : Errno{});
    }
    EXPECT_GE(failures, 8u);
    EXPECT_EQ(machine::live_memory().bytes, before.bytes);
}

// -- context ------------------------------------------------------------------------------------

struct Context {
    u64 pointer;
    u32 number;
    u16 half;
    u32 array[5];
    u64 wide;
};

constexpr ContextField kFields[] = {
    {.offset = 0,
     .size = 4,
     .struct_offset = offsetof(Context, pointer),
     .struct_size = 8,
     .kind = FieldKind::Packet},
    {.offset = 4,
     .size = 4,
     .struct_offset = offsetof(Context, number),
     .struct_size = 4,
     .writable = true},
    {.offset = 8,
     .size = 4,
     .struct_offset = offsetof(Context, half),
     .struct_size = 2,
     .writable = true},
    {.offset = 12,
     .size = 20,
     .struct_offset = offsetof(Context, array),
     .struct_size = 4,
     .writable = true,
     .partial_write = true},
    {.offset = 32, .size = 8, .struct_offset = offsetof(Context, wide), .struct_size = 8},
};
constexpr ProgTypeOps kOps = {
    .name = "test",
    .fields = kFields,
    .field_count = 5,
    .ctx_size = 40,
    .helper_proto = [](u32 id, const Prog*) { return base_helper_proto(id); },
};

u64 run_on_context(const bpf_insn& access, Context& context) {
    Program program({access, kExit});
    program.env.ops = &kOps;
    program.env.aux[0].ptr_type = RegType::Ctx;
    EXPECT_TRUE(apply_fixups(program.env).ok());
    return program.run(&context);
}

constexpr bpf_insn ctx_load(u8 size, s16 off) {
    return insn_load(size, BPF_REG_0, BPF_REG_1, off);
}

TEST(ContextFields, AreLoadedWholeAndInPart) {
    Context context = {0x1122334455667788, 0xa1b2c3d4, 0x8eef, {1, 2, 3, 4, 5}, 0x99aabbccddeeff00};
    struct {
        u8 size;
        s16 off;
        u64 value;
    } const rows[] = {
        {BPF_W, 0, 0x1122334455667788},
        {BPF_W, 4, 0xa1b2c3d4},
        {BPF_B, 5, 0xc3},
        {BPF_H, 6, 0xa1b2},
        {BPF_W, 8, 0x8eef},
        {BPF_H, 8, 0x8eef},
        {BPF_B, 9, 0x8e},
        {BPF_H, 10, 0},
        {BPF_B, 11, 0},
        {BPF_W, 12, 1},
        {BPF_W, 28, 5},
        {BPF_B, 16, 2},
        {BPF_DW, 16, 0x300000002},
        {BPF_DW, 32, 0x99aabbccddeeff00},
        {BPF_B, 39, 0x99},
    };
    for (const auto& row : rows)
        EXPECT_EQ(run_on_context(ctx_load(row.size, row.off), context), row.value) << row.off;
}

TEST(ContextFields, AreSignExtendedWhereTheyHaveASign) {
    Context context = {0, 0x8000'0000, 0x8eef, {}, 0};
    auto extended = [](u8 size, s16 off) {
        bpf_insn insn = ctx_load(size, off);
        insn.code = u8(BPF_LDX | BPF_MEMSX | size);
        return insn;
    };
    EXPECT_EQ(run_on_context(extended(BPF_W, 4), context), 0xffff'ffff'8000'0000);
    EXPECT_EQ(run_on_context(extended(BPF_B, 7), context), u64(s64{-128}));
    EXPECT_EQ(run_on_context(extended(BPF_W, 8), context), 0x8eefu);
    EXPECT_EQ(run_on_context(extended(BPF_H, 8), context), u64(s64{s16(0x8eef)}));
}

TEST(ContextFields, AreStored) {
    Context context = {};
    const bpf_insn store = insn_store_imm(BPF_W, BPF_REG_1, 4, 77);
    run_on_context(store, context);
    EXPECT_EQ(context.number, 77u);
    context.array[0] = 0xffff'ffff;
    run_on_context(insn_store_imm(BPF_W, BPF_REG_1, 8, 0x12345678), context);
    EXPECT_EQ(context.half, 0x5678u);
    EXPECT_EQ(context.array[0], 0xffff'ffffu);
    run_on_context(insn_store_imm(BPF_B, BPF_REG_1, 17, 3), context);
    EXPECT_EQ(context.array[1], 0x300u);
    run_on_context(insn_store(BPF_W, BPF_REG_1, 28, BPF_REG_10), context);
    EXPECT_NE(context.array[4], 0u);
}

TEST(ContextFields, UnknownOnesAreRefused) {
    Program program({ctx_load(BPF_W, 40), kExit});
    program.env.ops = &kOps;
    program.env.aux[0].ptr_type = RegType::Ctx;
    EXPECT_EQ(apply_fixups(program.env).error(), Errno::Inval);
}

// -- calls --------------------------------------------------------------------------------------

u64 address(auto* function) {
    return reinterpret_cast<u64>(function);
}

void* find_seven(Map*, const void*) {
    static u64 seven = 7;
    return &seven;
}
s64 update_nothing(Map*, const void*, const void*, u64) {
    return -5;
}
constexpr MapOps kMapOps = {.lookup = find_seven, .update = update_nothing};
constexpr MapOps kInlineMapOps = {
    .lookup = find_seven,
    .emit_lookup =
        [](const Map*, bpf_insn* out, u32) {
            out[0] = insn_mov_imm(BPF_REG_0, 1);
            out[1] = insn_goto(1);
            out[2] = insn_mov_imm(BPF_REG_0, 2);
            return u32{3};
        },
    .direct_value = [](const Map*, u32 offset) { return Result<u64>(0x1'2345'0000 + offset); },
};

// With a way out to null, as arrays have it.
constexpr bpf_insn kIndexLoad = insn_load(BPF_W, BPF_REG_0, BPF_REG_2, 0);
constexpr bpf_insn kIndexAdd = test::alu_reg(BPF_ADD, BPF_REG_0, BPF_REG_1);
constexpr bpf_insn index_check(s16 distance) {
    return insn_jump_imm(BPF_JGE, BPF_REG_0, 5, distance);
}
constexpr MapOps kIndexMapOps = {
    .lookup = find_seven,
    .emit_lookup =
        [](const Map*, bpf_insn* out, u32) {
            out[0] = kIndexLoad;
            out[1] = index_check(2);
            out[2] = kIndexAdd;
            out[3] = insn_goto(1);
            out[4] = insn_mov_imm(BPF_REG_0, 0);
            return u32{5};
        },
    .null_by_jump = true,
};

TEST(Calls, HelpersAreEntriesOfATable) {
    Program program({helper_call(BPF_FUNC_ktime_get_ns), helper_call(BPF_FUNC_get_prandom_u32),
                     helper_call(BPF_FUNC_ktime_get_ns), kExit});
    program.env.ops = &kOps;
    program.expect({insn_call(0), insn_call(1), insn_call(0), kExit});
    ASSERT_EQ(program.prog.calls.size(), 2u);
    EXPECT_EQ(program.prog.calls[1].helper_id, u32{BPF_FUNC_get_prandom_u32});
    EXPECT_EQ(program.prog.calls[1].address,
              reinterpret_cast<const void*>(base_helper_proto(BPF_FUNC_get_prandom_u32)->function));
}

TEST(Calls, TheTableGrows) {
    host::Cpu::Entry entry;
    host::MemoryOwner owner;
    CallTable table(owner);
    for (u32 round = 0; round < 2; ++round) {
        for (u64 i = 0; i < 1000; ++i)
            EXPECT_EQ(table.index_of(reinterpret_cast<const void*>(i * 16), u32(i)).value(), i);
    }
    const auto calls = table.take();
    ASSERT_EQ(calls.value().size(), 1000u);
    EXPECT_EQ(calls.value()[999].helper_id, 999u);
}

TEST(Calls, AKnownMapIsCalledDirectly) {
    Map map;
    map.ops = &kMapOps;
    Program program({helper_call(BPF_FUNC_map_lookup_elem), helper_call(BPF_FUNC_map_update_elem),
                     helper_call(BPF_FUNC_map_lookup_elem), kExit});
    program.env.ops = &kOps;
    for (u32 i = 0; i < 3; ++i) program.env.aux[i].map = &map;
    program.env.aux[2].maps_differ = true;
    program.expect({insn_call(0), insn_call(1), insn_call(2), kExit});
    EXPECT_EQ(reinterpret_cast<u64>(program.prog.calls[0].address), address(find_seven));
    EXPECT_EQ(reinterpret_cast<u64>(program.prog.calls[1].address), address(update_nothing));
    EXPECT_EQ(reinterpret_cast<u64>(program.prog.calls[2].address),
              address(base_helper_proto(BPF_FUNC_map_lookup_elem)->function));
}

TEST(Calls, LookupsAreInlined) {
    Map map;
    map.ops = &kInlineMapOps;
    Program program(
        {insn_jump_imm(BPF_JEQ, BPF_REG_1, 0, 1), helper_call(BPF_FUNC_map_lookup_elem), kExit});
    program.env.ops = &kOps;
    program.env.aux[1].map = &map;
    program.expect({insn_jump_imm(BPF_JEQ, BPF_REG_1, 0, 3), insn_mov_imm(BPF_REG_0, 1),
                    insn_goto(1), insn_mov_imm(BPF_REG_0, 2), kExit});
}

// A lookup, the condition behind it, two instructions and the end.
class InlinedLookup : public ::testing::Test {
protected:
    void SetUp() override { map_.ops = &kIndexMapOps; }
    static constexpr bpf_insn kFirst = insn_mov_imm(BPF_REG_0, 7);
    static constexpr bpf_insn kSecond = insn_mov_imm(BPF_REG_0, 2);

    template <class Prepare, u32 N>
    void expect(const bpf_insn& condition, Prepare prepare, const bpf_insn (&insns)[N]) {
        Program program({helper_call(BPF_FUNC_map_lookup_elem), condition, kFirst, kSecond, kExit});
        program.env.ops = &kOps;
        program.env.aux[0].map = &map_;
        prepare(program.env.aux);
        program.expect(insns);
    }
    Map map_;
};

TEST_F(InlinedLookup, GoesWhereNullGoes) {
    expect(insn_jump_imm(BPF_JEQ, BPF_REG_0, 0, 1), [](auto& aux) { aux[3].live = 0x7fe; },
           {kIndexLoad, index_check(2), kIndexAdd, kFirst, kSecond, kExit});
    expect(insn_jump_imm(BPF_JNE, BPF_REG_0, 0, 1), [](auto& aux) { aux[2].live = 0x7fe; },
           {kIndexLoad, index_check(2), kIndexAdd, insn_goto(1), kFirst, kSecond, kExit});
}

TEST_F(InlinedLookup, GivesNullWhereItIsOfUse) {
    const auto whole = [&](const bpf_insn& condition, auto prepare) {
        expect(condition, prepare,
               {kIndexLoad, index_check(2), kIndexAdd, insn_goto(1), insn_mov_imm(BPF_REG_0, 0),
                condition, kFirst, kSecond, kExit});
    };
    const auto unused = [](auto& aux) { aux[2].live = aux[3].live = 0x7fe; };
    const bpf_insn equal = insn_jump_imm(BPF_JEQ, BPF_REG_0, 0, 1);
    whole(equal, [](auto& aux) { aux[2].live = 0x7fe; });  // read at its target
    whole(insn_jump_imm(BPF_JNE, BPF_REG_0, 0, 1), [](auto& aux) { aux[3].live = 0x7fe; });
    whole(insn_jump_imm(BPF_JEQ, BPF_REG_0, 1, 1), unused);  // another question
    whole(insn_jump_imm(BPF_JEQ, BPF_REG_1, 0, 1), unused);
    whole(insn_jump_imm(BPF_JGE, BPF_REG_0, 0, 1), unused);
    whole(equal, [&](auto& aux) {
        unused(aux);
        aux[1].is_target = true;
    });
}

TEST(Calls, UnknownHelpersAreRefused) {
    Program program({helper_call(BPF_FUNC_skb_store_bytes), kExit});
    EXPECT_EQ(apply_fixups(program.env).error(), Errno::Inval);
}

TEST(Calls, TailCallsMaskTheIndexOfTheUnprivileged) {
    constexpr bpf_insn kTail = make_insn(BPF_JMP | BPF_TAIL_CALL, 0, 0, 0, 0);
    Map map;
    map.ops = &kMapOps;
    map.max_entries = 5;
    Program privileged({helper_call(BPF_FUNC_tail_call), kExit});
    privileged.env.aux[0].map = &map;
    privileged.expect({kTail, kExit});
    map.bypass_spec_v1 = false;
    Program masked({helper_call(BPF_FUNC_tail_call), kExit});
    masked.env.aux[0].map = &map;
    masked.expect({make_insn(BPF_JMP32 | BPF_JGE | BPF_K, BPF_REG_3, 0, 2, 5),
                   make_insn(BPF_ALU | BPF_AND | BPF_K, BPF_REG_3, 0, 0, 7), kTail, kExit});
}

// -- 64-bit immediates --------------------------------------------------------------------------

TEST(WideImmediates, BecomeAddresses) {
    Map map;
    map.ops = &kInlineMapOps;
    Program program({wide_low(BPF_REG_1, BPF_PSEUDO_MAP_FD, 3), wide_high(0),
                     wide_low(BPF_REG_2, BPF_PSEUDO_MAP_VALUE, 3), wide_high(8),
                     wide_low(BPF_REG_3, 0, -1), wide_high(5), kExit});
    program.env.aux[0].map = program.env.aux[2].map = &map;
    program.env.aux[2].map_off = 8;
    const u64 at = reinterpret_cast<u64>(&map);
    program.expect({wide_low(BPF_REG_1, 0, s32(u32(at))), wide_high(s32(u32(at >> 32))),
                    wide_low(BPF_REG_2, 0, 0x2345'0008), wide_high(1), wide_low(BPF_REG_3, 0, -1),
                    wide_high(5), kExit});
}

// -- barriers -----------------------------------------------------------------------------------

TEST(Barriers, StandWhereTheyAreWanted) {
    constexpr bpf_insn kBarrier = make_insn(BPF_NOSPEC, 0, 0, 0, 0);
    constexpr bpf_insn kStore = insn_store_imm(BPF_DW, BPF_REG_10, -8, 1);
    Program program({insn_mov_imm(BPF_REG_0, 0), insn_jump_imm(BPF_JEQ, BPF_REG_0, 1, 1), kStore,
                     kStore, kExit});
    program.env.aux[2].sanitize_stack_spill = true;
    program.env.aux[3].nospec = true;
    program.expect({insn_mov_imm(BPF_REG_0, 0), insn_jump_imm(BPF_JEQ, BPF_REG_0, 1, 2), kStore,
                    kBarrier, kBarrier, kStore, kExit});
    EXPECT_EQ(program.run(), 0u);
}

// -- may_goto -----------------------------------------------------------------------------------

// Counts how often a loop goes round until its may_goto ends it.
constexpr bpf_insn kEndless[] = {insn_add_imm(BPF_REG_0, 1), may_goto(1), insn_goto(-3), kExit};
constexpr s32 kLimit = 8'388'608;
constexpr s32 kSoon = 5'000;

// Each counter starts at the limit; from here on sooner, which an emulated machine gets through faster. How many
// there are.
u32 end_loops_sooner(Program& program) {
    u32 count = 0;
    for (bpf_insn& insn : program.prog.insns) {
        if (insn.code != (BPF_ST | BPF_MEM | BPF_DW) || insn.imm != kLimit) continue;
        insn.imm = kSoon;
        ++count;
    }
    return count;
}

TEST(MayGoto, EndsALoopWithARegisterToSpare) {
    Program program({insn_mov_imm(BPF_REG_0, 0), kEndless[0], kEndless[1], kEndless[2], kExit});
    program.env.aux[2].live = 1;
    ASSERT_TRUE(apply_fixups(program.env).ok());
    EXPECT_EQ(program.prog.insns.size(), 5u + 1 + 3);
    EXPECT_EQ(program.prog.subprogs[0].stack_depth, 16u);
    EXPECT_EQ(end_loops_sooner(program), 1u);
    EXPECT_EQ(program.run(), u64{kSoon} + 1);
}

TEST(MayGoto, EndsALoopThatStartsTheProgram) {
    Program program(kEndless);
    program.env.aux[1].live = 1;
    ASSERT_TRUE(apply_fixups(program.env).ok());
    // The counter is set by the entry, which the loop does not go through again.
    EXPECT_TRUE(same(program.prog.insns[0], insn_store_imm(BPF_DW, BPF_REG_10, -8, kLimit)));
    const bpf_insn back = program.prog.insns[program.prog.insns.size() - 2];
    EXPECT_EQ(s32(program.prog.insns.size()) - 2 + 1 + back.off, 1);
}

TEST(MayGoto, BorrowsARegister) {
    Program program({insn_mov_imm(BPF_REG_0, 0), kEndless[0], kEndless[1], kEndless[2], kExit});
    program.env.subprogs[0].stack_depth = 20;
    ASSERT_TRUE(apply_fixups(program.env).ok());
    EXPECT_EQ(program.prog.insns.size(), 5u + 1 + 7);
    EXPECT_EQ(program.prog.subprogs[0].stack_depth, 40u);
    EXPECT_EQ(end_loops_sooner(program), 1u);
    EXPECT_EQ(program.run(), u64{kSoon} + 1);
}

TEST(MayGoto, CountsForEachFrame) {
    constexpr bpf_insn kOld[] = {subprog_call(4), insn_mov(BPF_REG_6, BPF_REG_0),
                                 subprog_call(2), alu_reg(BPF_ADD, BPF_REG_0, BPF_REG_6),
                                 kExit,           insn_mov_imm(BPF_REG_0, 0),
                                 kEndless[0],     kEndless[1],
                                 kEndless[2],     kExit};
    Program program(kOld);
    ASSERT_TRUE(apply_fixups(program.env).ok());
    EXPECT_EQ(program.prog.subprogs[0].stack_depth, 0u);
    EXPECT_EQ(end_loops_sooner(program), 1u);
    EXPECT_EQ(program.run(), 2 * (u64{kSoon} + 1));
}

TEST(MayGoto, WithoutADistanceIsNothing) {
    Program program({may_goto(0), insn_mov_imm(BPF_REG_0, 3), kExit});
    program.expect({insn_mov_imm(BPF_REG_0, 3), kExit});
}

// -- classic packet access ----------------------------------------------------------------------

struct Packet {
    u8 bytes[64];
    SkBuff skb{};
    Packet() {
        for (u32 i = 0; i < sizeof bytes; ++i) bytes[i] = u8(i);
        skb.hard_start = bytes;
        skb.hard_end = bytes + sizeof bytes;
        skb.data = bytes + 16;
        skb.data_end = bytes + 48;
        skb.mac_header = 4;
        skb.network_header = 8;
    }
};

constexpr bpf_insn kSetup = insn_mov(BPF_REG_6, BPF_REG_1);

u64 load_absolute(u8 size, s32 off) {
    Packet packet;
    Program program({kSetup, insn_mov_imm(BPF_REG_0, 5),
                     make_insn(u8(BPF_LD | BPF_ABS | size), 0, 0, 0, off), kExit});
    EXPECT_TRUE(apply_fixups(program.env).ok());
    return program.run(&packet.skb);
}

u64 load_indirect(u8 size, s32 base, s32 off) {
    Packet packet;
    Program program({kSetup, insn_mov_imm(BPF_REG_1, base),
                     make_insn(u8(BPF_LD | BPF_IND | size), 0, BPF_REG_1, 0, off),
                     insn_add_imm(BPF_REG_0, 1), kExit});
    EXPECT_TRUE(apply_fixups(program.env).ok());
    return program.run(&packet.skb);
}

TEST(ClassicLoads, ReadInNetworkOrder) {
    EXPECT_EQ(load_absolute(BPF_B, 0), 16u);
    EXPECT_EQ(load_absolute(BPF_H, 1), 0x1112u);
    EXPECT_EQ(load_absolute(BPF_W, 28), 0x2c2d2e2fu);
    EXPECT_EQ(load_indirect(BPF_H, 3, -2), 0x1112u + 1);
    EXPECT_EQ(load_indirect(BPF_W, 20, 8), 0x2c2d2e2fu + 1);
    EXPECT_EQ(load_indirect(BPF_B, 0, 0), 17u);
}

TEST(ClassicLoads, EndTheProgramOutsideThePacket) {
    EXPECT_EQ(load_absolute(BPF_W, 29), 0u);
    EXPECT_EQ(load_absolute(BPF_B, 32), 0u);
    EXPECT_EQ(load_absolute(BPF_B, 0x7fff'ffff), 0u);
    EXPECT_EQ(load_absolute(BPF_W, 0x7fff'fffa), 0u);
    EXPECT_EQ(load_indirect(BPF_W, 29, 0), 0u);
    EXPECT_EQ(load_indirect(BPF_B, -0x300000, 0), 0u);
}

TEST(ClassicLoads, CountFromHeaders) {
    EXPECT_EQ(load_absolute(BPF_H, kSkfNetOffset), 0x0809u);
    EXPECT_EQ(load_absolute(BPF_H, kSkfLinkOffset + 2), 0x0607u);
}

}  // namespace
}  // namespace barebpf::test
