// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helpers that call a function of the program: for_each_map_elem, loop, user_ringbuf_drain. How often they do so is not
// known, so the call is followed as the loop that it is:
//
//               ┌──────────────> call helper ───────> behind the call        (enough, or never)
//               │                    │
//     caller's frame as it was       └──> callback, in a frame of its own    (once more)
//               └──────────── exit ──────────┘
//
// The callback returns to the call itself, which is a checkpoint each time. A round ends there when
// the caller's state is covered by one that this very call was met with before (prune.cc); until
// then numbers that changed from round to round and that nothing relied on become unknown, so that
// this happens soon.
//
// "This very call": `epoch` tells calls apart. It moves on whenever a helper with a callback is left,
// and a callback's return sets it back to what it was at the call. So a program that comes back to
// the call in a loop of its own finds no state to stop at: that loop must end by itself.
#include "kernel/bpf/check_call.h"
#include "kernel/bpf/decode.h"

namespace barebpf {
namespace {

template <class... Parts>
Errno refuse(VerifierEnv& env, Errno error, const Parts&... parts) {
    env.log.print(parts..., '\n');
    return error;
}

// What the helper passes: R1 to R5 of the callback's frame. The caller's R3 is the context.
Result<void> set_element_args(VerifierEnv& env, const HelperCall& call, const FuncState& caller,
                              FuncState& callee) {
    callee.regs[BPF_REG_1] = caller.regs[BPF_REG_1];
    mark_reg_pointer(callee.regs[BPF_REG_2], RegType::MapKey);
    callee.regs[BPF_REG_2].map = call.map;
    RegState& value = callee.regs[BPF_REG_3];
    mark_reg_pointer(value, RegType::MapValue);
    value.map = call.map;
    if (call.map->spin_lock_offset >= 0) value.id = env.new_id();
    callee.regs[BPF_REG_4] = caller.regs[BPF_REG_3];
    return {};
}

void set_sample_args(VerifierEnv& env, const FuncState& caller, FuncState& callee) {
    mark_reg_dynptr(env, callee.regs[BPF_REG_1]);
    callee.dynptr_id = callee.regs[BPF_REG_1].id;
    callee.regs[BPF_REG_2] = caller.regs[BPF_REG_3];
}

void set_loop_args(const FuncState& caller, FuncState& callee) {
    mark_reg_unknown(callee.regs[BPF_REG_1]);
    callee.regs[BPF_REG_2] = caller.regs[BPF_REG_3];
}

// The state in which the callback begins: a copy of the running one, to be followed later.
Result<void> push_callback(VerifierEnv& env, const HelperCall& call, u32 subprog) {
    VerifierState* inside = TRY(push_branch(env, env.subprogs[subprog].start, env.insn, false));
    ++inside->callback_rounds;
    FuncState& caller = inside->frame();
    ++caller.callback_depth;
    VerifierState* running = env.state;
    env.state = inside;
    const auto pushed = push_frame(env, subprog, env.insn);
    env.state = running;
    if (!pushed.ok()) return pushed.error();
    FuncState& callee = *pushed.value();
    callee.in_callback = true;
    callee.check_return = true;
    callee.return_min = 0;
    callee.return_max = 1;
    callee.epoch_at_call = inside->epoch;
    if (call.id == BPF_FUNC_loop)
        set_loop_args(caller, callee);
    else if (call.id == BPF_FUNC_user_ringbuf_drain)
        set_sample_args(env, caller, callee);
    else
        TRY(set_element_args(env, call, caller, callee));
    ++inside->current;
    return {};
}

// bpf_loop() with a count that is known: no more rounds than that.
Result<bool> may_go_on(VerifierEnv& env, const HelperCall& call) {
    if (call.id != BPF_FUNC_loop) return true;
    if (!env.reg(BPF_REG_1).is_scalar()) return true;
    TRY(mark_precise(env, BPF_REG_1));
    return env.state->frame().callback_depth < env.reg(BPF_REG_1).scalar.umax;
}

}  // namespace

bool helper_calls_back(s32 id) {
    return id == BPF_FUNC_for_each_map_elem || id == BPF_FUNC_loop ||
           id == BPF_FUNC_user_ringbuf_drain;
}

u32 callback_context_reg(s32 id) {
    return id == BPF_FUNC_for_each_map_elem ? BPF_REG_4 : BPF_REG_2;
}

Result<void> check_callback(VerifierEnv& env, const HelperCall& call) {
    if (call.id == BPF_FUNC_for_each_map_elem) {
        if (env.here().maps_differ) return refuse(env, Errno::Inval, "tail_call abusing map_ptr");
        if (!call.map->ops->for_each)
            return refuse(env, Errno::NotSupp, "callback function not allowed for map");
    }
    const u32 subprog = u32(env.reg(BPF_REG_2).subprog);
    env.subprogs[subprog].is_callback = true;
    if (TRY(may_go_on(env, call))) TRY(push_callback(env, call, subprog));
    // The running path goes on behind the call.
    env.state->frame().callback_depth = 0;
    ++env.state->epoch;
    return {};
}

}  // namespace barebpf
