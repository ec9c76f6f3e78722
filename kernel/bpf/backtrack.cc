// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Precision. Most numbers do not matter to the proof: pruning may take any for any other. When one
// does (an offset, a size, a jump that it decided), the numbers that it was computed from matter
// too, back to where each of them was born. So the path is walked backwards, from the running
// instruction over all checkpoints, with the set of registers and stack slots that are wanted:
//
//     r1 = 4            wanted: -            born: done
//     r2 = r1           wanted: r1
//     r2 += 8           wanted: r2
//     r3 += r2          <- pointer += number: r2 is wanted
//
// At each checkpoint on the way the wanted numbers are marked precise. If one is already, somebody
// has gone the rest of the way before.
//
// The path is known from the history of each segment: an entry for each step that is not "the next
// instruction" and for each stack access that kept a register. What cannot be traced (callbacks,
// oddities) makes all numbers on the path precise: never wrong, only slower.
#include "kernel/bpf/decode.h"
#include "kernel/bpf/verifier.h"

namespace barebpf {

struct Backtrack {
    u32 frame;  // in which the instruction under the eye ran
    u16 regs[kMaxCallFrames];
    u64 slots[kMaxCallFrames];

    void clear() {
        for (u32 f = 0; f < kMaxCallFrames; ++f) regs[f] = 0, slots[f] = 0;
    }
    bool empty() const {
        for (u32 f = 0; f < kMaxCallFrames; ++f)
            if (regs[f] || slots[f]) return false;
        return true;
    }
    bool wants(u32 reg) const { return regs[frame] & 1u << reg; }
    void want(u32 reg) {
        if (reg != kFrameReg) regs[frame] = static_cast<u16>(regs[frame] | 1u << reg);
    }
    void drop(u32 reg) { regs[frame] = static_cast<u16>(regs[frame] & ~(1u << reg)); }
};

namespace {

enum class Step : u8 { Traced, Lost };

constexpr u16 kArgMask = 0x3e;
constexpr u16 kCallerSavedMask = 0x3f;

void trace_alu(Backtrack& bt, const bpf_insn& insn) {
    if (!bt.wants(insn.dst_reg)) return;
    const u8 op = BPF_OP(insn.code);
    if (op == BPF_NEG || op == BPF_END) return;
    const bool has_src = BPF_SRC(insn.code) == BPF_X;
    if (op == BPF_MOV) bt.drop(insn.dst_reg);
    if (has_src) bt.want(insn.src_reg);
}

void want_slot(Backtrack& bt, const HistoryEntry& entry) {
    bt.slots[entry.stack_slot >> 8] |= u64{1} << (entry.stack_slot & 0xff);
}

void trace_load(Backtrack& bt, const bpf_insn& insn, const HistoryEntry* entry) {
    if (!bt.wants(insn.dst_reg)) return;
    bt.drop(insn.dst_reg);
    if (entry && (entry->flags & kHistoryStack)) want_slot(bt, *entry);
}

Step trace_store(Backtrack& bt, const bpf_insn& insn, const HistoryEntry* entry) {
    const bool atomic = BPF_CLASS(insn.code) == BPF_STX && BPF_MODE(insn.code) == BPF_ATOMIC;
    if (atomic && insn.imm == BPF_LOAD_ACQ) {
        trace_load(bt, insn, entry);
        return Step::Traced;
    }
    const bool plain = !atomic || insn.imm == BPF_STORE_REL;
    if (!plain && (insn.imm & BPF_FETCH)) bt.drop(insn.imm == BPF_CMPXCHG ? 0u : insn.src_reg);
    // A pointer that is wanted as a number: pointers were subtracted.
    if (bt.wants(insn.dst_reg)) return Step::Lost;
    if (!entry || !(entry->flags & kHistoryStack)) return Step::Traced;
    const u64 slot = u64{1} << (entry->stack_slot & 0xff);
    u64& wanted = bt.slots[entry->stack_slot >> 8];
    if (!(wanted & slot)) return Step::Traced;
    wanted &= ~slot;
    if (plain && BPF_CLASS(insn.code) == BPF_STX) bt.want(insn.src_reg);
    return Step::Traced;
}

// Backwards into the caller (from the callee's first instruction), or over a call of a global one.
Step trace_subprog_call(Backtrack& bt, u32 at, u32 later) {
    if (later == at + 1) {
        bt.regs[bt.frame] = static_cast<u16>(bt.regs[bt.frame] & ~kCallerSavedMask);
        return Step::Traced;
    }
    const u16 wanted = bt.regs[bt.frame];
    if ((wanted & ~kArgMask) || bt.slots[bt.frame] || bt.frame == 0) return Step::Lost;
    bt.regs[bt.frame] = 0;
    --bt.frame;
    bt.regs[bt.frame] = static_cast<u16>((bt.regs[bt.frame] & ~kCallerSavedMask) | wanted);
    return Step::Traced;
}

// Backwards from a callback's first instruction to the helper that called it: of its arguments only
// the context is the caller's.
Step trace_callback_entry(Backtrack& bt, const bpf_insn& insn) {
    const u16 wanted = bt.regs[bt.frame];
    if ((wanted & ~kArgMask) || bt.slots[bt.frame] || bt.frame == 0) return Step::Lost;
    bt.regs[bt.frame] = 0;
    --bt.frame;
    if (wanted >> callback_context_reg(insn.imm) & 1) bt.want(BPF_REG_3);
    return Step::Traced;
}

// Backwards into the callee, from behind the call; into a callback, from the call itself, which
// finds the caller's registers as they were.
Step trace_exit(Backtrack& bt, const VerifierEnv& env, u32 later) {
    if (env.aux[later].calls_back && bt.frame + 1 < kMaxCallFrames) {
        ++bt.frame;
        return Step::Traced;
    }
    if (later == 0 || !is_subprog_call(env.insns[later - 1]) || bt.frame + 1 >= kMaxCallFrames)
        return Step::Lost;
    const bool result = bt.wants(0);
    bt.regs[bt.frame] = static_cast<u16>(bt.regs[bt.frame] & ~kCallerSavedMask);
    ++bt.frame;
    if (result) bt.want(0);
    return Step::Traced;
}

Step trace_jump(Backtrack& bt, const VerifierEnv& env, const bpf_insn& insn, u32 at, u32 later) {
    if (is_subprog_call(insn)) return trace_subprog_call(bt, at, later);
    if (is_exit(insn)) return trace_exit(bt, env, later);
    if (BPF_OP(insn.code) == BPF_CALL) {
        if (later != at + 1 && env.aux[at].calls_back) return trace_callback_entry(bt, insn);
        // A tail call that returned to the caller.
        if (later != at + 1) return Step::Lost;
        bt.regs[bt.frame] = static_cast<u16>(bt.regs[bt.frame] & ~kCallerSavedMask);
        return Step::Traced;
    }
    if (is_goto(insn) || is_may_goto(insn) || BPF_SRC(insn.code) == BPF_K) return Step::Traced;
    // Each side may have narrowed the other.
    if (bt.wants(insn.dst_reg) || bt.wants(insn.src_reg)) {
        bt.want(insn.dst_reg);
        bt.want(insn.src_reg);
    }
    return Step::Traced;
}

// Numbers that a jump narrowed together are wanted together.
void trace_linked(Backtrack& bt, const HistoryEntry* entry) {
    if (!entry || !entry->linked_count) return;
    bool any = false;
    for (int pass = 0; pass < 2; ++pass) {
        for (u32 i = 0; i < entry->linked_count; ++i) {
            const u32 one = entry->linked >> (i * 10) & 0x3ff;
            const u32 frame = one & 7, index = one >> 4;
            const bool slot = one & 8;
            const u64 mask = u64{1} << index;
            if (pass == 0)
                any |= slot ? (bt.slots[frame] & mask) != 0 : (bt.regs[frame] & mask) != 0;
            else if (slot)
                bt.slots[frame] |= mask;
            else
                bt.regs[frame] = static_cast<u16>(bt.regs[frame] | mask);
        }
        if (!any) return;
    }
}

Step trace_insn(Backtrack& bt, const VerifierEnv& env, u32 at, u32 later,
                const HistoryEntry* entry) {
    const bpf_insn& insn = env.insns[at];
    Step step = Step::Traced;
    trace_linked(bt, entry);
    switch (BPF_CLASS(insn.code)) {
        case BPF_LD:
            if (insn.code == 0) break;  // second half of a 64-bit load
            if (is_ld_imm64(insn)) {
                bt.drop(insn.dst_reg);
                break;
            }
            if (later != at + 1) return Step::Lost;
            bt.regs[bt.frame] = static_cast<u16>(bt.regs[bt.frame] & ~kCallerSavedMask);
            break;
        case BPF_LDX:
            trace_load(bt, insn, entry);
            break;
        case BPF_ST:
        case BPF_STX:
            step = trace_store(bt, insn, entry);
            break;
        case BPF_JMP:
        case BPF_JMP32:
            step = trace_jump(bt, env, insn, at, later);
            break;
        default:
            trace_alu(bt, insn);
            break;
    }
    trace_linked(bt, entry);
    return step;
}

// Walks one segment from `at` (which itself is skipped if skip_first) to its first instruction.
Step trace_segment(VerifierEnv& env, const VerifierState& state, u32 at, u32 later,
                   bool skip_first) {
    Backtrack& bt = *env.backtrack;
    u32 left = state.history_count;
    for (;;) {
        const HistoryEntry* entry =
            left && state.history[left - 1].insn == at ? &state.history[left - 1] : nullptr;
        if (!skip_first) {
            if (trace_insn(bt, env, at, later, entry) == Step::Lost) return Step::Lost;
            if (bt.empty()) return Step::Traced;
        }
        skip_first = false;
        if (left <= 1 && at == state.first_insn) return Step::Traced;
        later = at;
        if (entry) {
            at = entry->previous;
            --left;
        } else {
            if (at == 0) return Step::Lost;
            --at;
        }
    }
}

// Marks what is wanted in a checkpoint, and stops wanting what was marked before or is no number.
void mark_wanted(Backtrack& bt, VerifierState& state) {
    for (u32 f = 0; f < kMaxCallFrames; ++f) {
        if (f > state.current) {
            bt.regs[f] = 0;
            bt.slots[f] = 0;
            continue;
        }
        FuncState& frame = *state.frames[f];
        for (u32 r = 0; r < kFrameReg; ++r) {
            const u16 bit = static_cast<u16>(1u << r);
            if (!(bt.regs[f] & bit)) continue;
            RegState& reg = frame.regs[r];
            if (!reg.is_scalar() || reg.precise) bt.regs[f] = static_cast<u16>(bt.regs[f] & ~bit);
            if (reg.is_scalar()) reg.precise = true;
        }
        for (u64 left = bt.slots[f]; left; left &= left - 1) {
            const u32 s = static_cast<u32>(__builtin_ctzll(left));
            const u64 bit = u64{1} << s;
            const bool number =
                s < frame.slot_count && frame.slots[s].is_spill() && frame.slots[s].reg.is_scalar();
            if (!number || frame.slots[s].reg.precise) bt.slots[f] &= ~bit;
            if (number) frame.slots[s].reg.precise = true;
        }
    }
}

void mark_everything(VerifierEnv& env) {
    for (VerifierState* up = env.state->parent; up; up = up->parent)
        for_each_reg(*up, [](RegState& reg) {
            if (reg.is_scalar()) reg.precise = true;
        });
    env.backtrack->clear();
}

Result<void> trace_back(VerifierEnv& env) {
    Backtrack& bt = *env.backtrack;
    bt.frame = env.state->current;
    u32 at = env.insn, later = env.insn;
    bool skip_first = true;
    for (VerifierState* state = env.state;;) {
        if (trace_segment(env, *state, at, later, skip_first) == Step::Lost) {
            mark_everything(env);
            return {};
        }
        if (bt.empty() || !state->parent) break;
        skip_first = false;
        later = state->first_insn;
        state = state->parent;
        if (bt.frame != state->current) {
            mark_everything(env);
            return {};
        }
        mark_wanted(bt, *state);
        if (bt.empty()) break;
        at = state->last_insn;
    }
    bt.clear();
    return {};
}

}  // namespace

Result<void> mark_precise(VerifierEnv& env, u32 regno) {
    if (!env.reg(regno).is_scalar() || regno == kFrameReg) return {};
    Backtrack& bt = *env.backtrack;
    bt.clear();
    bt.frame = env.state->current;
    bt.want(regno);
    return trace_back(env);
}

Result<void> propagate_precision(VerifierEnv& env, const VerifierState& old) {
    Backtrack& bt = *env.backtrack;
    bt.clear();
    for (u32 f = 0; f <= old.current; ++f) {
        const FuncState& frame = *old.frames[f];
        for (u32 r = 0; r < kFrameReg; ++r)
            if (frame.regs[r].is_scalar() && frame.regs[r].precise)
                bt.regs[f] = static_cast<u16>(bt.regs[f] | 1u << r);
        for (u32 s = 0; s < frame.slot_count; ++s)
            if (frame.slots[s].is_spill() && frame.slots[s].reg.is_scalar() &&
                frame.slots[s].reg.precise)
                bt.slots[f] |= u64{1} << s;
    }
    if (bt.empty()) return {};
    return trace_back(env);
}

namespace {

Result<HistoryEntry*> entry_of_step(VerifierEnv& env) {
    VerifierState& state = *env.state;
    if (env.history_step == env.count.insns_processed && state.history_count &&
        state.history[state.history_count - 1].insn == env.insn)
        return &state.history[state.history_count - 1];
    if (state.history_count == state.history_capacity) {
        const u32 capacity = state.history_capacity ? state.history_capacity * 2 : 16;
        void* memory = env.pool.take(capacity * sizeof(HistoryEntry));
        if (!memory) return Errno::NoMem;
        if (state.history_count)
            __builtin_memcpy(memory, state.history, state.history_count * sizeof(HistoryEntry));
        env.pool.give(state.history, state.history_capacity * sizeof(HistoryEntry));
        state.history = static_cast<HistoryEntry*>(memory);
        state.history_capacity = capacity;
    }
    HistoryEntry* entry = &state.history[state.history_count++];
    *entry = {env.insn, env.previous_insn, 0, 0, 0, 0};
    env.history_step = env.count.insns_processed;
    return entry;
}

}  // namespace

Result<void> push_history(VerifierEnv& env, u32 flags, u32 stack_slot) {
    HistoryEntry* entry = TRY(entry_of_step(env));
    entry->flags |= flags;
    if (flags & kHistoryStack) entry->stack_slot = stack_slot;
    return {};
}

Result<void> push_linked_history(VerifierEnv& env, u64 linked, u32 count) {
    HistoryEntry* entry = TRY(entry_of_step(env));
    entry->linked = linked;
    entry->linked_count = count;
    return {};
}

Result<void> make_backtrack_scratch(VerifierEnv& env) {
    env.backtrack = static_cast<Backtrack*>(env.pool.take(sizeof(Backtrack)));
    if (!env.backtrack) return Errno::NoMem;
    env.backtrack->clear();
    return {};
}

}  // namespace barebpf
