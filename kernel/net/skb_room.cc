// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// bpf_skb_adjust_room(): opens or closes a gap behind the link header (BPF_ADJ_ROOM_MAC) or behind the
// network header's fixed part (BPF_ADJ_ROOM_NET):
//
//     link | [gap] network | rest        link | network | [gap] rest
#include "kernel/net/skb.h"
#include "kernel/net/skb_helpers.h"

namespace barebpf {
namespace {

constexpr u64 kEncapL3 = BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;
constexpr u64 kEncapL4 = BPF_F_ADJ_ROOM_ENCAP_L4_GRE | BPF_F_ADJ_ROOM_ENCAP_L4_UDP;
constexpr u64 kKnownFlags = BPF_F_ADJ_ROOM_FIXED_GSO | kEncapL3 | kEncapL4 |
                            BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_NO_CSUM_RESET |
                            u64{BPF_ADJ_ROOM_ENCAP_L2_MASK} << BPF_ADJ_ROOM_ENCAP_L2_SHIFT;
constexpr u32 kMaxDifference = 0xfff;

bool is_ipv4(const SkBuff* skb) {
    return skb->protocol == to_network16(kEtherIpv4);
}
bool is_ip(const SkBuff* skb) {
    return is_ipv4(skb) || skb->protocol == to_network16(kEtherIpv6);
}
u32 ip_header_size(bool ipv4) {
    return ipv4 ? 20 : 40;
}

// A packet that stands for several datagrams is cut later by its gso_size: the room must come out of it,
// unless the program says otherwise.
Result<void> check_segments(const SkBuff* skb, u64 flags) {
    if (!skb->gso_size || skb->gso_type == kGsoTcp) return {};
    if (skb->gso_type == kGsoUdp && flags & BPF_F_ADJ_ROOM_FIXED_GSO) return {};
    return Errno::NotSupp;
}

void adjust_segments(SkBuff* skb, u64 flags, s32 difference) {
    if (!skb->gso_size) return;
    if (!(flags & BPF_F_ADJ_ROOM_FIXED_GSO)) {
        skb->gso_size = static_cast<u16>(skb->gso_size - difference);
    }
    skb->gso_segs = 0;  // to be counted again
}

Result<void> check_encapsulation(const SkBuff* skb, u64 flags, u32 difference) {
    const u32 inner_link = static_cast<u32>(flags >> BPF_ADJ_ROOM_ENCAP_L2_SHIFT);
    if ((flags & kEncapL3) == kEncapL3 || (flags & kEncapL4) == kEncapL4) return Errno::Inval;
    if (flags & BPF_F_ADJ_ROOM_ENCAP_L2_ETH && inner_link < kEthernetHeader) return Errno::Inval;
    if (skb->encapsulation) return Errno::Already;
    if (inner_link > difference) return Errno::Inval;
    return {};
}

void mark_encapsulated(SkBuff* skb, u64 flags, u32 link_size) {
    const bool outer_ipv4 = flags & BPF_F_ADJ_ROOM_ENCAP_L3_IPV4;
    skb->encapsulation = 1;
    skb->network_header = static_cast<u16>(skb_offset_of_data(skb) + link_size);
    skb->protocol = to_network16(outer_ipv4 ? kEtherIpv4 : kEtherIpv6);
    if (flags & kEncapL4) {
        skb->transport_header = static_cast<u16>(skb->network_header + ip_header_size(outer_ipv4));
    }
}

Result<void> grow(SkBuff* skb, u32 offset, u32 difference, u64 flags) {
    TRY(check_segments(skb, flags));
    const u32 link_size = u32{skb->network_header} - skb->mac_header;
    const bool encapsulate = flags & kEncapL3;
    if (encapsulate) TRY(check_encapsulation(skb, flags, difference));
    if (offset > skb->len) return Errno::NoMem;
    const bool headers_meet = skb->transport_header == skb->network_header;
    if (!skb_open_gap(skb, offset, difference)) return Errno::NoMem;
    skb->network_header = static_cast<u16>(skb->network_header - difference);
    if (headers_meet) skb->transport_header = skb->network_header;
    if (encapsulate) mark_encapsulated(skb, flags, link_size);
    adjust_segments(skb, flags, static_cast<s32>(difference));
    return {};
}

Result<void> shrink(SkBuff* skb, u32 offset, u32 difference, u64 flags) {
    if (flags & ~u64{BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_NO_CSUM_RESET}) return Errno::Inval;
    TRY(check_segments(skb, flags));
    if (!skb_contains(skb, offset, difference)) return Errno::NoMem;
    const bool headers_meet = skb->transport_header == skb->network_header;
    skb_csum_remove(skb, offset, difference);
    skb_close_gap(skb, offset, difference);
    skb->network_header = static_cast<u16>(skb->network_header + difference);
    if (headers_meet) skb->transport_header = skb->network_header;
    adjust_segments(skb, flags, -static_cast<s32>(difference));
    return {};
}

Result<void> adjust(SkBuff* skb, s32 difference, u32 mode, u64 flags) {
    const bool shrinks = difference < 0;
    const u32 size = static_cast<u32>(shrinks ? -s64{difference} : difference);
    if (flags & ~kKnownFlags) return Errno::Inval;
    if (size > kMaxDifference) return Errno::Fault;
    if (!is_ip(skb) || skb->mac_header == kHeaderUnset) return Errno::NotSupp;
    const u32 header = ip_header_size(is_ipv4(skb));
    u32 offset = u32{skb->network_header} - skb->mac_header;
    if (mode == BPF_ADJ_ROOM_NET)
        offset += header;
    else if (mode != BPF_ADJ_ROOM_MAC)
        return Errno::NotSupp;
    const u32 from_network = static_cast<u32>(static_cast<s32>(skb->len) - skb_network_offset(skb));
    if (shrinks ? size >= from_network || from_network - size < header
                : u64{skb->len} + size > kMaxSkbLength && !skb->gso_size) {
        return Errno::NotSupp;
    }
    return shrinks ? shrink(skb, offset, size, flags) : grow(skb, offset, size, flags);
}

}  // namespace

u64 bpf_skb_adjust_room(u64 ctx, u64 difference, u64 mode, u64 flags, u64) {
    SkBuff* skb = skb_of(ctx);
    const Result<void> adjusted =
        adjust(skb, static_cast<s32>(difference), static_cast<u32>(mode), flags);
    if (!adjusted) return helper_failure(adjusted.error());
    if (!(flags & BPF_F_ADJ_ROOM_NO_CSUM_RESET) && skb->ip_summed == kChecksumUnnecessary) {
        skb->ip_summed = kChecksumNone;
    }
    return 0;
}

}  // namespace barebpf
