// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/unverified.h"

#include "kernel/bpf/decode.h"
#include "kernel/bpf/fixups.h"

namespace barebpf {
namespace {

using host::AllocContext;

// Nothing may go to the second half of a 64-bit immediate.
Result<void> check_targets(VerifierEnv& env) {
    for (u32 i = 0; i < env.insn_count; ++i) {
        const bpf_insn& insn = env.insns[i];
        if (is_goto(insn) || is_branch(insn)) env.aux[u32(jump_target(insn, i))].is_target = true;
    }
    for (u32 i = 0; i < env.subprog_count; ++i) env.aux[env.subprogs[i].start].is_target = true;
    for (u32 i = 0; i < env.insn_count; ++i) {
        if (!is_ld_imm64(env.insns[i])) continue;
        if (env.aux[++i].is_target) {
            env.log.print("jump into the middle of ldimm64 insn ", i - 1, '\n');
            return Errno::Inval;
        }
    }
    return {};
}

Result<void> prepare(VerifierEnv& env) {
    Prog* prog = env.prog;
    env.insns = prog->insns.data();
    env.insn_count = u32(prog->insns.size());
    env.bpf_capable = true;
    if (env.insn_count == 0) return Errno::Inval;
    if (!env.aux.allocate(env.insn_count, AllocContext::MaySleep, prog->memory))
        return Errno::NoMem;
    TRY(find_subprogs(env));
    TRY(resolve_ld_imm64(env));
    TRY(check_targets(env));
    for (InsnAux& aux : env.aux) aux.seen = true;
    TRY(check_max_stack_depth(env));
    return apply_unverified_fixups(env);
}

// The maps that the program names go to the program, or back.
Result<void> hand_over_maps(VerifierEnv& env, Result<void> prepared) {
    host::Buffer<Map*> maps;
    if (prepared.ok() && !maps.allocate(env.map_count, AllocContext::MaySleep, env.prog->memory))
        prepared = Result<void>(Errno::NoMem);
    for (u32 i = 0; i < env.map_count; ++i) {
        if (prepared.ok()) {
            maps[i] = env.maps[i];
        } else {
            env.input.put_map(env.maps[i]);
        }
    }
    env.prog->maps = move(maps);
    return prepared;
}

}  // namespace

Result<void> bpf_decode_only(Prog* prog, const VerifierInput& input) {
    void* memory = host::alloc(sizeof(VerifierEnv), AllocContext::MaySleep, prog->memory);
    if (!memory) return Errno::NoMem;
    VerifierEnv* env = construct_at<VerifierEnv>(memory, prog, input);
    Result<void> result = env->log.open(input.log, prog->memory);
    if (result.ok()) {
        result = hand_over_maps(*env, prepare(*env));
        const auto finished = env->log.finish();
        if (result.ok()) result = finished;
    }
    env->~VerifierEnv();
    host::free(memory, sizeof(VerifierEnv), prog->memory);
    return result;
}

}  // namespace barebpf
