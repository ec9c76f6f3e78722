// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What programs and callers hand to helpers or keep in map values: keys, sockets, tunnels, routes,
// locks, timers. Include "uapi/linux/bpf.h" rather than this part.
#ifndef BAREBPF_UAPI_BPF_OBJECTS_H
#define BAREBPF_UAPI_BPF_OBJECTS_H

#include "uapi/linux/barebpf/types.h"

// Key of an LPM trie: how many bits of data count. Three spellings of one layout.
struct bpf_lpm_trie_key {
    __u32 prefixlen;
    __u8 data[0];
};
BAREBPF_ABI_SIZE(struct bpf_lpm_trie_key, 4);

struct bpf_lpm_trie_key_hdr {
    __u32 prefixlen;
};
BAREBPF_ABI_SIZE(struct bpf_lpm_trie_key_hdr, 4);

struct bpf_lpm_trie_key_u8 {
    union {
        struct bpf_lpm_trie_key_hdr hdr;
        __u32 prefixlen;
    };
    __u8 data[];
};
BAREBPF_ABI_SIZE(struct bpf_lpm_trie_key_u8, 4);

struct bpf_cgroup_storage_key {
    __u64 cgroup_inode_id;
    __u32 attach_type;
};
BAREBPF_ABI_SIZE(struct bpf_cgroup_storage_key, 16);

// Value of a device map; bpf_prog is a descriptor when written and an id when read.
struct bpf_devmap_val {
    __u32 ifindex;
    union {
        int fd;
        __u32 id;
    } bpf_prog;
};
BAREBPF_ABI_SIZE(struct bpf_devmap_val, 8);

// Value of a CPU map, likewise.
struct bpf_cpumap_val {
    __u32 qsize;
    union {
        int fd;
        __u32 id;
    } bpf_prog;
};
BAREBPF_ABI_SIZE(struct bpf_cpumap_val, 8);

#define BPF_BUILD_ID_SIZE 20
enum bpf_stack_build_id_status {
    BPF_STACK_BUILD_ID_EMPTY = 0,
    BPF_STACK_BUILD_ID_VALID = 1,
    BPF_STACK_BUILD_ID_IP = 2,
};

// A frame of a stack map made with BPF_F_STACK_BUILD_ID.
struct bpf_stack_build_id {
    __s32 status;
    unsigned char build_id[BPF_BUILD_ID_SIZE];
    union {
        __u64 offset;
        __u64 ip;
    };
};
BAREBPF_ABI_SIZE(struct bpf_stack_build_id, 32);

struct bpf_spin_lock {
    __u32 val;
};
BAREBPF_ABI_SIZE(struct bpf_spin_lock, 4);

struct bpf_timer {
    __u64 : 64;
    __u64 : 64;
} __attribute__((aligned(8)));
BAREBPF_ABI_SIZE(struct bpf_timer, 16);

struct bpf_dynptr {
    __u64 : 64;
    __u64 : 64;
} __attribute__((aligned(8)));
BAREBPF_ABI_SIZE(struct bpf_dynptr, 16);

// perf_event_read_value, perf_prog_read_value.
struct bpf_perf_event_value {
    __u64 counter;
    __u64 enabled;
    __u64 running;
};
BAREBPF_ABI_SIZE(struct bpf_perf_event_value, 24);

// get_ns_current_pid_tgid.
struct bpf_pidns_info {
    __u32 pid;
    __u32 tgid;
};
BAREBPF_ABI_SIZE(struct bpf_pidns_info, 8);

// snprintf_btf, seq_printf_btf: an object and its type.
struct btf_ptr {
    void* ptr;
    __u32 type_id;
    __u32 flags;
};
BAREBPF_ABI_SIZE(struct btf_ptr, 16);

// skb_get_tunnel_key, skb_set_tunnel_key.
struct bpf_tunnel_key {
    __u32 tunnel_id;
    union {
        __u32 remote_ipv4;
        __u32 remote_ipv6[4];
    };
    __u8 tunnel_tos;
    __u8 tunnel_ttl;
    union {
        __u16 tunnel_ext;
        __be16 tunnel_flags;
    };
    __u32 tunnel_label;
    union {
        __u32 local_ipv4;
        __u32 local_ipv6[4];
    };
};
BAREBPF_ABI_SIZE(struct bpf_tunnel_key, 44);

// skb_get_xfrm_state.
struct bpf_xfrm_state {
    __u32 reqid;
    __u32 spi;
    __u16 family;
    __u16 ext;
    union {
        __u32 remote_ipv4;
        __u32 remote_ipv6[4];
    };
};
BAREBPF_ABI_SIZE(struct bpf_xfrm_state, 28);

