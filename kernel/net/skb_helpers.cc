// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which helpers the program types on SkBuffs offer beyond the base set.
#include "kernel/net/skb_helpers.h"

#include "kernel/net/event_output.h"

namespace barebpf {
namespace {

using A = ArgType;

// To read the packet and to tell where it comes from: every type.
constexpr NetHelper kCommon[] = {
    {BPF_FUNC_skb_load_bytes,
     helper_row("skb_load_bytes", bpf_skb_load_bytes, A::Ctx, A::Anything, A::UninitMem, A::Size)},
    {BPF_FUNC_skb_load_bytes_relative,
     helper_row("skb_load_bytes_relative", bpf_skb_load_bytes_relative, A::Ctx, A::Anything,
                A::UninitMem, A::Size, A::Anything)},
    {BPF_FUNC_perf_event_output, event_output_proto(bpf_skb_event_output)},
    {BPF_FUNC_get_socket_cookie, helper_row("get_socket_cookie", bpf_get_socket_cookie, A::Ctx)},
    {BPF_FUNC_get_socket_uid, helper_row("get_socket_uid", bpf_get_socket_uid, A::Ctx)},
};

// To change it: traffic control.
constexpr NetHelper kSched[] = {
    {BPF_FUNC_skb_store_bytes,
     moves_packet(helper_row("skb_store_bytes", bpf_skb_store_bytes, A::Ctx, A::Anything, A::Mem,
                             A::Size, A::Anything))},
    {BPF_FUNC_skb_pull_data,
     moves_packet(helper_row("skb_pull_data", bpf_skb_pull_data, A::Ctx, A::Anything))},
    {BPF_FUNC_csum_diff, kCsumDiffProto},
    {BPF_FUNC_csum_update, helper_row("csum_update", bpf_csum_update, A::Ctx, A::Anything)},
    {BPF_FUNC_csum_level, helper_row("csum_level", bpf_csum_level, A::Ctx, A::Anything)},
    {BPF_FUNC_l3_csum_replace,
     moves_packet(helper_row("l3_csum_replace", bpf_l3_csum_replace, A::Ctx, A::Anything,
                             A::Anything, A::Anything, A::Anything))},
    {BPF_FUNC_l4_csum_replace,
     moves_packet(helper_row("l4_csum_replace", bpf_l4_csum_replace, A::Ctx, A::Anything,
                             A::Anything, A::Anything, A::Anything))},
    {BPF_FUNC_skb_vlan_push, moves_packet(helper_row("skb_vlan_push", bpf_skb_vlan_push, A::Ctx,
                                                     A::Anything, A::Anything))},
    {BPF_FUNC_skb_vlan_pop, moves_packet(helper_row("skb_vlan_pop", bpf_skb_vlan_pop, A::Ctx))},
    {BPF_FUNC_skb_change_tail, moves_packet(helper_row("skb_change_tail", bpf_skb_change_tail,
                                                       A::Ctx, A::Anything, A::Anything))},
    {BPF_FUNC_skb_change_head, moves_packet(helper_row("skb_change_head", bpf_skb_change_head,
                                                       A::Ctx, A::Anything, A::Anything))},
    {BPF_FUNC_skb_adjust_room,
     moves_packet(helper_row("skb_adjust_room", bpf_skb_adjust_room, A::Ctx, A::Anything,
                             A::Anything, A::Anything))},
    {BPF_FUNC_skb_change_type,
     helper_row("skb_change_type", bpf_skb_change_type, A::Ctx, A::Anything)},
    {BPF_FUNC_get_hash_recalc, helper_row("get_hash_recalc", bpf_get_hash_recalc, A::Ctx)},
    {BPF_FUNC_set_hash_invalid, helper_row("set_hash_invalid", bpf_set_hash_invalid, A::Ctx)},
    {BPF_FUNC_set_hash, helper_row("set_hash", bpf_set_hash, A::Ctx, A::Anything)},
    {BPF_FUNC_skb_ecn_set_ce, helper_row("skb_ecn_set_ce", bpf_skb_ecn_set_ce, A::Ctx)},
    {BPF_FUNC_skb_set_tstamp,
     helper_row("skb_set_tstamp", bpf_skb_set_tstamp, A::Ctx, A::Anything, A::Anything)},
    {BPF_FUNC_redirect, helper_row("redirect", bpf_skb_redirect, A::Anything, A::Anything)},
    {BPF_FUNC_get_cgroup_classid, helper_row("get_cgroup_classid", bpf_get_cgroup_classid, A::Ctx)},
    {BPF_FUNC_get_route_realm, helper_row("get_route_realm", bpf_get_route_realm, A::Ctx)},
};

}  // namespace

const HelperProto* socket_filter_helper(u32 func_id) {
    return find_net_helper(kCommon, func_id);
}

const HelperProto* sched_helper(u32 func_id) {
    const HelperProto* proto = find_net_helper(kSched, func_id);
    return proto ? proto : find_net_helper(kCommon, func_id);
}

}  // namespace barebpf
