// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The driver: the passes in their order, and the walk over a subprogram's paths.
//
//   find_subprogs ─ check_debug_info ─ resolve_ld_imm64 ─ check_cfg ─ compute_liveness
//        ─ do_check for each global function, then for the program ─ check_max_stack_depth
//        ─ apply_fixups
//
// do_check follows one path: each instruction changes env.state. At a jump that may go either way a
// copy is queued; where the path ends, or meets a known state, the newest copy is taken up.
#include "kernel/bpf/verifier.h"
#include "kernel/bpf/decode.h"

namespace barebpf {

namespace {

// What a step leads to.
struct Next {
    u32 insn;
    bool path_done;
};

Result<void> step_jump(VerifierEnv& env, const bpf_insn& insn, Next& next) {
    ++env.count.jumps_processed;
    if (is_goto(insn)) {
        next.insn = static_cast<u32>(jump_target(insn, env.insn));
        return {};
    }
    if (is_exit(insn)) {
        TRY(check_exit(env, &next.path_done, &next.insn));
        // The caller's next instruction is printed with all that is known there.
        env.print_whole_state |= !next.path_done;
        return {};
    }
    if (is_may_goto(insn)) return check_may_goto(env, insn, &next.insn);
    if (is_subprog_call(insn)) return check_subprog_call(env, insn, &next.insn);
    if (BPF_OP(insn.code) != BPF_CALL) return check_cond_jump(env, insn, &next.insn);
    return check_helper_call(env, insn);
}

Result<void> step_ld(VerifierEnv& env, const bpf_insn* insn, Next& next) {
    if (!is_ld_imm64(*insn)) return check_ld_abs(env, *insn);
    next.insn = env.insn + 2;
    // The second half is no instruction of its own, and never dead alone.
    env.aux[env.insn + 1].seen = true;
    return check_ld_imm64(env, insn);
}

Result<void> step(VerifierEnv& env, Next& next) {
    const bpf_insn* insn = env.insns + env.insn;
    switch (BPF_CLASS(insn->code)) {
        case BPF_LD:
            return step_ld(env, insn, next);
        case BPF_LDX:
            return check_load(env, *insn);
        case BPF_ST:
            return check_store(env, *insn);
        case BPF_STX:
            if (BPF_MODE(insn->code) == BPF_ATOMIC) return check_atomic(env, *insn);
            return check_store(env, *insn);
        case BPF_JMP:
        case BPF_JMP32:
            return step_jump(env, *insn, next);
        default:
            return check_alu(env, *insn);
    }
}

void log_before_step(VerifierEnv& env) {
    if (env.print_whole_state) {
        env.log.print("\nfrom ", env.came_from, " to ", env.insn, ':');
        print_state(env, *env.state, true);
        env.print_whole_state = false;
    }
    print_insn_state(env);
    print_line(env, env.insn);
    print_insn(env, env.insn);
}

void log_safe(VerifierEnv& env) {
    if (!env.log.enabled()) return;
    if (env.print_whole_state)
        env.log.print("\nfrom ", env.came_from, " to ", env.insn, ": safe\n");
    else
        env.log.print(env.insn, ": safe\n");
}

Result<void> enter_insn(VerifierEnv& env, bool* known) {
    *known = false;
    if (env.insn >= env.insn_count) {
        env.log.print("invalid insn idx ", env.insn, " insn_cnt ", env.insn_count, '\n');
        return Errno::Fault;
    }
    if (++env.count.insns_processed > kMaxVerifiedInsns) {
        env.log.print("BPF program is too large. Processed ", env.count.insns_processed, " insn\n");
        return Errno::TooBig;
    }
    env.state->last_insn = env.previous_insn;
    if (env.here().prune_point) {
        *known = TRY(is_state_visited(env));
        if (*known) return {};
    }
    if (env.state->history_count == 0 || env.insn != env.previous_insn + 1)
        TRY(push_history(env, 0, 0));
    return {};
}

// Goes on with the newest queued branch; false when all is done.
bool next_path(VerifierEnv& env) {
    finish_path(env, env.state);
    env.state = nullptr;
    if (!pop_branch(env)) return false;
    env.print_whole_state = true;
    env.came_from = env.previous_insn;
    return true;
}

Result<void> do_check(VerifierEnv& env) {
    for (;;) {
        bool known;
        TRY(enter_insn(env, &known));
        if (known) {
            log_safe(env);
            if (!next_path(env)) return {};
            continue;
        }
        if (env.log.enabled()) log_before_step(env);
        env.here().seen = true;
        Next next{env.insn + 1, false};
        TRY(step(env, next));
        if (next.path_done) {
            if (!next_path(env)) return {};
            continue;
        }
        env.came_from = env.insn;
        env.previous_insn = is_ld_imm64(env.insns[env.insn]) ? env.insn + 1 : env.insn;
        env.insn = next.insn;
    }
}

void set_host_args(VerifierEnv& env, FuncState& frame) {
    const u32 size = env.prog->host_memory_size;
    if (size) {
        mark_reg_pointer(frame.regs[1], RegType::Mem);
        frame.regs[1].mem_size = size;
    } else {
        mark_reg_known(frame.regs[1], 0);
    }
    mark_reg_known(frame.regs[2], size);
}

Result<void> set_first_args(VerifierEnv& env, u32 subprog, FuncState& frame) {
    if (subprog) return set_global_args(env, subprog, frame);
    if (env.prog->type == kProgTypeHost)
        set_host_args(env, frame);
    else
        mark_reg_pointer(frame.regs[1], RegType::Ctx);
    return {};
}

// All paths of the program (0) or of a global function.
Result<void> check_whole(VerifierEnv& env, u32 subprog) {
    VerifierState* state = new_state(env);
    if (!state) return Errno::NoMem;
    env.state = state;
    env.checking_main = subprog == 0;
    env.insn = env.previous_insn = env.came_from = env.subprogs[subprog].start;
    env.last_line = -1;
    state->first_insn = state->last_insn = env.insn;
    state->frame().subprog = static_cast<u16>(subprog);
    TRY(set_first_args(env, subprog, state->frame()));
    env.changed_regs = 1u << kFrameReg;
    for (u32 r = 1; r <= 5; ++r)
        if (state->frame().regs[r].type != RegType::NotInit) env.changed_regs |= 1u << r;
    TRY(do_check(env));
    free_known_states(env);
    env.count.live_states = 0;
    return {};
}

Result<void> check_global_functions(VerifierEnv& env) {
    for (u32 i = 1; i < env.subprog_count; ++i) {
        if (!env.subprogs[i].is_global) continue;
        const u64 mark = env.log.mark();
        if (env.log.enabled())
            env.log.print("Validating ", subprog_name(env, i), "() func#", i, "...\n");
        TRY(check_whole(env, i));
        if (!env.log.every_path()) env.log.rewind(mark);
        if (env.log.enabled())
            env.log.print("Func#", i, " is safe for any args that match its prototype\n");
    }
    return {};
}

Result<void> check_program(VerifierEnv& env) {
    const u64 mark = env.log.mark();
    TRY(check_whole(env, 0));
    if (!env.log.every_path()) env.log.rewind(mark);
    return {};
}

Result<void> prepare(VerifierEnv& env) {
    constexpr auto kMaySleep = host::AllocContext::MaySleep;
    Prog* prog = env.prog;
    env.insns = prog->insns.data();
    env.insn_count = static_cast<u32>(prog->insns.size());
    env.ops = prog->type == kProgTypeHost ? nullptr : env.input.ops;
    env.bpf_capable = env.input.bpf_capable;
    env.allow_ptr_leaks = env.input.perfmon_capable;
    env.strict_alignment = prog->flags & BPF_F_STRICT_ALIGNMENT;
    env.every_checkpoint = prog->flags & BPF_F_TEST_STATE_FREQ;
    if (!env.insn_count || (!env.ops && prog->type != kProgTypeHost)) return Errno::Inval;
    if (!env.aux.allocate(env.insn_count, kMaySleep, prog->memory) ||
        !env.known.allocate(env.insn_count, kMaySleep, prog->memory))
        return Errno::NoMem;
    TRY(make_prune_scratch(env));
    return make_backtrack_scratch(env);
}

Result<void> run_passes(VerifierEnv& env) {
    TRY(prepare(env));
    TRY(find_subprogs(env));
    TRY(check_debug_info(env));
    TRY(resolve_ld_imm64(env));
    TRY(check_cfg(env));
    spread_packet_changes(env);
    compute_liveness(env);
    TRY(check_global_functions(env));
    TRY(check_program(env));
    return check_max_stack_depth(env);
}

void print_figures(VerifierEnv& env, u64 started) {
    if (env.log.stats()) {
        env.log.print("verification time ", (host::Clock::monotonic_ns() - started) / 1000,
                      " usec\nstack depth ");
        for (u32 i = 0; i < env.subprog_count; ++i)
            env.log.print(i ? "+" : "", env.subprogs[i].stack_depth + 0);
        env.log.print('\n');
    }
    env.log.print("processed ", env.count.insns_processed, " insns (limit ", kMaxVerifiedInsns,
                  ") max_states_per_insn ", env.count.max_states_per_insn, " total_states ",
                  env.count.total_states, " peak_states ", env.count.peak_states, " mark_read ",
                  env.count.mark_reads, '\n');
}

// The maps that the program names go to the program, or back.
Result<void> hand_over_maps(VerifierEnv& env, bool accepted) {
    auto& maps = env.prog->maps;
    const bool kept =
        accepted && maps.allocate(env.map_count, host::AllocContext::MaySleep, env.prog->memory);
    for (u32 i = 0; i < env.map_count; ++i) {
        if (kept)
            maps[i] = env.maps[i];
        else
            env.input.put_map(env.maps[i]);
    }
    if (accepted && !kept) return Errno::NoMem;
    return {};
}

Result<void> verify(VerifierEnv& env) {
    Result<void> result = run_passes(env);
    if (result.ok()) result = apply_fixups(env);
    const auto kept = hand_over_maps(env, result.ok());
    return result.ok() ? kept : result;
}

}  // namespace

Result<void> check_ld_imm64(VerifierEnv& env, const bpf_insn* insn) {
    TRY(check_reg(env, insn->dst_reg, RegUse::WriteNoMark));
    RegState& dst = env.reg(insn->dst_reg);
    const InsnAux& aux = env.here();
    switch (insn->src_reg) {
        case 0:
            mark_reg_known(
                dst, u64{static_cast<u32>(insn[1].imm)} << 32 | static_cast<u32>(insn[0].imm));
            return {};
        case BPF_PSEUDO_FUNC:
            // Host programs have no BTF to say what is static.
            if (env.ops && env.prog->debug.func_info.size() == 0) {
                env.log.print("missing btf func_info\n");
                return Errno::Inval;
            }
            if (env.subprogs[aux.subprog].is_global) {
                env.log.print("callback function not static\n");
                return Errno::Inval;
            }
            mark_reg_pointer(dst, RegType::Func);
            dst.subprog = aux.subprog;
            return {};
        case BPF_PSEUDO_MAP_VALUE:
        case BPF_PSEUDO_MAP_IDX_VALUE:
            mark_reg_pointer(dst, RegType::MapValue);
            dst.map = aux.map;
            dst.off = static_cast<s32>(aux.map_off);
            if (aux.map->spin_lock_offset >= 0) dst.id = env.new_id();
            return {};
        default:
            mark_reg_pointer(dst, RegType::MapPtr);
            dst.map = aux.map;
            return {};
    }
}

Result<void> bpf_check(Prog* prog, const VerifierInput& input) {
    void* memory = host::alloc(sizeof(VerifierEnv), host::AllocContext::MaySleep, prog->memory);
    if (!memory) return Errno::NoMem;
    VerifierEnv* env = construct_at<VerifierEnv>(memory, prog, input);
    Result<void> result = env->log.open(input.log, prog->memory);
    if (result.ok()) {
        const u64 started = host::Clock::monotonic_ns();
        result = verify(*env);
        prog->verified_insns = env->count.insns_processed;
        print_figures(*env, started);
        const auto closed = env->log.finish();
        if (!closed.ok()) result = closed;
    }
    env->~VerifierEnv();
    host::free(memory, sizeof(VerifierEnv), prog->memory);
    return result;
}

}  // namespace barebpf
