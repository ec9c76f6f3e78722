// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The helpers of programs whose context is an SkBuff: a BpfFunction each, with its own file for each
// subject. Names, arguments, limits and results are those of bpf-helpers(7).
//
// Every one takes the SkBuff in R1. Context: any, NMI included, as far as SkBuff::expand is.
#pragma once

#include "kernel/net/helpers.h"

namespace barebpf {

#define BAREBPF_SKB_HELPER(name) u64 name(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)

// skb_access.cc: bytes of the packet.
BAREBPF_SKB_HELPER(bpf_skb_store_bytes);
BAREBPF_SKB_HELPER(bpf_skb_load_bytes);
BAREBPF_SKB_HELPER(bpf_skb_load_bytes_relative);
BAREBPF_SKB_HELPER(bpf_skb_pull_data);

// skb_csum.cc: checksums.
BAREBPF_SKB_HELPER(bpf_l3_csum_replace);
BAREBPF_SKB_HELPER(bpf_l4_csum_replace);
BAREBPF_SKB_HELPER(bpf_csum_update);
BAREBPF_SKB_HELPER(bpf_csum_level);

// skb_vlan.cc: tags.
BAREBPF_SKB_HELPER(bpf_skb_vlan_push);
BAREBPF_SKB_HELPER(bpf_skb_vlan_pop);

// skb_resize.cc: room at both ends.
BAREBPF_SKB_HELPER(bpf_skb_change_tail);
BAREBPF_SKB_HELPER(bpf_skb_change_head);
// skb_room.cc: room between the headers.
BAREBPF_SKB_HELPER(bpf_skb_adjust_room);

// skb_fields.cc: what the packet carries beside its bytes.
BAREBPF_SKB_HELPER(bpf_skb_change_type);
BAREBPF_SKB_HELPER(bpf_get_hash_recalc);
BAREBPF_SKB_HELPER(bpf_set_hash_invalid);
BAREBPF_SKB_HELPER(bpf_set_hash);
BAREBPF_SKB_HELPER(bpf_skb_ecn_set_ce);
BAREBPF_SKB_HELPER(bpf_skb_set_tstamp);
BAREBPF_SKB_HELPER(bpf_skb_redirect);
BAREBPF_SKB_HELPER(bpf_get_cgroup_classid);
BAREBPF_SKB_HELPER(bpf_get_route_realm);
BAREBPF_SKB_HELPER(bpf_get_socket_cookie);
BAREBPF_SKB_HELPER(bpf_get_socket_uid);

#undef BAREBPF_SKB_HELPER

// The helpers' prototypes by type of program (skb_helpers.cc); null: not one of these.
const HelperProto* socket_filter_helper(u32 func_id);
const HelperProto* sched_helper(u32 func_id);

}  // namespace barebpf
