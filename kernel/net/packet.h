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

inline constexpr u32 kXdpHeadroom = 256;  // XDP_PACKET_HEADROOM

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

// What __sk_buff shows, in host byte order unless the UAPI says otherwise.
struct SkBuff {
    u8* data;      // where the program's packet begins: the link header for sched_cls
    u8* data_end;  // end of what direct access may touch
    u8* data_meta;
    u8* hard_start;
    u8* hard_end;
    u32 len;
    u32 pkt_type;  // PACKET_HOST, ...
    u32 mark;
    u32 queue_mapping;
    u32 protocol;  // network byte order, in the low 16 bits
    u32 vlan_present;
    u32 vlan_tci;
    u32 vlan_proto;
    u32 priority;
    u32 ingress_ifindex;
    u32 ifindex;
    u32 tc_index;
    u32 cb[5];
    u32 hash;
    u32 tc_classid;
    u32 napi_id;
    u32 family;  // socket fields: zero without a socket
    u32 remote_ip4;
    u32 local_ip4;
    u32 remote_ip6[4];
    u32 local_ip6[4];
    u32 remote_port;
    u32 local_port;
    u64 tstamp;
    u32 wire_len;
    u32 gso_segs;
    u32 gso_size;
    u32 tstamp_type;
    u64 hwtstamp;
    u16 mac_header;  // offsets from hard_start
    u16 network_header;
    u16 transport_header;
    u16 mac_len;
    u8 csum_level;
    u8 ip_summed;  // CHECKSUM_NONE, _UNNECESSARY, _COMPLETE, _PARTIAL: 0..3
    u32 csum;
    RedirectRequest redirect;
};

}  // namespace barebpf
