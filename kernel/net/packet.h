// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The network model that programs act on: a linear packet with room on both sides, as an XDP frame and
// as a socket buffer.
//
//     hard_start          data_meta   data                      data_end       hard_end
//     |<---- headroom ---->|<- meta ->|<------- packet -------->|<- tailroom ->|
//
// An embedder fills one of these around its own packet memory, runs a program on it, and looks at the
// verdict and at the fields that the program changed. Nothing here owns memory.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf {

inline constexpr u32 kXdpHeadroom = 256;    // XDP_PACKET_HEADROOM
inline constexpr u32 kXdpFrameHeader = 40;  // what a driver keeps at its start (struct xdp_frame)
inline constexpr u32 kEthernetHeader = 14;  // ETH_HLEN

// What bpf_redirect() and bpf_redirect_map() asked for; the host acts on it after the run.
struct RedirectRequest {
    u32 ifindex;
    u32 flags;
    u32 map_id;  // 0: by interface
    u64 map_key;
};

struct XdpBuff {
    u8* data;
    u8* data_end;
    u8* data_meta;  // data_meta > data: the driver supports no metadata
    u8* hard_start;
    u8* hard_end;  // tailroom ends here
    u32 ingress_ifindex;
    u32 rx_queue_index;
    u32 egress_ifindex;
    RedirectRequest redirect;
};

// SkBuff::transport_header when nobody has set it.
inline constexpr u16 kHeaderUnset = 0xffff;

// SkBuff::ip_summed, Linux's values.
inline constexpr u8 kChecksumNone = 0;
inline constexpr u8 kChecksumUnnecessary = 1;
inline constexpr u8 kChecksumComplete = 2;
inline constexpr u8 kChecksumPartial = 3;

inline constexpr u8 kGsoTcp = 1;
inline constexpr u8 kGsoUdp = 2;

// What __sk_buff shows, in host byte order unless the UAPI says otherwise. The fields are as wide as what
// Linux keeps behind them: a program that writes 0x12345 to tc_classid reads 0x2345.
struct SkBuff {
    u8* data;      // where the program's packet begins: the link header for sched_cls
    u8* data_end;  // its end; data_end - data == len
    u8* data_meta;
    u8* hard_start;
    u8* hard_end;
    u32 len;
    u32 pkt_type;  // PACKET_HOST, ...
    u32 mark;
    u32 priority;
    u32 ingress_ifindex;
    u32 ifindex;
    u32 cb[5];
    u32 hash;
    u32 napi_id;
    u32 family;  // socket fields: zero without a socket
    u32 remote_ip4;
    u32 local_ip4;
    u32 remote_ip6[4];
    u32 local_ip6[4];
    u32 remote_port;
    u32 local_port;
    u64 tstamp;
    u64 hwtstamp;
    u32 wire_len;
    u32 csum;  // kChecksumComplete: the sum of the packet, unfolded
    u16 gso_segs;
    u16 gso_size;
    u16 queue_mapping;
    u16 protocol;    // network byte order
    u16 vlan_tci;    // the tag beside the packet, when vlan_present
    u16 vlan_proto;  // network byte order
    u16 tc_index;
    u16 tc_classid;
    u16 mac_header;  // offsets from hard_start
    u16 network_header;
    u16 transport_header;
    u16 mac_len;
    u16 csum_start;   // kChecksumPartial: an offset from hard_start
    u16 csum_offset;  // from csum_start
    u8 vlan_present;  // 0, 1
    u8 tstamp_type;   // BPF_SKB_TSTAMP_*
    u8 hash_valid;
    u8 csum_level;
    u8 ip_summed;
    u8 gso_type;       // of a packet that stands for several (gso_size != 0): kGsoTcp, kGsoUdp, 0
    u8 encapsulation;  // bpf_skb_adjust_room() put an outer header before it
    // Asks the packet's owner for room: at least head bytes before data and tail bytes after data_end.
    // It may move the packet, and then puts right the pointers and the offsets above. False: no room.
    // Null: what hard_start and hard_end give is all there is. Context: the program's.
    bool (*expand)(SkBuff* skb, u32 head, u32 tail);
    RedirectRequest redirect;
};

}  // namespace barebpf
