// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helpers that move the ends of the packet.
#include "kernel/net/skb.h"
#include "kernel/net/skb_helpers.h"

namespace barebpf {
namespace {

// A packet may not lose the headers that the stack has found already, nor its checksum.
u32 shortest_length(const SkBuff* skb) {
    const s32 start = static_cast<s32>(skb_offset_of_data(skb));
    s32 shortest = 0;
    const s32 network = skb->network_header - start;
    if (network > 0) shortest = network;
    const s32 transport = skb->transport_header - start;
    if (skb_has_transport_header(skb) && transport > 0) shortest = transport;
    if (skb->ip_summed == kChecksumPartial) {
        const s32 end = skb->csum_start + skb->csum_offset + 2 - start;
        if (end > 0) shortest = end;
    }
    return static_cast<u32>(shortest);
}

}  // namespace

u64 bpf_skb_change_tail(u64 ctx, u64 length_arg, u64 flags, u64, u64) {
    SkBuff* skb = skb_of(ctx);
    const u32 length = static_cast<u32>(length_arg);
    if (flags || length > kMaxSkbLength || length < shortest_length(skb)) {
        return helper_failure(Errno::Inval);
    }
    if (skb->encapsulation) return helper_failure(Errno::NotSupp);
    const bool grows = length > skb->len;
    if (!skb_set_length(skb, length)) return helper_failure(Errno::NoMem);
    // The program is about to write what no card has summed.
    if (grows && skb->ip_summed == kChecksumComplete) skb->ip_summed = kChecksumNone;
    skb->gso_size = 0;
    skb->gso_segs = 0;
    skb->gso_type = 0;
    return 0;
}

u64 bpf_skb_change_head(u64 ctx, u64 head_arg, u64 flags, u64, u64) {
    SkBuff* skb = skb_of(ctx);
    const u32 head = static_cast<u32>(head_arg);
    const u64 length = u64{skb->len} + head;
    if (flags || (!skb->gso_size && length > kMaxSkbLength) || length > ~u32{0}) {
        return helper_failure(Errno::Inval);
    }
    if (!skb_make_room(skb, head, 0)) return helper_failure(Errno::NoMem);
    skb_push(skb, head);
    __builtin_memset(skb->data, 0, head);
    skb->mac_header = static_cast<u16>(skb_offset_of_data(skb));
    skb_reset_mac_len(skb);
    return 0;
}

}  // namespace barebpf
