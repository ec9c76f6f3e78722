// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which registers an instruction, or any that may follow it, reads before they are written: the
// classic backward data-flow problem, solved once on the control-flow graph. Pruning compares only
// those registers.
//
//     live(i) = reads(i) | (union of live(successors of i)) & ~writes(i)
//
// Only larger sets are ever computed from larger ones, so the sweeps end; in post-order two are
// enough for most programs. A call reads what the callee's first instruction needs of R1 to R5.
//
// The stack's liveness depends on pointers and is found on the way: check_stack.cc.
#include "kernel/bpf/decode.h"
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

constexpr u16 kArgs = 0x3e;         // R1 to R5
constexpr u16 kCallerSaved = 0x3f;  // R0 to R5

struct ReadWrite {
    u16 reads, writes;
};

constexpr u16 bit(u32 reg) {
    return static_cast<u16>(1u << reg);
}

u16 helper_reads(const VerifierEnv& env, s32 id) {
    const HelperProto* proto =
        env.ops ? env.ops->helper_proto(static_cast<u32>(id), env.prog) : nullptr;
    if (!proto) return kArgs;
    u16 reads = 0;
    for (u32 i = 0; i < 5; ++i)
        if (proto->args[i] != ArgType::None) reads |= bit(i + 1);
    return reads;
}

ReadWrite of_call(const VerifierEnv& env, const bpf_insn& insn, u32 at) {
    if (!is_subprog_call(insn)) return {helper_reads(env, insn.imm), kCallerSaved};
    const s32 callee = find_subprog_at(env, static_cast<u32>(s64{at} + insn.imm + 1));
    const SubprogState& subprog = env.subprogs[static_cast<u32>(callee)];
    if (subprog.is_global) return {kArgs, kCallerSaved};
    return {static_cast<u16>(env.aux[subprog.start].live & kArgs), kCallerSaved};
}

ReadWrite of_jump(const VerifierEnv& env, const bpf_insn& insn, u32 at) {
    if (BPF_OP(insn.code) == BPF_CALL) return of_call(env, insn, at);
    if (is_exit(insn)) return {bit(0), 0};
    if (is_goto(insn) || is_may_goto(insn)) return {0, 0};
    const u16 src = BPF_SRC(insn.code) == BPF_X ? bit(insn.src_reg) : u16{0};
    return {static_cast<u16>(bit(insn.dst_reg) | src), 0};
}

ReadWrite of_alu(const bpf_insn& insn) {
    const u16 dst = bit(insn.dst_reg);
    const u8 op = BPF_OP(insn.code);
    if (op == BPF_END || op == BPF_NEG) return {dst, dst};
    const u16 src = BPF_SRC(insn.code) == BPF_X ? bit(insn.src_reg) : u16{0};
    return {static_cast<u16>(op == BPF_MOV ? src : src | dst), dst};
}

ReadWrite of_atomic(const bpf_insn& insn) {
    const u16 dst = bit(insn.dst_reg), src = bit(insn.src_reg);
    if (insn.imm == BPF_LOAD_ACQ) return {src, dst};
    if (insn.imm == BPF_CMPXCHG) return {static_cast<u16>(dst | src | bit(0)), bit(0)};
    const bool fetch = insn.imm != BPF_STORE_REL && (insn.imm & BPF_FETCH);
    return {static_cast<u16>(dst | src), fetch ? src : u16{0}};
}

ReadWrite read_write(const VerifierEnv& env, u32 at) {
    const bpf_insn& insn = env.insns[at];
    const u16 dst = bit(insn.dst_reg), src = bit(insn.src_reg);
    switch (BPF_CLASS(insn.code)) {
        case BPF_LD:
            if (BPF_MODE(insn.code) == BPF_IMM) return {0, dst};
            if (BPF_MODE(insn.code) == BPF_ABS) return {bit(6), kCallerSaved};
            return {static_cast<u16>(bit(6) | src), kCallerSaved};
        case BPF_LDX:
            return {src, dst};
        case BPF_ST:
            return {dst, 0};
        case BPF_STX:
            if (BPF_MODE(insn.code) == BPF_ATOMIC) return of_atomic(insn);
            return {static_cast<u16>(dst | src), 0};
        case BPF_JMP:
        case BPF_JMP32:
            return of_jump(env, insn, at);
        default:
            return of_alu(insn);
    }
}

u16 live_after(const VerifierEnv& env, u32 at) {
    const bpf_insn& insn = env.insns[at];
    if (is_exit(insn)) return 0;
    if (is_goto(insn)) return env.aux[static_cast<u32>(jump_target(insn, at))].live;
    const u16 next = env.aux[at + (is_ld_imm64(insn) ? 2 : 1)].live;
    if (!is_branch(insn)) return next;
    return static_cast<u16>(next | env.aux[static_cast<u32>(jump_target(insn, at))].live);
}

}  // namespace

void compute_liveness(VerifierEnv& env) {
    bool changed = true;
    while (changed) {
        changed = false;
        for (u32 i = 0; i < env.order_count; ++i) {
            const u32 at = env.order[i];
            const ReadWrite access = read_write(env, at);
            const u16 live =
                static_cast<u16>(access.reads | (live_after(env, at) & ~access.writes));
            changed |= live != env.aux[at].live;
            env.aux[at].live = live;
        }
    }
    env.order.reset();
}

}  // namespace barebpf
