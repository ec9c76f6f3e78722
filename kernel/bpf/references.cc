// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Objects that a program acquired and must give back (ring buffer records, later sockets).
#include "kernel/bpf/verifier.h"

namespace barebpf {

Result<u32> acquire_reference(VerifierEnv& env, u32 insn) {
    VerifierState& state = *env.state;
    if (state.ref_count == state.ref_capacity) {
        const u32 capacity = state.ref_capacity ? state.ref_capacity * 2 : 4;
        void* memory = env.pool.take(capacity * sizeof(AcquiredRef));
        if (!memory) return Errno::NoMem;
        if (state.ref_count)
            __builtin_memcpy(memory, state.refs, state.ref_count * sizeof(AcquiredRef));
        env.pool.give(state.refs, state.ref_capacity * sizeof(AcquiredRef));
        state.refs = static_cast<AcquiredRef*>(memory);
        state.ref_capacity = capacity;
    }
    const u32 id = env.new_id();
    state.refs[state.ref_count++] = {id, insn, state.current};
    return id;
}

bool forget_reference(VerifierState& state, u32 ref_id) {
    for (u32 i = 0; i < state.ref_count; ++i) {
        if (state.refs[i].id != ref_id) continue;
        state.refs[i] = state.refs[--state.ref_count];
        return true;
    }
    return false;
}

namespace {

// The dynptr that is this reference is none any more.
void forget_dynptr(FuncState& frame, u32 ref_id) {
    for (u32 s = 0; s < frame.slot_count; ++s) {
        StackSlot& slot = frame.slots[s];
        if (!slot.is_dynptr() || slot.reg.ref_id != ref_id) continue;
        for (SlotByte& byte : slot.bytes) byte = SlotByte::Invalid;
        mark_reg_not_init(slot.reg);
    }
}

}  // namespace

void forget_pointers(VerifierEnv& env, u32 ref_id) {
    for_each_reg(*env.state, [&](RegState& reg) {
        if (reg.ref_id != ref_id) return;
        if (env.allow_ptr_leaks)
            mark_reg_unknown(reg);
        else
            mark_reg_not_init(reg);
    });
}

Result<void> release_reference(VerifierEnv& env, u32 ref_id) {
    if (!forget_reference(*env.state, ref_id)) return Errno::Inval;
    for (u32 f = 0; f <= env.state->current; ++f) forget_dynptr(*env.state->frames[f], ref_id);
    forget_pointers(env, ref_id);
    return {};
}

Result<void> check_no_references(VerifierEnv& env) {
    const VerifierState& state = *env.state;
    const bool callback = state.frame().in_callback;
    if (state.current != 0 && !callback) return {};
    bool leaked = false;
    for (u32 i = 0; i < state.ref_count; ++i) {
        if (callback && state.refs[i].frame != state.current) continue;
        env.log.print("Unreleased reference id=", state.refs[i].id,
                      " alloc_insn=", state.refs[i].insn, '\n');
        leaked = true;
    }
    if (leaked) return Errno::Inval;
    return {};
}

}  // namespace barebpf
