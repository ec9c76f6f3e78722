// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What 64-bit loads name: maps by descriptor, bytes of a map's value, subprograms. The instructions
// keep what the loader wrote; what it means goes to InsnAux, and the fix-ups write addresses.
#include "kernel/bpf/decode.h"
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

Result<int> map_descriptor(VerifierEnv& env, const bpf_insn& insn) {
    const bool indexed =
        insn.src_reg == BPF_PSEUDO_MAP_IDX || insn.src_reg == BPF_PSEUDO_MAP_IDX_VALUE;
    if (!indexed) return insn.imm;
    if (!env.input.fd_array) {
        env.log.print("fd_idx without fd_array is invalid\n");
        return Errno::Proto;
    }
    s32 fd = 0;
    const u64 offset = u64{static_cast<u32>(insn.imm)} * sizeof(fd);
    TRY(host::get_user(&fd, env.input.fd_array + offset));
    return fd;
}

// The program keeps one reference per map, however often it names it.
Result<void> keep_map(VerifierEnv& env, Map* map) {
    for (u32 i = 0; i < env.map_count; ++i) {
        if (env.maps[i] != map) continue;
        env.input.put_map(map);
        return {};
    }
    if (env.map_count >= kMaxUsedMaps) {
        env.input.put_map(map);
        return Errno::TooBig;
    }
    env.maps[env.map_count++] = map;
    return {};
}

Result<void> resolve_map_value(VerifierEnv& env, const bpf_insn* insn, InsnAux& aux) {
    const u32 off = static_cast<u32>(insn[1].imm);
    if (off >= static_cast<u32>(kMaxVarOff)) {
        env.log.print("direct value offset of ", off, " is not allowed\n");
        return Errno::Inval;
    }
    if (!aux.map->ops->direct_value) {
        env.log.print("no direct value access support for this map type\n");
        return Errno::Inval;
    }
    const auto address = aux.map->ops->direct_value(aux.map, off);
    if (!address.ok()) {
        env.log.print("invalid access to map value pointer, value_size=", aux.map->value_size,
                      " off=", off, '\n');
        return address.error();
    }
    aux.map_off = off;
    return {};
}

bool is_tracing(u32 prog_type) {
    switch (prog_type) {
        case BPF_PROG_TYPE_KPROBE:
        case BPF_PROG_TYPE_TRACEPOINT:
        case BPF_PROG_TYPE_PERF_EVENT:
        case BPF_PROG_TYPE_RAW_TRACEPOINT:
        case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
            return true;
        default:
            return false;
    }
}

// A program that may interrupt a lock's holder must not wait for it; socket filters belong to
// anybody.
Result<void> check_program_type(VerifierEnv& env, const Map* map) {
    if (map->spin_lock_offset < 0) return {};
    const u32 type = env.prog->type;
    if (type != BPF_PROG_TYPE_SOCKET_FILTER && !is_tracing(type)) return {};
    env.log.print(is_tracing(type) ? "tracing" : "socket filter",
                  " progs cannot use bpf_spin_lock yet\n");
    return Errno::Inval;
}

Result<void> resolve_map(VerifierEnv& env, const bpf_insn* insn, InsnAux& aux) {
    const int fd = TRY(map_descriptor(env, *insn));
    const auto found = env.input.map_by_fd ? env.input.map_by_fd(fd) : Result<MapRef>(Errno::BadF);
    if (!found.ok()) {
        env.log.print("fd ", fd, " is not pointing to valid bpf_map\n");
        return found.error();
    }
    aux.map = found.value().map;
    TRY(keep_map(env, aux.map));
    TRY(check_program_type(env, aux.map));
    if (insn->src_reg == BPF_PSEUDO_MAP_VALUE || insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE)
        return resolve_map_value(env, insn, aux);
    return {};
}

Result<void> resolve_one(VerifierEnv& env, u32 at) {
    const bpf_insn* insn = env.insns + at;
    InsnAux& aux = env.aux[at];
    switch (insn->src_reg) {
        case 0:
            return {};
        case BPF_PSEUDO_BTF_ID:
            env.log.print(
                "kernel is missing BTF, make sure CONFIG_DEBUG_INFO_BTF=y is specified in "
                "Kconfig.\n");
            return Errno::Inval;
        case BPF_PSEUDO_FUNC:
            aux.subprog =
                static_cast<u32>(find_subprog_at(env, static_cast<u32>(s64{at} + insn->imm + 1)));
            if (insn[1].imm) {
                env.log.print("unrecognized bpf_ld_imm64 insn\n");
                return Errno::Inval;
            }
            return {};
        default:
            return resolve_map(env, insn, aux);
    }
}

}  // namespace

Result<void> resolve_ld_imm64(VerifierEnv& env) {
    if (!env.maps.allocate(kMaxUsedMaps, host::AllocContext::MaySleep, env.prog->memory))
        return Errno::NoMem;
    char text[96];
    TextBuffer why(text);
    for (u32 at = 0, slots = 1; at < env.insn_count; at += slots) {
        const auto valid = decode_insn(env.insns + at, env.insn_count - at, &slots, why);
        if (!valid.ok()) {
            env.log.print(static_cast<const char*>(text));
            return valid.error();
        }
        if (slots == 2) TRY(resolve_one(env, at));
        if (is_subprog_call(env.insns[at]))
            env.aux[at].subprog = static_cast<u32>(
                find_subprog_at(env, static_cast<u32>(s64{at} + env.insns[at].imm + 1)));
    }
    return {};
}

}  // namespace barebpf
