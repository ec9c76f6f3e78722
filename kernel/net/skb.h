// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Operations on an SkBuff that its helpers are made of. The packet is linear; its ends move inside
// [hard_start, hard_end), and beyond them when the owner can make room (SkBuff::expand).
//
// Context: any; expand() decides for itself.
#pragma once

#include "kernel/net/checksum.h"
#include "kernel/net/packet.h"
#include "uapi/linux/bpf.h"

namespace barebpf {

inline constexpr u32 kVlanHeader = 4;        // VLAN_HLEN
inline constexpr u32 kMaxSkbLength = 16064;  // BPF_SKB_MAX_LEN: four pages less Linux's own part

// Numbers of the link layer, in host byte order.
inline constexpr u16 kEtherIpv4 = 0x0800;
inline constexpr u16 kEtherIpv6 = 0x86dd;
inline constexpr u16 kEtherVlan = 0x8100;         // 802.1Q
inline constexpr u16 kEtherServiceVlan = 0x88a8;  // 802.1ad
inline constexpr u16 kEtherFirst = 0x0600;        // smaller numbers are lengths
inline constexpr u16 kEther8023 = 0x0001;         // ETH_P_802_3: raw
inline constexpr u16 kEther8022 = 0x0004;         // ETH_P_802_2: LLC

constexpr u16 to_network16(u16 value) {
    return __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? __builtin_bswap16(value) : value;
}
inline u16 load16(const void* from) {  // as it stands there
    u16 value;
    __builtin_memcpy(&value, from, sizeof value);
    return value;
}
inline void store16(void* to, u16 value) {
    __builtin_memcpy(to, &value, sizeof value);
}
constexpr bool is_vlan_protocol(u16 network_order) {
    return network_order == to_network16(kEtherVlan) ||
           network_order == to_network16(kEtherServiceVlan);
}

inline SkBuff* skb_of(u64 ctx) {
    return reinterpret_cast<SkBuff*>(ctx);
}
inline u32 skb_offset_of_data(const SkBuff* skb) {
    return static_cast<u32>(skb->data - skb->hard_start);
}
// Where the network header begins, from data: negative once it was pulled off.
inline s32 skb_network_offset(const SkBuff* skb) {
    return s32{skb->network_header} - static_cast<s32>(skb_offset_of_data(skb));
}
inline bool skb_has_transport_header(const SkBuff* skb) {
    return skb->transport_header != kHeaderUnset;
}

// The packet has [offset, offset + size).
inline bool skb_contains(const SkBuff* skb, u64 offset, u64 size) {
    return size <= skb->len && offset <= skb->len - size;
}

// At least head bytes in front and tail bytes behind.
[[nodiscard]] bool skb_make_room(SkBuff* skb, u32 head, u32 tail);
// Moves data; the caller has made room, or has looked that there is so much. Metadata does not follow.
void skb_push(SkBuff* skb, u32 size);
void skb_pull(SkBuff* skb, u32 size);
// A longer packet ends in zeros. False: no room.
[[nodiscard]] bool skb_set_length(SkBuff* skb, u32 length);

// Keeps the sum of a packet whose card has summed it (kChecksumComplete) right: before the bytes
// [offset, + size) change or go away, and after they changed or came.
void skb_csum_remove(SkBuff* skb, u32 offset, u32 size);
void skb_csum_insert(SkBuff* skb, u32 offset, u32 size);

// Moves the first `front` bytes and all headers' offsets in them so that a gap of size bytes opens behind
// them (its bytes zero), or closes the gap of size bytes behind them. Open: false when there is no room;
// close: the caller has looked that the bytes are there.
[[nodiscard]] bool skb_open_gap(SkBuff* skb, u32 front, u32 size);
void skb_close_gap(SkBuff* skb, u32 front, u32 size);

inline void skb_forget_hash(SkBuff* skb) {
    skb->hash = 0;
    skb->hash_valid = 0;
}
// mac_len follows the two headers.
inline void skb_reset_mac_len(SkBuff* skb) {
    skb->mac_len = static_cast<u16>(skb->network_header - skb->mac_header);
}

// The protocol that an Ethernet header's type field stands for; after: what follows the field.
u16 ethernet_protocol(u16 type, const u8* after, u32 after_size);

}  // namespace barebpf
