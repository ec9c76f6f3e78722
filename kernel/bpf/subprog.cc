// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Subprograms: where they begin, that jumps stay inside them, and how deep calls go.
#include "kernel/bpf/decode.h"
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

// Keeps the table sorted; a start that is there already is fine.
Result<void> add_subprog(VerifierEnv& env, s64 start) {
    if (start < 0 || start >= env.insn_count) {
        env.log.print("call to invalid destination\n");
        return Errno::Inval;
    }
    const u32 at = static_cast<u32>(start);
    u32 low = 0, high = env.subprog_count;
    while (low < high) {
        const u32 middle = (low + high) / 2;
        if (env.subprogs[middle].start < at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < env.subprog_count && env.subprogs[low].start == at) return {};
    if (env.subprog_count >= kMaxSubprogs) {
        env.log.print("too many subprograms\n");
        return Errno::TooBig;
    }
    for (u32 i = env.subprog_count; i > low; --i) env.subprogs[i] = env.subprogs[i - 1];
    env.subprogs[low] = {};
    env.subprogs[low].start = at;
    ++env.subprog_count;
    return {};
}

Result<void> collect_starts(VerifierEnv& env) {
    TRY(add_subprog(env, 0));
    for (u32 i = 0; i < env.insn_count; ++i) {
        const bpf_insn& insn = env.insns[i];
        const bool kfunc =
            insn.code == (BPF_JMP | BPF_CALL) && insn.src_reg == BPF_PSEUDO_KFUNC_CALL;
        if (!is_subprog_call(insn) && !is_subprog_address(insn) && !kfunc) continue;
        if (!env.bpf_capable) {
            env.log.print(
                "loading/calling other bpf or kernel functions are allowed for CAP_BPF and "
                "CAP_SYS_ADMIN\n");
            return Errno::Perm;
        }
        if (kfunc) {
            env.log.print(
                "calling kernel function is not supported without CONFIG_DEBUG_INFO_BTF\n");
            return Errno::NotSupp;
        }
        TRY(add_subprog(env, s64{i} + insn.imm + 1));
    }
    for (u32 i = 0; i < env.subprog_count; ++i) {
        env.subprogs[i].end =
            i + 1 < env.subprog_count ? env.subprogs[i + 1].start : env.insn_count;
        if (env.log.every_path()) env.log.print("func#", i, " @", env.subprogs[i].start, '\n');
    }
    return {};
}

Result<void> check_jumps(VerifierEnv& env, SubprogState& subprog) {
    for (u32 i = subprog.start; i < subprog.end; ++i) {
        const bpf_insn& insn = env.insns[i];
        if (BPF_CLASS(insn.code) == BPF_LD &&
            (BPF_MODE(insn.code) == BPF_ABS || BPF_MODE(insn.code) == BPF_IND))
            subprog.has_ld_abs = true;
        if (is_helper_call(insn) && insn.imm == BPF_FUNC_tail_call) subprog.has_tail_call = true;
        if (!is_jump_class(insn) || BPF_OP(insn.code) == BPF_CALL || BPF_OP(insn.code) == BPF_EXIT)
            continue;
        const s64 target = jump_target(insn, i);
        if (target < subprog.start || target >= subprog.end) {
            env.log.print("jump out of range from insn ", i, " to ", target, '\n');
            return Errno::Inval;
        }
    }
    const bpf_insn& last = env.insns[subprog.end - 1];
    if (!is_exit(last) && !is_goto(last)) {
        env.log.print("last insn is not an exit or jmp\n");
        return Errno::Inval;
    }
    return {};
}

// Who calls whom, and the deepest way to each subprogram: found by relaxing all edges once per
// level of calls, so that even a graph with exponentially many paths costs little.
struct CallGraph {
    u64 edges[kMaxSubprogs][kMaxSubprogs / 64];
    u32 bytes_before[kMaxSubprogs];  // stack of the callers, on the deepest way
    u8 frames_before[kMaxSubprogs];  // calls on that way
    u8 level[kMaxSubprogs];          // most calls on any way
    bool reached[kMaxSubprogs];

    bool calls(u32 from, u32 to) const { return edges[from][to / 64] >> (to % 64) & 1; }
};

u32 frame_bytes(const SubprogState& subprog) {
    const u32 depth = subprog.stack_depth ? subprog.stack_depth : 1;
    return (depth + 31) / 32 * 32;
}

void collect_edges(const VerifierEnv& env, CallGraph& graph) {
    for (u32 from = 0; from < env.subprog_count; ++from) {
        const SubprogState& subprog = env.subprogs[from];
        for (u32 i = subprog.start; i < subprog.end; ++i) {
            const bpf_insn& insn = env.insns[i];
            if (!env.aux[i].seen) continue;
            if (!is_subprog_call(insn) && !is_subprog_address(insn)) continue;
            const u32 to = env.aux[i].subprog;
            graph.edges[from][to / 64] |= u64{1} << (to % 64);
        }
    }
}

// False: nothing changed.
bool relax(const VerifierEnv& env, CallGraph& graph, u32 from, u32 to) {
    const u32 bytes = graph.bytes_before[from] + frame_bytes(env.subprogs[from]);
    const u8 level = static_cast<u8>(graph.level[from] + 1);
    bool changed = !graph.reached[to];
    graph.reached[to] = true;
    if (bytes > graph.bytes_before[to]) {
        graph.bytes_before[to] = bytes;
        graph.frames_before[to] = static_cast<u8>(graph.frames_before[from] + 1);
        changed = true;
    }
    if (level > graph.level[to]) {
        graph.level[to] = level;
        changed = true;
    }
    return changed;
}

Result<void> find_deepest(VerifierEnv& env, CallGraph& graph) {
    graph.reached[0] = true;
    for (u32 round = 0; round <= kMaxCallFrames; ++round) {
        bool changed = false;
        for (u32 from = 0; from < env.subprog_count; ++from)
            for (u32 to = 0; graph.reached[from] && to < env.subprog_count; ++to)
                if (graph.calls(from, to)) changed |= relax(env, graph, from, to);
        if (!changed) return {};
    }
    env.log.print("the call stack of ", kMaxCallFrames, " frames is too deep !\n");
    return Errno::TooBig;
}

Result<void> check_depths(VerifierEnv& env, const CallGraph& graph) {
    for (u32 i = 0; i < env.subprog_count; ++i) {
        if (!graph.reached[i]) continue;
        const u32 before = graph.bytes_before[i];
        if (i && env.subprogs[i].has_tail_call && before >= 256) {
            env.log.print("tail_calls are not allowed when call depth is ", before,
                          " bytes. Too large\n");
            return Errno::Acces;
        }
        const u32 depth = before + frame_bytes(env.subprogs[i]);
        if (depth > kMaxStack) {
            env.log.print("combined stack size of ", graph.frames_before[i] + 1, " calls is ",
                          depth, ". Too large\n");
            return Errno::Acces;
        }
        if (graph.level[i] >= kMaxCallFrames) {
            env.log.print("the call stack of ", kMaxCallFrames, " frames is too deep !\n");
            return Errno::TooBig;
        }
    }
    return {};
}

void spread_tail_calls(VerifierEnv& env, const CallGraph& graph) {
    for (u32 i = 0; i < env.subprog_count; ++i)
        env.subprogs[i].tail_call_reachable = env.subprogs[i].has_tail_call;
    for (bool changed = true; changed;) {
        changed = false;
        for (u32 from = 0; from < env.subprog_count; ++from)
            for (u32 to = 0; to < env.subprog_count; ++to)
                if (graph.calls(from, to) && env.subprogs[to].tail_call_reachable &&
                    !env.subprogs[from].tail_call_reachable)
                    changed = env.subprogs[from].tail_call_reachable = true;
    }
}

bool changes_packet(const VerifierEnv& env, const bpf_insn& insn) {
    if (!is_helper_call(insn)) return false;
    if (insn.imm == BPF_FUNC_tail_call) return true;  // the other program may do anything
    const HelperProto* proto =
        env.ops ? env.ops->helper_proto(static_cast<u32>(insn.imm), env.prog) : nullptr;
    return proto && proto->changes_packet_data;
}

}  // namespace

