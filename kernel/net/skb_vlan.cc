// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helpers for VLAN tags. The outermost tag stands beside the packet (vlan_proto, vlan_tci), where cards put
// it; further ones stand in the link header:
//
//     destination 6 | source 6 | [0x8100 | tci]... | type 2 | network header
#include "kernel/net/skb.h"
#include "kernel/net/skb_helpers.h"

namespace barebpf {
namespace {

constexpr u32 kAddresses = 12;  // both link addresses

bool at_link_header(const SkBuff* skb) {
    return skb->mac_header == skb_offset_of_data(skb);
}

// The sum of the packet counts from behind the link header; while that changes, it counts all.
void include_link_header(SkBuff* skb) {
    skb_csum_insert(skb, 0, skb->mac_len);
}
void exclude_link_header(SkBuff* skb) {
    skb_csum_remove(skb, 0, skb->mac_len);
}

void set_tag(SkBuff* skb, u16 protocol, u16 tci) {
    skb->vlan_present = 1;
    skb->vlan_proto = protocol;
    skb->vlan_tci = tci;
}

// The tag beside the packet moves into it.
Result<void> insert_tag(SkBuff* skb) {
    if (!at_link_header(skb)) return Errno::Inval;
    if (!skb_open_gap(skb, kAddresses, kVlanHeader)) return Errno::NoMem;
    store16(skb->data + kAddresses, skb->vlan_proto);
    store16(skb->data + kAddresses + 2, to_network16(skb->vlan_tci));
    skb->protocol = skb->vlan_proto;
    skb->network_header = static_cast<u16>(skb->network_header - kVlanHeader);
    skb->mac_len = static_cast<u16>(skb->mac_len + kVlanHeader);
    skb_csum_insert(skb, kAddresses, kVlanHeader);
    return {};
}

// The first tag in the packet goes; its tci.
Result<u16> remove_tag(SkBuff* skb) {
    if (!at_link_header(skb)) return Errno::Inval;
    if (skb->len < kEthernetHeader + kVlanHeader) return Errno::NoMem;
    const u16 tci = to_network16(load16(skb->data + kAddresses + 2));
    skb_csum_remove(skb, kAddresses, kVlanHeader);
    skb_close_gap(skb, kAddresses, kVlanHeader);
    skb->protocol = ethernet_protocol(load16(skb->data + kAddresses), skb->data + kEthernetHeader,
                                      skb->len - kEthernetHeader);
    if (skb_network_offset(skb) < static_cast<s32>(kEthernetHeader)) {
        skb->network_header = static_cast<u16>(skb_offset_of_data(skb) + kEthernetHeader);
    }
    skb_reset_mac_len(skb);
    return tci;
}

Result<void> pop(SkBuff* skb) {
    if (skb->vlan_present) {
        skb->vlan_present = 0;
        skb->vlan_tci = 0;
        skb->vlan_proto = 0;
    } else {
        if (!is_vlan_protocol(skb->protocol)) return {};
        TRY(remove_tag(skb));
    }
    // The next one takes its place.
    if (!is_vlan_protocol(skb->protocol)) return {};
    const u16 protocol = skb->protocol;
    const u16 tci = TRY(remove_tag(skb));
    set_tag(skb, protocol, tci);
    return {};
}

}  // namespace

u64 bpf_skb_vlan_push(u64 ctx, u64 protocol_arg, u64 tci, u64, u64) {
    SkBuff* skb = skb_of(ctx);
    u16 protocol = static_cast<u16>(protocol_arg);
    if (!is_vlan_protocol(protocol)) protocol = to_network16(kEtherVlan);
    if (skb->vlan_present) {
        include_link_header(skb);
        const Result<void> inserted = insert_tag(skb);
        exclude_link_header(skb);
        if (!inserted) return helper_failure(inserted.error());
    }
    set_tag(skb, protocol, static_cast<u16>(tci));
    return 0;
}

u64 bpf_skb_vlan_pop(u64 ctx, u64, u64, u64, u64) {
    SkBuff* skb = skb_of(ctx);
    include_link_header(skb);
    const Result<void> popped = pop(skb);
    exclude_link_header(skb);
    return popped ? 0 : helper_failure(popped.error());
}

}  // namespace barebpf
