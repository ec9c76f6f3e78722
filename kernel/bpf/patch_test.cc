// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/patch.h"

#include "kernel/bpf/fixups_test.h"

namespace barebpf::test {
namespace {

// A small generator of programs that end: all jumps go forward but one for each function, which a
// counter in R9 ends. The frame, wide immediates and a subprogram are used, and R0 depends on
// everything that ran. Behind gotos there is dead code.
class Generator {
public:
    explicit Generator(u64 seed) : random_(seed * 0x9e3779b97f4a7c15 + 1) {}

    static constexpr u32 kMost = 256;
    bpf_insn insns[kMost];
    bool dead[kMost] = {};
    u32 count = 0;

    void make() {
        for (u8 r = BPF_REG_0; r <= BPF_REG_5; ++r) emit(insn_mov_imm(r, s32(pick(1000))));
        block(20 + pick(60), true);
        for (u8 r = BPF_REG_1; r <= BPF_REG_5; ++r) emit(alu_reg(BPF_ADD, BPF_REG_0, r));
        emit(insn_exit());
        const u32 sub = count;
        emit(insn_mov_imm(BPF_REG_0, 1));
        block(8 + pick(30), false);
        emit(insn_exit());
        for (u32 i = 0; i < sub; ++i) {
            if (is_subprog_call(insns[i])) insns[i].imm = s32(sub - i - 1);
        }
    }

private:
    u32 pick(u32 limit) {
        random_ ^= random_ << 13;
        random_ ^= random_ >> 7;
        random_ ^= random_ << 17;
        return u32(random_ >> 33) % limit;
    }
    void emit(const bpf_insn& insn, bool target = true) {
        may_be_target_[count] = target;
        insns[count++] = insn;
    }
    u8 some_register() { return u8(pick(6)); }

    void block(u32 steps, bool calls) {
        emit(insn_mov_imm(BPF_REG_9, 3));
        const u32 start = count;
        for (u32 i = 0; i < steps; ++i) step(calls);
        aim(start, count);
        emit(insn_add_imm(BPF_REG_9, -1));
        emit(insn_jump_imm(BPF_JNE, BPF_REG_9, 0, s16(s32(start) - s32(count) - 1)));
    }
    // Gives each jump in [start, end) a later target, up to end.
    void aim(u32 start, u32 end) {
        may_be_target_[end] = true;
        for (u32 i = start; i < end; ++i) {
            if (!is_goto(insns[i]) && !is_branch(insns[i])) continue;
            u32 target;
            do target = i + 1 + pick(end - i < 20 ? end - i : 20);
            while (!may_be_target_[target]);
            insns[i].off = s16(target - i - 1);
        }
    }
    void step(bool calls) {
        constexpr u8 kOps[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_XOR, BPF_OR, BPF_AND};
        switch (pick(calls ? 9 : 8)) {
            case 0:
            case 1:
                return emit(alu_reg(kOps[pick(6)], some_register(), some_register()));
            case 2:
                return emit(alu_imm(kOps[pick(6)], some_register(), s32(pick(1 << 20))));
            case 3:
            case 4:
                return emit(insn_jump_imm(BPF_JGT, some_register(), s32(pick(2000)), 0));
            case 5:
                emit(insn_goto());
                dead[count] = true;
                return emit(insn_mov_imm(BPF_REG_0, 0xdead), false);
            case 6:
                emit(wide_low(some_register(), 0, s32(pick(1 << 30))));
                return emit(wide_high(s32(pick(1 << 30))), false);
            case 7:
                emit(insn_store(BPF_DW, BPF_REG_10, -8, some_register()));
                return emit(insn_load(BPF_DW, some_register(), BPF_REG_10, -8), false);
            default:
                return emit(subprog_call(0));
        }
    }

