// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Conditional jumps: both ways are followed unless what is known decides, and each way learns from
// the condition: ranges of numbers, null or not, how far the packet reaches.
#include "kernel/bpf/decode.h"
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

// Registers and slots with the id of `known` hold the same number: they learn the same. Which ones
// did is kept for precision tracking; what does not fit there loses its id instead, so that nothing
// is ever linked in secret.
struct Linked {
    static constexpr u32 kMost = 6;
    u64 packed = 0;
    u32 count = 0;

    bool add(u32 frame, bool slot, u32 index) {
        if (count == kMost) return false;
        packed |= u64{frame | u32{slot} << 3 | index << 4} << (count++ * 10);
        return true;
    }
};

// Calls function(reg, frame, is_slot, index) for all registers and spilled ones with the id.
template <class Function>
void for_each_with_id(VerifierState& state, u32 id, Function function) {
    for (u32 f = 0; f <= state.current; ++f) {
        FuncState& frame = *state.frames[f];
        for (u32 r = 0; r < kMaxRegs; ++r)
            if (frame.regs[r].is_scalar() && frame.regs[r].id == id)
                function(frame.regs[r], f, false, r);
        for (u32 s = 0; s < frame.slot_count; ++s) {
            RegState& reg = frame.slots[s].reg;
            if (frame.slots[s].is_spill() && reg.is_scalar() && reg.id == id)
                function(reg, f, true, s);
        }
    }
}

void collect_linked(VerifierState& state, u32 regno, Linked& linked) {
    const RegState& known = state.regs()[regno];
    if (!known.is_scalar() || !known.id) return;
    u32 members = 0;
    const u32 id = known.id;
    for_each_with_id(state, id, [&](RegState&, u32, bool, u32) { ++members; });
    if (members < 2) return;
    // The compared register itself comes first: without it the others are of no use.
    const bool kept = linked.add(state.current, false, regno);
    for_each_with_id(state, id, [&](RegState& reg, u32 f, bool slot, u32 index) {
        if (f == state.current && !slot && index == regno) return;
        if (!kept || !linked.add(f, slot, index)) reg.id = 0;
    });
}

void spread(VerifierState& state, u32 regno) {
    const RegState& known = state.regs()[regno];
    if (!known.is_scalar() || !known.id) return;
    for_each_with_id(state, known.id, [&](RegState& reg, u32, bool, u32) {
        if (&reg != &known) reg.scalar = known.scalar;
    });
}

bool is_null_check(const bpf_insn& insn) {
    const u8 op = BPF_OP(insn.code);
    return BPF_CLASS(insn.code) == BPF_JMP && BPF_SRC(insn.code) == BPF_K && insn.imm == 0 &&
           (op == BPF_JEQ || op == BPF_JNE);
}

// Of a pointer compared with 0. Context, stack, map values and memory are never null; a packet pointer
// may have wrapped around.
Taken null_check_taken(const bpf_insn& insn, const RegState& dst) {
    if (!is_null_check(insn) || dst.maybe_null()) return Taken::Unknown;
    switch (dst.type) {
        case RegType::Ctx:
        case RegType::Stack:
        case RegType::MapValue:
        case RegType::MapKey:
        case RegType::MapPtr:
        case RegType::Mem:
            break;
        default:
            return Taken::Unknown;
    }
    // An offset could make it null in arithmetic; none is wide enough to, but be strict.
    if (dst.off != 0 || !dst.is_const() || dst.scalar.value() != 0) return Taken::Unknown;
    return BPF_OP(insn.code) == BPF_JEQ ? Taken::Never : Taken::Always;
}

Taken decide(const bpf_insn& insn, const RegState& dst, const RegState& src) {
    const bool is32 = BPF_CLASS(insn.code) == BPF_JMP32;
    if (dst.is_scalar() && src.is_scalar())
        return branch_taken(BPF_OP(insn.code), is32, dst.scalar, src.scalar);
    if (BPF_SRC(insn.code) == BPF_K) return null_check_taken(insn, dst);
    if (!is32) return packet_branch_taken(BPF_OP(insn.code), dst, src);
    return Taken::Unknown;
}

Result<void> check_operands(VerifierEnv& env, const bpf_insn& insn) {
    if (BPF_SRC(insn.code) == BPF_X) {
        TRY(check_reg(env, insn.src_reg, RegUse::Read));
        const RegState& src = env.reg(insn.src_reg);
        const RegState& dst = env.reg(insn.dst_reg);
        const bool packets = (src.is_packet() || src.type == RegType::PacketEnd) &&
                             (dst.is_packet() || dst.type == RegType::PacketEnd);
        if (!env.allow_ptr_leaks && src.is_pointer() && !packets) {
            env.log.print('R', insn.src_reg + 0, " pointer comparison prohibited\n");
            return Errno::Acces;
        }
    }
    return check_reg(env, insn.dst_reg, RegUse::Read);
}

