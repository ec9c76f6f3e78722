// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helpers and maps: which go together, and what a call site remembers of its map for the fix-ups.
#include "kernel/bpf/check_call.h"
#include "kernel/bpf/map_in_map.h"

namespace barebpf {
namespace {

struct Pair {
    u8 map_type;
    u8 helper;
};
static_assert(__BPF_FUNC_MAX_ID <= 256);

// A map type that stands here is served by the helpers it stands with and by no other; a helper that
// stands here takes the types it stands with and no other. Types and helpers that do not are free.
// Source: bpf-helpers(7).
constexpr Pair kPairs[] = {
    {BPF_MAP_TYPE_PROG_ARRAY, BPF_FUNC_tail_call},
    {BPF_MAP_TYPE_PERF_EVENT_ARRAY, BPF_FUNC_perf_event_read},
    {BPF_MAP_TYPE_PERF_EVENT_ARRAY, BPF_FUNC_perf_event_output},
    {BPF_MAP_TYPE_PERF_EVENT_ARRAY, BPF_FUNC_perf_event_read_value},
    {BPF_MAP_TYPE_PERF_EVENT_ARRAY, BPF_FUNC_skb_output},
    {BPF_MAP_TYPE_PERF_EVENT_ARRAY, BPF_FUNC_xdp_output},
    {BPF_MAP_TYPE_RINGBUF, BPF_FUNC_ringbuf_output},
    {BPF_MAP_TYPE_RINGBUF, BPF_FUNC_ringbuf_reserve},
    {BPF_MAP_TYPE_RINGBUF, BPF_FUNC_ringbuf_query},
    {BPF_MAP_TYPE_RINGBUF, BPF_FUNC_ringbuf_reserve_dynptr},
    {BPF_MAP_TYPE_USER_RINGBUF, BPF_FUNC_user_ringbuf_drain},
    {BPF_MAP_TYPE_STACK_TRACE, BPF_FUNC_get_stackid},
    {BPF_MAP_TYPE_CGROUP_ARRAY, BPF_FUNC_skb_under_cgroup},
    {BPF_MAP_TYPE_CGROUP_ARRAY, BPF_FUNC_current_task_under_cgroup},
    {BPF_MAP_TYPE_CGROUP_STORAGE, BPF_FUNC_get_local_storage},
    {BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, BPF_FUNC_get_local_storage},
    {BPF_MAP_TYPE_DEVMAP, BPF_FUNC_redirect_map},
    {BPF_MAP_TYPE_DEVMAP_HASH, BPF_FUNC_redirect_map},
    {BPF_MAP_TYPE_CPUMAP, BPF_FUNC_redirect_map},
    {BPF_MAP_TYPE_XSKMAP, BPF_FUNC_redirect_map},
    {BPF_MAP_TYPE_SOCKMAP, BPF_FUNC_sk_redirect_map},
    {BPF_MAP_TYPE_SOCKMAP, BPF_FUNC_msg_redirect_map},
    {BPF_MAP_TYPE_SOCKMAP, BPF_FUNC_sock_map_update},
    {BPF_MAP_TYPE_SOCKMAP, BPF_FUNC_sk_select_reuseport},
    {BPF_MAP_TYPE_SOCKHASH, BPF_FUNC_sk_redirect_hash},
    {BPF_MAP_TYPE_SOCKHASH, BPF_FUNC_msg_redirect_hash},
    {BPF_MAP_TYPE_SOCKHASH, BPF_FUNC_sock_hash_update},
    {BPF_MAP_TYPE_SOCKHASH, BPF_FUNC_sk_select_reuseport},
    {BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, BPF_FUNC_sk_select_reuseport},
    {BPF_MAP_TYPE_QUEUE, BPF_FUNC_map_push_elem},
    {BPF_MAP_TYPE_QUEUE, BPF_FUNC_map_pop_elem},
    {BPF_MAP_TYPE_QUEUE, BPF_FUNC_map_peek_elem},
    {BPF_MAP_TYPE_STACK, BPF_FUNC_map_push_elem},
    {BPF_MAP_TYPE_STACK, BPF_FUNC_map_pop_elem},
    {BPF_MAP_TYPE_STACK, BPF_FUNC_map_peek_elem},
    {BPF_MAP_TYPE_BLOOM_FILTER, BPF_FUNC_map_push_elem},
    {BPF_MAP_TYPE_BLOOM_FILTER, BPF_FUNC_map_peek_elem},
    {BPF_MAP_TYPE_PERCPU_ARRAY, BPF_FUNC_map_lookup_percpu_elem},
    {BPF_MAP_TYPE_PERCPU_HASH, BPF_FUNC_map_lookup_percpu_elem},
    {BPF_MAP_TYPE_LRU_PERCPU_HASH, BPF_FUNC_map_lookup_percpu_elem},
    {BPF_MAP_TYPE_SK_STORAGE, BPF_FUNC_sk_storage_get},
    {BPF_MAP_TYPE_SK_STORAGE, BPF_FUNC_sk_storage_delete},
    {BPF_MAP_TYPE_INODE_STORAGE, BPF_FUNC_inode_storage_get},
    {BPF_MAP_TYPE_INODE_STORAGE, BPF_FUNC_inode_storage_delete},
    {BPF_MAP_TYPE_TASK_STORAGE, BPF_FUNC_task_storage_get},
    {BPF_MAP_TYPE_TASK_STORAGE, BPF_FUNC_task_storage_delete},
};

// Types of the table that programs may also use as plain maps, whole or in part.
bool also_allowed(u32 map_type, u32 helper) {
    switch (map_type) {
        case BPF_MAP_TYPE_PERCPU_ARRAY:
        case BPF_MAP_TYPE_PERCPU_HASH:
        case BPF_MAP_TYPE_LRU_PERCPU_HASH:
            return true;
        case BPF_MAP_TYPE_DEVMAP:
        case BPF_MAP_TYPE_DEVMAP_HASH:
        case BPF_MAP_TYPE_XSKMAP:
            return helper == BPF_FUNC_map_lookup_elem;
        default:
            return false;
    }
}

bool compatible(u32 map_type, u32 helper) {
    if (helper == BPF_FUNC_for_each_map_elem) return true;  // check_callback() asks the map
    if (is_map_of_maps(map_type)) return helper == BPF_FUNC_map_lookup_elem;
    bool type_bound = false, helper_bound = false;
    for (const Pair& pair : kPairs) {
        if (pair.map_type == map_type && pair.helper == helper) return true;
        type_bound |= pair.map_type == map_type;
        helper_bound |= pair.helper == helper;
    }
    if (helper_bound) return false;
    return !type_bound || also_allowed(map_type, helper);
}

// The operation behind the helper exists.
bool operation_exists(const Map* map, u32 helper) {
    const MapOps& ops = *map->ops;
    switch (helper) {
        case BPF_FUNC_map_lookup_elem:
            return ops.lookup;
        case BPF_FUNC_map_update_elem:
            return ops.update;
        case BPF_FUNC_map_delete_elem:
            return ops.erase;
        case BPF_FUNC_map_push_elem:
            return ops.push;
        case BPF_FUNC_map_pop_elem:
            return ops.pop;
        case BPF_FUNC_map_peek_elem:
            return ops.peek;
        case BPF_FUNC_map_lookup_percpu_elem:
            return ops.lookup_percpu;
        default:
            return true;
    }
}

bool changes_map(u32 helper) {
    return helper == BPF_FUNC_map_update_elem || helper == BPF_FUNC_map_delete_elem ||
           helper == BPF_FUNC_map_push_elem || helper == BPF_FUNC_map_pop_elem;
}

// One call instruction may meet several maps on several paths. The fix-ups specialise it for a map
// only when it is always the same.
Result<void> remember_map(VerifierEnv& env, const HelperCall& call) {
    InsnAux& aux = env.here();
    if (!aux.map) {
        aux.map = call.map;
        return {};
    }
    if (aux.map == call.map) return {};
    aux.maps_differ = true;
    const bool masks_index = !aux.map->bypass_spec_v1 || !call.map->bypass_spec_v1;
    if (call.id == BPF_FUNC_tail_call && masks_index) {
        env.log.print("tail_call abusing map_ptr\n");
        return Errno::Inval;
    }
    return {};
}

// A tail call's constant index, if all paths agree on it. The proof relies on its exact value then.
Result<void> remember_index(VerifierEnv& env, const HelperCall& call) {
    InsnAux& aux = env.here();
    const RegState& index = env.reg(BPF_REG_3);
    const bool known =
        index.is_scalar() && index.is_const() && index.scalar.value() < call.map->max_entries;
    if (!known || aux.key_varies) {
        aux.key_known = false;
        aux.key_varies = true;
        return {};
    }
    const u32 value = u32(index.scalar.value());
    TRY(mark_precise(env, BPF_REG_3));
    aux.key_varies = aux.key_known && aux.map_off != value;
    aux.key_known = !aux.key_varies;
    aux.map_off = value;
    return {};
}

}  // namespace

Result<void> check_helper_map(VerifierEnv& env, HelperCall& call) {
    const Map* map = call.map;
    if (!compatible(map->type, call.id) || !operation_exists(map, call.id)) {
        env.log.print("cannot pass map_type ", map->type, " into func ", HelperRef{call.id}, '\n');
        return Errno::Inval;
    }
    if ((map->flags & BPF_F_RDONLY_PROG) && changes_map(call.id)) {
        env.log.print("write into map forbidden\n");
        return Errno::Acces;
    }
    TRY(remember_map(env, call));
    if (call.id == BPF_FUNC_tail_call) return remember_index(env, call);
    return {};
}

}  // namespace barebpf
