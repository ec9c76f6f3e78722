// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// States: their memory, copies, and the stack of branches that are still to be followed.
//
//   running state ──push_branch()──> copy in env.pending      both children of running.parent:
//        │                               │                     parent.branches counts them
//        └── finish_path() ── pop_branch() takes the newest
//
// A checkpoint with branches == 0 has been followed to every end: its marks (precise, stack_read)
// are final.
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

// Nothing may be at no address.
void copy_bytes(void* to, const void* from, size_t size) {
    if (size) __builtin_memcpy(to, from, size);
}

// slots for at least count, old content kept.
bool reserve_slots(VerifierEnv& env, FuncState& frame, u32 count) {
    if (count <= frame.slot_capacity) return true;
    u32 capacity = frame.slot_capacity ? frame.slot_capacity * 2u : 4;
    while (capacity < count) capacity *= 2;
    if (capacity > kMaxSlots) capacity = kMaxSlots;
    void* memory = env.pool.take(capacity * sizeof(StackSlot));
    if (!memory) return false;
    copy_bytes(memory, frame.slots, frame.slot_count * sizeof(StackSlot));
    env.pool.give(frame.slots, frame.slot_capacity * sizeof(StackSlot));
    frame.slots = static_cast<StackSlot*>(memory);
    frame.slot_capacity = static_cast<u16>(capacity);
    return true;
}

// Replaces an array by a copy of another one.
template <class T>
bool copy_array(VerifierEnv& env, T*& to, u32& capacity, u32& to_count, const T* from, u32 count) {
    to = nullptr;
    to_count = capacity = 0;
    if (!count) return true;
    to = static_cast<T*>(env.pool.take(count * sizeof(T)));
    if (!to) return false;
    copy_bytes(to, from, count * sizeof(T));
    to_count = capacity = count;
    return true;
}

FuncState* copy_frame(VerifierEnv& env, const FuncState& from) {
    void* memory = env.pool.take(sizeof(FuncState));
    if (!memory) return nullptr;
    copy_bytes(memory, &from, sizeof(FuncState));
    FuncState* to = static_cast<FuncState*>(memory);
    to->slots = nullptr;
    to->slot_count = to->slot_capacity = 0;
    if (!reserve_slots(env, *to, from.slot_count)) {
        env.pool.give(to, sizeof(FuncState));
        return nullptr;
    }
    copy_bytes(to->slots, from.slots, from.slot_count * sizeof(StackSlot));
    to->slot_count = from.slot_count;
    return to;
}

}  // namespace

FuncState* new_frame(VerifierEnv& env) {
    void* memory = env.pool.take(sizeof(FuncState));
    if (!memory) return nullptr;
    __builtin_memset(memory, 0, sizeof(FuncState));
    FuncState* frame = static_cast<FuncState*>(memory);
    for (RegState& reg : frame->regs) mark_reg_not_init(reg);
    frame->call_site = kNoCallSite;
    return frame;
}

void free_frame(VerifierEnv& env, FuncState* frame) {
    env.pool.give(frame->slots, frame->slot_capacity * sizeof(StackSlot));
    env.pool.give(frame, sizeof(FuncState));
}

Result<void> grow_stack(VerifierEnv& env, FuncState& frame, u32 depth) {
    const u32 count = (depth + kSlotBytes - 1) / kSlotBytes;
    if (count <= frame.slot_count) return {};
    if (!reserve_slots(env, frame, count)) return Errno::NoMem;
    for (u32 s = frame.slot_count; s < count; ++s) {
        for (SlotByte& byte : frame.slots[s].bytes) byte = SlotByte::Invalid;
        mark_reg_not_init(frame.slots[s].reg);
    }
    frame.slot_count = static_cast<u16>(count);
    SubprogState& subprog = env.subprogs[frame.subprog];
    if (count * kSlotBytes > subprog.stack_depth)
        subprog.stack_depth = static_cast<u16>(count * kSlotBytes);
    return {};
}

