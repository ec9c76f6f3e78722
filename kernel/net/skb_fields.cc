// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helpers for what the packet carries beside its bytes.
#include "kernel/net/flow_hash.h"
#include "kernel/net/skb.h"
#include "kernel/net/skb_helpers.h"

namespace barebpf {
namespace {

constexpr u32 kPacketOtherHost =
    3;                        // PACKET_OTHERHOST: the last type that a program may see or set
constexpr u64 kShot = 2;      // TC_ACT_SHOT
constexpr u64 kRedirect = 7;  // TC_ACT_REDIRECT
constexpr u64 kOverflowUid = 65534;

constexpr u8 kEcnMask = 3;  // 0: not capable, 1 and 2: capable, 3: congestion experienced

// The type of service changes and the header's checksum with it.
void mark_ipv4(u8* header) {
    const u16 before = load16(header);
    header[1] |= kEcnMask;
    store16(header + 10, csum_replace16(load16(header + 10), before, load16(header)));
}

}  // namespace

u64 bpf_skb_change_type(u64 ctx, u64 type, u64, u64, u64) {
    SkBuff* skb = skb_of(ctx);
    if (skb->pkt_type > kPacketOtherHost || static_cast<u32>(type) > kPacketOtherHost) {
        return helper_failure(Errno::Inval);
    }
    skb->pkt_type = static_cast<u32>(type);
    return 0;
}

u64 bpf_get_hash_recalc(u64 ctx, u64, u64, u64, u64) {
    SkBuff* skb = skb_of(ctx);
    if (!skb->hash_valid) {
        skb->hash = flow_hash(skb);
        skb->hash_valid = 1;
    }
    return skb->hash;
}

u64 bpf_set_hash_invalid(u64 ctx, u64, u64, u64, u64) {
    skb_forget_hash(skb_of(ctx));
    return 0;
}

u64 bpf_set_hash(u64 ctx, u64 hash, u64, u64, u64) {
    skb_of(ctx)->hash = static_cast<u32>(hash);
    skb_of(ctx)->hash_valid = 1;
    return 0;
}

// 1: the mark is set (now or before); 0: the packet cannot carry it.
u64 bpf_skb_ecn_set_ce(u64 ctx, u64, u64, u64, u64) {
    SkBuff* skb = skb_of(ctx);
    u8* header = skb->hard_start + skb->network_header;
    const s64 size = skb->data_end - header;
    if (skb->protocol == to_network16(kEtherIpv4) && size >= 20) {
        if (!(header[1] & kEcnMask)) return 0;
        mark_ipv4(header);
        return 1;
    }
    if (skb->protocol == to_network16(kEtherIpv6) && size >= 40) {
        constexpr u8 kBits = kEcnMask << 4;  // the traffic class lies across two bytes
        if (!(header[1] & kBits)) return 0;
        const u16 before = load16(header);
        header[1] |= kBits;
        if (skb->ip_summed == kChecksumComplete) {
            skb->csum = csum_add(csum_sub(skb->csum, before), load16(header));
        }
        return 1;
    }
    return 0;
}

u64 bpf_skb_set_tstamp(u64 ctx, u64 time, u64 type, u64, u64) {
    SkBuff* skb = skb_of(ctx);
    const bool ip =
        skb->protocol == to_network16(kEtherIpv4) || skb->protocol == to_network16(kEtherIpv6);
    if (!ip) return helper_failure(Errno::OpNotSupp);
    switch (static_cast<u32>(type)) {
        case BPF_SKB_TSTAMP_DELIVERY_MONO:
            if (!time) return helper_failure(Errno::Inval);
            break;
        case BPF_SKB_TSTAMP_UNSPEC:
            if (time) return helper_failure(Errno::Inval);
            break;
        default:
            return helper_failure(Errno::Inval);
    }
    skb->tstamp = time;
    skb->tstamp_type = static_cast<u8>(type);
    return 0;
}

u64 bpf_skb_redirect(u64 ifindex, u64 flags, u64, u64, u64) {
    if (flags & ~u64{BPF_F_INGRESS}) return kShot;
    post_redirect({.ifindex = static_cast<u32>(ifindex),
                   .flags = static_cast<u32>(flags),
                   .map_id = 0,
                   .map_key = 0});
    return kRedirect;
}

// The model has no sockets, no net_cls groups, no routes: what these say then.
u64 bpf_get_cgroup_classid(u64, u64, u64, u64, u64) {
    return 0;
}
u64 bpf_get_route_realm(u64, u64, u64, u64, u64) {
    return 0;
}
u64 bpf_get_socket_cookie(u64, u64, u64, u64, u64) {
    return 0;
}
u64 bpf_get_socket_uid(u64, u64, u64, u64, u64) {
    return kOverflowUid;
}

}  // namespace barebpf
