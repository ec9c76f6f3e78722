// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// may_goto: a loop that the verifier takes to end because a counter ends it. Each frame counts for
// itself, in a slot below what the program uses; the second slot is for a register that has to be
// borrowed.
//
//     entry        *(u64 *)(r10 -depth-8) = kLoopBudget         run by calls, not by jumps
//
//     may_goto X   r0 = *(u64 *)(r10 -depth-8)                  when nobody reads r0 from here on
//                  if r0 == 0 goto X
//                  r0 += -1
//                  *(u64 *)(r10 -depth-8) = r0
//
//     may_goto X   *(u64 *)(r10 -depth-16) = r0                 otherwise
//                  r0 = *(u64 *)(r10 -depth-8)
//                  r0 += -1
//                  *(u64 *)(r10 -depth-8) = r0
//                  if r0 s>= 0 goto +2
//                  r0 = *(u64 *)(r10 -depth-16)
//                  goto X
//                  r0 = *(u64 *)(r10 -depth-16)
//
// The second form goes on below zero: it takes the exit at every later pass too, for 2^63 of them.
#include "kernel/bpf/decode.h"
#include "kernel/bpf/fixups.h"

namespace barebpf {
namespace {

using host::AllocContext;

constexpr s32 kLoopBudget = 8'388'608;  // BPF_MAX_LOOPS
static_assert(kFixupStack == 16, "the counter and the borrowed register");

s16 counter_off(const Fixups::Frame& frame) {
    return s16(-s32{frame.depth} - 8);
}
s16 spill_off(const Fixups::Frame& frame) {
    return s16(-s32{frame.depth} - 16);
}

constexpr u8 kNoRegister = 0xff;

u8 free_register(const Fixups& fix, u32 insn) {
    if (!fix.verified) return kNoRegister;
    const u16 live = fix.env.aux[insn].live;
    for (u8 number = 0; number < kFrameReg; ++number) {
        if (!(live >> number & 1)) return number;
    }
    return kNoRegister;
}

bool is_needed(const Fixups& fix, u32 insn) {
    return fix.kept(insn) && is_may_goto(fix.env.insns[insn]) && fix.env.insns[insn].off != 0;
}

void count_in_free_register(Fixups& fix, u8 r, s16 counter, u32 target) {
    fix.out.emit(insn_load(BPF_DW, r, kFrameReg, counter));
    fix.out.emit_jump(insn_jump_imm(BPF_JEQ, r, 0, 0), target);
    fix.out.emit(insn_add_imm(r, -1));
    fix.out.emit(insn_store(BPF_DW, kFrameReg, counter, r));
}

void count_in_borrowed_register(Fixups& fix, s16 counter, s16 spill, u32 target) {
    constexpr u8 r = BPF_REG_0;
    fix.out.emit(insn_store(BPF_DW, kFrameReg, spill, r));
    fix.out.emit(insn_load(BPF_DW, r, kFrameReg, counter));
    fix.out.emit(insn_add_imm(r, -1));
    fix.out.emit(insn_store(BPF_DW, kFrameReg, counter, r));
    fix.out.emit(insn_jump_imm(BPF_JSGE, r, 0, 2));
    fix.out.emit(insn_load(BPF_DW, r, kFrameReg, spill));
    fix.out.emit_jump(insn_goto(), target);
    fix.out.emit(insn_load(BPF_DW, r, kFrameReg, spill));
}

}  // namespace

Result<void> plan_frames(Fixups& fix) {
    const VerifierEnv& env = fix.env;
    if (!fix.frames.allocate(env.subprog_count, AllocContext::MaySleep, fix.env.prog->memory))
        return Errno::NoMem;
    for (u32 s = 0; s < env.subprog_count; ++s) {
        const SubprogState& subprog = env.subprogs[s];
        // Nobody knows how much stack an unverified program uses.
        const u32 depth = fix.verified ? (subprog.stack_depth + 7u) & ~7u : kMaxStack;
        fix.frames[s] = {u16(depth), false};
        for (u32 i = subprog.start; i < subprog.end; ++i) {
            if (is_ld_imm64(env.insns[i])) {
                ++i;
            } else if (is_needed(fix, i)) {
                fix.frames[s].counts = true;
                break;
            }
        }
    }
    return {};
}

void emit_frame_entry(Fixups& fix) {
    const Fixups::Frame& frame = fix.frames[fix.subprog];
    if (!frame.counts) return;
    fix.out.emit(insn_store_imm(BPF_DW, kFrameReg, counter_off(frame), kLoopBudget));
    fix.out.end_entry();
}

void fix_may_goto(Fixups& fix, u32 insn) {
    if (!is_needed(fix, insn)) return;
    const Fixups::Frame& frame = fix.frames[fix.subprog];
    const u32 target = u32(jump_target(fix.env.insns[insn], insn));
    const u8 r = free_register(fix, insn);
    if (r != kNoRegister) {
        count_in_free_register(fix, r, counter_off(frame), target);
    } else {
        count_in_borrowed_register(fix, counter_off(frame), spill_off(frame), target);
    }
}

}  // namespace barebpf
