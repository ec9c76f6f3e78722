// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The control-flow graph: every instruction is reachable, calls do not recurse, loops only for who
// may have them; and where pruning will look for known states.
//
// Depth-first, without recursion: stack[] holds the path, color[] what was done with an instruction.
//
//     new (0) -> on the path (kOpen | edges already followed) -> done (kDone)
//
// An edge to an instruction on the path closes a cycle. The order in which instructions become done
// is a post-order of the graph, callees before callers: liveness runs along it.
#include "kernel/bpf/decode.h"
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

constexpr u8 kOpen = 0x10;
constexpr u8 kDone = 0x20;

// The n-th edge of insn, or -1 when there are no more.
struct Edge {
    s64 to = -1;
    bool call = false;
};

Edge edge_of(const VerifierEnv& env, u32 at, u32 n) {
    const bpf_insn& insn = env.insns[at];
    const s64 next = s64{at} + (is_ld_imm64(insn) ? 2 : 1);
    if (is_exit(insn)) return {};
    if (is_goto(insn)) return n == 0 ? Edge{jump_target(insn, at)} : Edge{};
    if (n == 0) return {next};
    if (n > 1) return {};
    if (is_branch(insn)) return {jump_target(insn, at)};
    if (is_subprog_call(insn) || is_subprog_address(insn))
        return {s64{at} + insn.imm + 1, is_subprog_call(insn)};
    return {};
}

void mark_target(VerifierEnv& env, u32 at) {
    env.aux[at].is_target = true;
    env.aux[at].prune_point = true;
}

// What an instruction means for pruning: look at joins, at loop heads, and behind calls.
void mark_points(VerifierEnv& env, u32 at) {
    const bpf_insn& insn = env.insns[at];
    if (is_goto(insn) || is_branch(insn)) mark_target(env, static_cast<u32>(jump_target(insn, at)));
    if (is_subprog_call(insn)) mark_target(env, at + 1);
    if (is_helper_call(insn) && helper_calls_back(insn.imm)) {
        env.aux[at].prune_point = true;
        env.aux[at].calls_back = true;
        env.aux[at].force_checkpoint = true;
    }
    if (is_may_goto(insn)) {
        env.aux[at].prune_point = true;
        env.aux[at].loop_bound = true;
        env.aux[at].force_checkpoint = true;
    }
}

Result<void> check_edge(VerifierEnv& env, u32 from, const Edge& edge) {
    if (edge.to < 0 || edge.to >= env.insn_count) {
        env.log.print("jump out of range from insn ", from, " to ", edge.to, '\n');
        return Errno::Inval;
    }
    const u32 to = static_cast<u32>(edge.to);
    if (env.insns[to].code == 0) {
        env.log.print("jump into the middle of ldimm64 insn ", to, '\n');
        return Errno::Inval;
    }
    const bool cycle = env.color[to] & kOpen;
    if (cycle && (edge.call || !env.bpf_capable)) {
        env.log.print("back-edge from insn ", from, " to ", to, '\n');
        return Errno::Inval;
    }
    return {};
}

Result<void> walk(VerifierEnv& env, u32 root, u32* done_count) {
    u32 depth = 0;
    env.stack[depth++] = root;
    env.color[root] = kOpen;
    while (depth) {
        const u32 at = env.stack[depth - 1];
        const u32 n = env.color[at] & 0xf;
        const Edge edge = edge_of(env, at, n);
        if (edge.to < 0) {
            mark_points(env, at);
            env.color[at] = kDone;
            env.order[(*done_count)++] = at;
            --depth;
            continue;
        }
        env.color[at] = static_cast<u8>(kOpen | (n + 1));
        TRY(check_edge(env, at, edge));
        const u32 to = static_cast<u32>(edge.to);
        if (env.color[to] != 0) continue;
        env.color[to] = kOpen;
        env.stack[depth++] = to;
    }
    return {};
}

}  // namespace

Result<void> check_cfg(VerifierEnv& env) {
    host::MemoryOwner& owner = env.prog->memory;
    constexpr auto kMaySleep = host::AllocContext::MaySleep;
    if (!env.stack.allocate(env.insn_count, kMaySleep, owner) ||
        !env.order.allocate(env.insn_count, kMaySleep, owner) ||
        !env.color.allocate(env.insn_count, kMaySleep, owner))
        return Errno::NoMem;
    TRY(walk(env, 0, &env.order_count));
    for (u32 i = 0; i < env.insn_count; ++i) {
        if (env.color[i] != kDone) {
            env.log.print("unreachable insn ", i, '\n');
            return Errno::Inval;
        }
        if (is_ld_imm64(env.insns[i])) ++i;
    }
    env.stack.reset();
    env.color.reset();
    return {};
}

}  // namespace barebpf