VerifierState* new_state(VerifierEnv& env) {
    void* memory = env.pool.take(sizeof(VerifierState));
    if (!memory) return nullptr;
    __builtin_memset(memory, 0, sizeof(VerifierState));
    VerifierState* state = static_cast<VerifierState*>(memory);
    FuncState* frame = new_frame(env);
    if (!frame) {
        env.pool.give(state, sizeof(VerifierState));
        return nullptr;
    }
    mark_reg_pointer(frame->regs[kFrameReg], RegType::Stack);
    state->frames[0] = frame;
    state->branches = 1;
    state->stack_written[0] = ~u64{0};
    return state;
}

VerifierState* copy_state(VerifierEnv& env, const VerifierState& from) {
    void* memory = env.pool.take(sizeof(VerifierState));
    if (!memory) return nullptr;
    copy_bytes(memory, &from, sizeof(VerifierState));
    VerifierState* to = static_cast<VerifierState*>(memory);
    for (FuncState*& frame : to->frames) frame = nullptr;
    bool ok = copy_array(env, to->refs, to->ref_capacity, to->ref_count, from.refs, from.ref_count);
    ok = copy_array(env, to->history, to->history_capacity, to->history_count, from.history,
                    from.history_count) &&
         ok;
    for (u32 f = 0; ok && f <= from.current; ++f) {
        to->frames[f] = copy_frame(env, *from.frames[f]);
        ok = to->frames[f] != nullptr;
    }
    if (ok) return to;
    free_state(env, to);
    return nullptr;
}

void free_state(VerifierEnv& env, VerifierState* state) {
    if (!state) return;
    for (FuncState* frame : state->frames)
        if (frame) free_frame(env, frame);
    env.pool.give(state->refs, state->ref_capacity * sizeof(AcquiredRef));
    env.pool.give(state->history, state->history_capacity * sizeof(HistoryEntry));
    env.pool.give(state, sizeof(VerifierState));
}

Result<VerifierState*> push_branch(VerifierEnv& env, u32 insn, u32 previous, bool speculative) {
    if (env.pending_count >= kMaxPendingBranches) {
        env.log.print("The sequence of ", env.pending_count + 1, " jumps is too complex.\n");
        return Errno::TooBig;
    }
    VerifierState* state = copy_state(env, *env.state);
    if (!state) return Errno::NoMem;
    void* memory = env.pool.take(sizeof(PendingBranch));
    if (!memory) {
        free_state(env, state);
        return Errno::NoMem;
    }
    PendingBranch* branch = static_cast<PendingBranch*>(memory);
    *branch = {env.pending, state, env.log.mark()};
    env.pending = branch;
    ++env.pending_count;
    state->insn = insn;
    state->previous_insn = previous;
    state->speculative |= speculative;
    state->branches = 1;
    if (state->parent) ++state->parent->branches;
    return state;
}

bool pop_branch(VerifierEnv& env) {
    PendingBranch* branch = env.pending;
    if (!branch) return false;
    env.pending = branch->next;
    --env.pending_count;
    env.state = branch->state;
    env.insn = env.state->insn;
    env.previous_insn = env.state->previous_insn;
    if (!env.log.every_path()) env.log.rewind(branch->log_mark);
    env.pool.give(branch, sizeof(PendingBranch));
    return true;
}

void finish_path(VerifierEnv& env, VerifierState* state) {
    VerifierState* up = state->parent;
    free_state(env, state);
    while (up && --up->branches == 0) {
        VerifierState* done = up;
        up = up->parent;
        if (done->dead) {
            free_state(env, done);
            --env.count.live_states;
        }
    }
}

void free_known_states(VerifierEnv& env) {
    for (StateList*& head : env.known) {
        while (StateList* entry = head) {
            head = entry->next;
            free_state(env, entry->state);
            env.pool.give(entry, sizeof(StateList));
        }
    }
}

}  // namespace barebpf