Result<void> follow_decided(VerifierEnv& env, const bpf_insn& insn, Taken taken, u32* next) {
    if (env.reg(insn.dst_reg).is_scalar()) TRY(mark_precise(env, insn.dst_reg));
    if (BPF_SRC(insn.code) == BPF_X && env.reg(insn.src_reg).is_scalar())
        TRY(mark_precise(env, insn.src_reg));
    *next = taken == Taken::Always ? static_cast<u32>(jump_target(insn, env.insn)) : env.insn + 1;
    return {};
}

// Narrows the operands in one of the two states. With one register on both sides there is nothing
// to learn.
void learn(VerifierState& state, const bpf_insn& insn, bool holds) {
    const bool is32 = BPF_CLASS(insn.code) == BPF_JMP32;
    RegState& dst = state.regs()[insn.dst_reg];
    if (BPF_SRC(insn.code) == BPF_X) {
        if (insn.src_reg == insn.dst_reg) return;
        RegState& src = state.regs()[insn.src_reg];
        Scalar a = dst.scalar, b = src.scalar;
        if (!assume(BPF_OP(insn.code), is32, holds, a, b)) return;
        dst.scalar = a;
        src.scalar = b;
        spread(state, insn.dst_reg);
        spread(state, insn.src_reg);
        return;
    }
    Scalar a = dst.scalar;
    Scalar b = Scalar::constant(static_cast<u64>(s64{insn.imm}));
    if (!assume(BPF_OP(insn.code), is32, holds, a, b)) return;
    dst.scalar = a;
    spread(state, insn.dst_reg);
}

void mark_null(VerifierState& state, u32 id, u32 ref_id, bool is_null) {
    // Part of a reference that is null is part of nothing; the reference is still there.
    if (is_null && ref_id && ref_id == id) forget_reference(state, ref_id);
    for_each_reg(state, [&](RegState& reg) {
        if (!reg.maybe_null() || reg.id != id) return;
        if (is_null) {
            mark_reg_known(reg, 0);
            return;
        }
        reg.flags &= static_cast<u8>(~kMaybeNull);
        // An element of a map of maps is a map.
        if (reg.type == RegType::MapValue && reg.map->inner_meta) {
            Map* inner = reg.map->inner_meta;
            mark_reg_pointer(reg, RegType::MapPtr);
            reg.map = inner;
            return;
        }
        // A lock in the value is told apart by the id; other pointers need it no longer.
        const bool lockable = reg.type == RegType::MapValue && reg.map->spin_lock_offset >= 0;
        if (!lockable) reg.id = 0;
    });
}

Result<void> learn_from_pointers(VerifierEnv& env, const bpf_insn& insn, VerifierState& taken) {
    VerifierState& not_taken = *env.state;
    RegState& dst = env.reg(insn.dst_reg);
    if (is_null_check(insn) && dst.maybe_null()) {
        const u32 id = dst.id, ref_id = dst.ref_id;
        const bool equal = BPF_OP(insn.code) == BPF_JEQ;
        mark_null(taken, id, ref_id, equal);
        mark_null(not_taken, id, ref_id, !equal);
        return {};
    }
    const bool registers = BPF_SRC(insn.code) == BPF_X && BPF_CLASS(insn.code) == BPF_JMP;
    if (registers &&
        learn_packet_range(BPF_OP(insn.code), insn.dst_reg, insn.src_reg, taken, not_taken))
        return {};
    const bool src_pointer = BPF_SRC(insn.code) == BPF_X && env.reg(insn.src_reg).is_pointer();
    if (!env.allow_ptr_leaks && (dst.is_pointer() || src_pointer)) {
        env.log.print('R', insn.dst_reg + 0, " pointer comparison prohibited\n");
        return Errno::Acces;
    }
    return {};
}

}  // namespace

Result<void> check_cond_jump(VerifierEnv& env, const bpf_insn& insn, u32* next) {
    TRY(check_operands(env, insn));
    const bool has_src = BPF_SRC(insn.code) == BPF_X;
    RegState immediate;
    if (!has_src) mark_reg_known(immediate, static_cast<u64>(s64{insn.imm}));
    const RegState& dst = env.reg(insn.dst_reg);
    const RegState& src = has_src ? env.reg(insn.src_reg) : immediate;
    const Taken taken = decide(insn, dst, src);
    if (taken != Taken::Unknown) return follow_decided(env, insn, taken, next);

    const bool numbers = dst.is_scalar() && src.is_scalar();
    if (numbers && (dst.id || src.id)) {
        Linked linked;
        collect_linked(*env.state, insn.dst_reg, linked);
        if (has_src && src.id != dst.id) collect_linked(*env.state, insn.src_reg, linked);
        if (linked.count) TRY(push_linked_history(env, linked.packed, linked.count));
    }
    const u32 target = static_cast<u32>(jump_target(insn, env.insn));
    VerifierState* branch = TRY(push_branch(env, target, env.insn, false));
    *next = env.insn + 1;
    env.changed_regs |= 1u << insn.dst_reg | (has_src ? 1u << insn.src_reg : 0);
    if (!numbers) return learn_from_pointers(env, insn, *branch);
    learn(*branch, insn, true);
    learn(*env.state, insn, false);
    return {};
}

}  // namespace barebpf