void spread_packet_changes(VerifierEnv& env) {
    for (bool changed = true; changed;) {
        changed = false;
        for (u32 n = 0; n < env.subprog_count; ++n) {
            SubprogState& subprog = env.subprogs[n];
            for (u32 i = subprog.start; i < subprog.end && !subprog.changes_packet_data; ++i) {
                const bpf_insn& insn = env.insns[i];
                const bool callee = (is_subprog_call(insn) || is_subprog_address(insn)) &&
                                    env.subprogs[env.aux[i].subprog].changes_packet_data;
                if (callee || changes_packet(env, insn))
                    changed = subprog.changes_packet_data = true;
            }
        }
    }
}

s32 find_subprog_at(const VerifierEnv& env, u32 insn) {
    const u32 index = subprog_containing(env, insn);
    return env.subprogs[index].start == insn ? static_cast<s32>(index) : -1;
}

u32 subprog_containing(const VerifierEnv& env, u32 insn) {
    u32 low = 0, high = env.subprog_count;
    while (high - low > 1) {
        const u32 middle = (low + high) / 2;
        if (env.subprogs[middle].start <= insn)
            low = middle;
        else
            high = middle;
    }
    return low;
}

Result<void> find_subprogs(VerifierEnv& env) {
    if (!env.subprogs.allocate(kMaxSubprogs + 1, host::AllocContext::MaySleep, env.prog->memory))
        return Errno::NoMem;
    TRY(collect_starts(env));
    for (u32 i = 0; i < env.subprog_count; ++i) TRY(check_jumps(env, env.subprogs[i]));
    return {};
}

Result<void> check_max_stack_depth(VerifierEnv& env) {
    host::Buffer<CallGraph> graph;
    if (!graph.allocate(1, host::AllocContext::MaySleep, env.prog->memory)) return Errno::NoMem;
    collect_edges(env, graph[0]);
    TRY(find_deepest(env, graph[0]));
    TRY(check_depths(env, graph[0]));
    spread_tail_calls(env, graph[0]);
    return {};
}

}  // namespace barebpf