    u64 random_;
    bool may_be_target_[kMost];
};

TEST(Patcher, InsertionsAnywhereChangeNothing) {
    for (u64 seed = 1; seed <= test::rounds(60); ++seed) {
        Generator program(seed);
        program.make();
        Program plain(program.insns, program.count);
        ASSERT_TRUE(apply_fixups(plain.env).ok());
        const u64 expected = plain.run();
        // One insertion at each place, and at the end of the sweep one everywhere.
        for (u32 place = 0; place <= program.count; ++place) {
            Program old(program.insns, program.count);
            Patcher out(old.prog.memory);
            ASSERT_TRUE(out.begin(program.count).ok());
            for (u32 i = 0; i < program.count; ++i) {
                const bpf_insn& insn = program.insns[i];
                out.at(i);
                if (place == i || place == program.count) {
                    out.emit(insn_mov(BPF_REG_8, BPF_REG_10));
                    out.emit(insn_mov(BPF_REG_8, BPF_REG_10));
                }
                if (is_subprog_call(insn)) {
                    out.emit_subprog(insn, i + 1 + u32(insn.imm));
                } else if (is_goto(insn) || is_branch(insn)) {
                    out.emit_jump(insn, u32(jump_target(insn, i)));
                } else {
                    out.emit(insn);
                    if (is_ld_imm64(insn)) out.emit(program.insns[++i]);
                }
            }
            ASSERT_TRUE(out.finish().ok());
            ASSERT_TRUE(old.prog.insns.allocate(out.count(), host::AllocContext::MaySleep,
                                                old.prog.memory));
            for (u32 i = 0; i < out.count(); ++i) old.prog.insns[i] = out.insns()[i];
            ASSERT_EQ(old.run(), expected) << "seed " << seed << " place " << place;
        }
    }
}

TEST(Patcher, RemovedCodeChangesNothing) {
    u32 removed = 0;
    for (u64 seed = 1; seed <= test::rounds(300); ++seed) {
        Generator program(seed);
        program.make();
        Program plain(program.insns, program.count);
        ASSERT_TRUE(apply_fixups(plain.env).ok());
        Program fixed(program.insns, program.count);
        for (u32 i = 0; i < program.count; ++i) {
            if (program.dead[i]) fixed.env.aux[i].seen = false;
        }
        ASSERT_TRUE(apply_fixups(fixed.env).ok());
        removed += u32(plain.prog.insns.size() - fixed.prog.insns.size());
        ASSERT_EQ(fixed.run(), plain.run()) << "seed " << seed;
    }
    EXPECT_GT(removed, 100u);
}

TEST(Patcher, EntriesAndBodiesDiffer) {
    host::Cpu::Entry entry;
    host::MemoryOwner owner;
    Patcher out(owner);
    ASSERT_TRUE(out.begin(2).ok());
    out.at(0);
    out.emit(insn_mov_imm(BPF_REG_1, 7));
    out.end_entry();
    out.emit_jump(insn_goto(), 0);
    out.at(1);
    out.emit_subprog(subprog_call(0), 0);
    ASSERT_TRUE(out.finish().ok());
    EXPECT_EQ(out.insns()[1].off, -1);
    EXPECT_EQ(out.insns()[2].imm, -3);
    EXPECT_EQ(out.entry_of(0), 0u);
    EXPECT_EQ(out.entry_of(1), 2u);
    EXPECT_EQ(out.entry_of(2), 3u);
}

// Old instruction 0 jumps to 1 over `distance` instructions that were put in between.
Result<bpf_insn> jump_over(const bpf_insn& jump, u32 distance) {
    host::MemoryOwner owner;
    Patcher out(owner);
    TRY(out.begin(2));
    out.at(0);
    out.emit_jump(jump, 1);
    for (u32 i = 0; i < distance; ++i) out.emit(insn_mov_imm(BPF_REG_0, 0));
    out.at(1);
    out.emit(insn_exit());
    TRY(out.finish());
    return out.insns()[0];
}

TEST(Patcher, FarGotosBecomeLong) {
    host::Cpu::Entry entry;
    EXPECT_TRUE(same(jump_over(insn_goto(), 0x7fff).value(), insn_goto(0x7fff)));
    const bpf_insn far = make_insn(BPF_JMP32 | BPF_JA, 0, 0, 0, 0x8000);
    EXPECT_TRUE(same(jump_over(insn_goto(), 0x8000).value(), far));
    EXPECT_TRUE(same(jump_over(far, 0x8000).value(), far));
}

TEST(Patcher, FarConditionsAreRefused) {
    host::Cpu::Entry entry;
    const bpf_insn jump = insn_jump_imm(BPF_JEQ, BPF_REG_0, 0, 0);
    EXPECT_EQ(jump_over(jump, 0x7fff).value().off, 0x7fff);
    EXPECT_EQ(jump_over(jump, 0x8000).error(), Errno::Range);
}

TEST(Patcher, OmittedInstructionsStandForTheNext) {
    host::Cpu::Entry entry;
    host::MemoryOwner owner;
    Patcher out(owner);
    ASSERT_TRUE(out.begin(4).ok());
    out.at(0);
    out.emit_jump(insn_goto(), 1);
    out.at(3);
    out.emit(insn_exit());
    ASSERT_TRUE(out.finish().ok());
    EXPECT_EQ(out.count(), 2u);
    EXPECT_EQ(out.insns()[0].off, 0);
    EXPECT_EQ(out.entry_of(2), 1u);
}

}  // namespace
}  // namespace barebpf::test