// A socket as programs see it. Ports: src_port in host order, dst_port in network order.
struct bpf_sock {
    __u32 bound_dev_if;
    __u32 family;
    __u32 type;
    __u32 protocol;
    __u32 mark;
    __u32 priority;
    __u32 src_ip4;
    __u32 src_ip6[4];
    __u32 src_port;
    __be16 dst_port;
    __u16 : 16;
    __u32 dst_ip4;
    __u32 dst_ip6[4];
    __u32 state;
    __s32 rx_queue_mapping;
};
BAREBPF_ABI_SIZE(struct bpf_sock, 80);

struct bpf_tcp_sock {
    __u32 snd_cwnd;
    __u32 srtt_us;
    __u32 rtt_min;
    __u32 snd_ssthresh;
    __u32 rcv_nxt;
    __u32 snd_nxt;
    __u32 snd_una;
    __u32 mss_cache;
    __u32 ecn_flags;
    __u32 rate_delivered;
    __u32 rate_interval_us;
    __u32 packets_out;
    __u32 retrans_out;
    __u32 total_retrans;
    __u32 segs_in;
    __u32 data_segs_in;
    __u32 segs_out;
    __u32 data_segs_out;
    __u32 lost_out;
    __u32 sacked_out;
    __u64 bytes_received;
    __u64 bytes_acked;
    __u32 dsack_dups;
    __u32 delivered;
    __u32 delivered_ce;
    __u32 icsk_retransmits;
};
BAREBPF_ABI_SIZE(struct bpf_tcp_sock, 112);

// sk_lookup_tcp, sk_lookup_udp, skc_lookup_tcp; the length passed tells which of the two it is.
struct bpf_sock_tuple {
    union {
        struct {
            __be32 saddr;
            __be32 daddr;
            __be16 sport;
            __be16 dport;
        } ipv4;
        struct {
            __be32 saddr[4];
            __be32 daddr[4];
            __be16 sport;
            __be16 dport;
        } ipv6;
    };
};
BAREBPF_ABI_SIZE(struct bpf_sock_tuple, 36);

struct bpf_xdp_sock {
    __u32 queue_id;
};
BAREBPF_ABI_SIZE(struct bpf_xdp_sock, 4);

// fib_lookup: input, rewritten as output.
struct bpf_fib_lookup {
    __u8 family;
    __u8 l4_protocol;
    __be16 sport;
    __be16 dport;
    union {
        __u16 tot_len;
        __u16 mtu_result;
    } __attribute__((packed, aligned(2)));
    __u32 ifindex;
    union {
        __u8 tos;
        __be32 flowinfo;
        __u32 rt_metric;
    };
    union {
        __be32 ipv4_src;
        __u32 ipv6_src[4];
    };
    union {
        __be32 ipv4_dst;
        __u32 ipv6_dst[4];
    };
    union {
        struct {
            __be16 h_vlan_proto;
            __be16 h_vlan_TCI;
        };
        __u32 tbid;
    };
    __u8 smac[6];
    __u8 dmac[6];
};
BAREBPF_ABI_SIZE(struct bpf_fib_lookup, 64);

// redirect_neigh.
struct bpf_redir_neigh {
    __u32 nh_family;
    union {
        __be32 ipv4_nh;
        __u32 ipv6_nh[4];
    };
};
BAREBPF_ABI_SIZE(struct bpf_redir_neigh, 20);

// bpf_flow_keys.flags.
enum {
    BPF_FLOW_DISSECTOR_F_PARSE_1ST_FRAG = 1U << 0,
    BPF_FLOW_DISSECTOR_F_STOP_AT_FLOW_LABEL = 1U << 1,
    BPF_FLOW_DISSECTOR_F_STOP_AT_ENCAP = 1U << 2,
};

// What a flow dissector program fills in.
struct bpf_flow_keys {
    __u16 nhoff;
    __u16 thoff;
    __u16 addr_proto;
    __u8 is_frag;
    __u8 is_first_frag;
    __u8 is_encap;
    __u8 ip_proto;
    __be16 n_proto;
    __be16 sport;
    __be16 dport;
    union {
        struct {
            __be32 ipv4_src;
            __be32 ipv4_dst;
        };
        struct {
            __u32 ipv6_src[4];
            __u32 ipv6_dst[4];
        };
    };
    __u32 flags;
    __be32 flow_label;
};
BAREBPF_ABI_SIZE(struct bpf_flow_keys, 56);

#endif  // BAREBPF_UAPI_BPF_OBJECTS_H
