// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// bpf_spin_lock() and bpf_spin_unlock(): one lock at a time, given back by whoever took it, through
// a pointer to the same value, and nothing that could wait or leave in between.
//
// Which value it is, the pointer's id says: every lookup and every direct address of a map with
// locks has one of its own. Elsewhere: loads and stores of the lock's bytes (check_mem.cc), calls,
// exits and BPF_LD_ABS under a lock, states compared (prune.cc), program types (resolve.cc).
#include "kernel/bpf/check_call.h"

namespace barebpf {
namespace {

template <class... Parts>
Errno refuse(VerifierEnv& env, const Parts&... parts) {
    env.log.print(parts..., '\n');
    return Errno::Inval;
}

// The pointer is to the lock of its value, exactly.
Result<void> check_lock_pointer(VerifierEnv& env, u32 regno) {
    const RegState& reg = env.reg(regno);
    const Map* map = reg.map;
    if (!reg.is_const())
        return refuse(
            env, 'R', regno,
            " doesn't have constant offset. bpf_spin_lock has to be at the constant offset");
    const char* name = map->name;
    if (!map->btf)
        return refuse(env, "map '", name, "' has to have BTF in order to use bpf_spin_lock");
    if (map->spin_lock_offset < 0)
        return refuse(env, "map '", name, "' doesn't have 'struct bpf_spin_lock'");
    const s64 off = s64(reg.scalar.value()) + reg.off;
    if (off != map->spin_lock_offset)
        return refuse(env, "off ", off, " doesn't point to 'struct bpf_spin_lock' that is at ",
                      map->spin_lock_offset);
    return {};
}

}  // namespace

Result<void> check_spin_lock(VerifierEnv& env, u32 regno) {
    TRY(check_lock_pointer(env, regno));
    VerifierState& state = *env.state;
    if (state.locked_id) return refuse(env, "Locking two bpf_spin_locks are not allowed");
    const RegState& reg = env.reg(regno);
    if (!reg.id) return refuse(env, "kernel subsystem misconfigured verifier");
    state.locked_id = reg.id;
    state.locked_map = reg.map;
    return {};
}

Result<void> check_spin_unlock(VerifierEnv& env, u32 regno) {
    TRY(check_lock_pointer(env, regno));
    VerifierState& state = *env.state;
    if (!state.locked_id) return refuse(env, "bpf_spin_unlock without taking a lock");
    const RegState& reg = env.reg(regno);
    if (state.locked_id != reg.id || state.locked_map != reg.map)
        return refuse(env, "bpf_spin_unlock of different lock");
    state.locked_id = 0;
    state.locked_map = nullptr;
    return {};
}

}  // namespace barebpf
