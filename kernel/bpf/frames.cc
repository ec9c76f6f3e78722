// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Calls between subprograms. A static one is followed as part of the caller's path, in a frame of
// its own; a global one was verified for all arguments that its prototype allows, so the caller only
// has to pass such arguments.
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

void set_callee_args(FuncState& caller, FuncState& callee) {
    for (u32 r = 1; r <= 5; ++r) callee.regs[r] = caller.regs[r];
}

Result<void> call_global(VerifierEnv& env, u32 subprog, u32* next) {
    TRY(check_global_call(env, subprog));
    if (env.log.enabled()) env.log.print("Func#", subprog, " is global and valid. Skipping.\n");
    if (env.subprogs[subprog].changes_packet_data) forget_packet_pointers(env);
    clear_caller_saved(env);
    mark_reg_unknown(env.reg(0));
    *next = env.insn + 1;
    return {};
}

// The frame's registers and stack are gone; what it knew about memory stays.
void drop_frame(VerifierEnv& env, VerifierState& state) {
    free_frame(env, state.frames[state.current]);
    state.frames[state.current] = nullptr;
    --state.current;
    // What the callee acquired and did not release is the caller's to release.
    for (u32 i = 0; i < state.ref_count; ++i)
        if (state.refs[i].frame > state.current) state.refs[i].frame = state.current;
}

}  // namespace

Result<FuncState*> push_frame(VerifierEnv& env, u32 subprog, u32 call_site) {
    VerifierState& state = *env.state;
    if (state.current + 1u >= kMaxCallFrames) {
        env.log.print("the call stack of ", state.current + 2u, " frames is too deep\n");
        return Errno::TooBig;
    }
    FuncState* callee = new_frame(env);
    if (!callee) return Errno::NoMem;
    const u8 index = static_cast<u8>(state.current + 1);
    callee->frame = index;
    callee->subprog = static_cast<u16>(subprog);
    callee->call_site = call_site;
    mark_reg_pointer(callee->regs[kFrameReg], RegType::Stack);
    callee->regs[kFrameReg].frame = index;
    state.frames[index] = callee;
    state.stack_written[index] = ~u64{0};
    return callee;
}

Result<void> check_subprog_call(VerifierEnv& env, const bpf_insn&, u32* next) {
    const u32 subprog = env.aux[env.insn].subprog;
    if (env.state->locked_id) {
        env.log.print("function calls are not allowed while holding a lock\n");
        return Errno::Inval;
    }
    if (env.subprogs[subprog].is_global) return call_global(env, subprog, next);
    FuncState& caller = env.state->frame();
    FuncState* callee = TRY(push_frame(env, subprog, env.insn));
    set_callee_args(caller, *callee);
    clear_caller_saved(env);
    ++env.state->current;
    *next = env.subprogs[subprog].start;
    if (env.log.enabled()) {
        env.log.print("caller:\n");
        print_frame_state(env, *env.state, env.state->current - 1u, true);
        env.log.print("callee:\n");
        print_state(env, *env.state, true);
    }
    return {};
}

Result<void> return_from_frame(VerifierEnv& env, u32* next) {
    VerifierState& state = *env.state;
    const FuncState& callee = state.frame();
    const bool callback = callee.in_callback;
    const RegState& r0 = callee.regs[0];
    if (r0.type == RegType::Stack) {
        env.log.print("cannot return stack pointer to the caller\n");
        return Errno::Inval;
    }
    if (env.log.enabled()) {
        env.log.print("returning from callee:\n");
        print_state(env, state, true);
        env.log.print("to caller at ", callee.call_site + !callback, ":\n");
    }
    // A callback returns to the helper, which may call it again: check_callback.cc.
    *next = callee.call_site + !callback;
    if (callee.dynptr_id) forget_pointers(env, callee.dynptr_id);
    if (callback)
        state.epoch = callee.epoch_at_call;
    else
        state.frames[state.current - 1]->regs[0] = r0;
    drop_frame(env, state);
    if (callback) widen_since(env, *next);
    print_state(env, state, true);
    return {};
}

Result<void> push_early_return(VerifierEnv& env, bool zero) {
    const u32 back = env.state->frame().call_site + 1;
    VerifierState* copy = TRY(push_branch(env, back, env.insn, false));
    drop_frame(env, *copy);
    RegState& r0 = copy->regs()[0];
    if (zero) {
        mark_reg_known(r0, 0);
        return {};
    }
    mark_reg_unknown(r0);
    VerifierState* running = env.state;
    env.state = copy;
    forget_packet_pointers(env);
    env.state = running;
    return {};
}

}  // namespace barebpf
