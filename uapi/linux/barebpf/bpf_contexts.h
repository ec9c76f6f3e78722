// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What R1 points at when a program starts, by program type, and the verdicts programs return.
// Programs see these layouts; the verifier rewrites each access. Include "uapi/linux/bpf.h" rather
// than this part.
#ifndef BAREBPF_UAPI_BPF_CONTEXTS_H
#define BAREBPF_UAPI_BPF_CONTEXTS_H

#include "uapi/linux/barebpf/types.h"

// A pointer that takes 8 bytes for 32-bit programs as well.
#define __bpf_md_ptr(type, name) \
    union {                      \
        type name;               \
        __u64 : 64;              \
    } __attribute__((aligned(8)))

struct bpf_flow_keys;
struct bpf_sock;

// Socket filters, traffic control, cgroup_skb, lightweight tunnels, sk_skb, flow dissector.
struct __sk_buff {
    __u32 len;
    __u32 pkt_type;
    __u32 mark;
    __u32 queue_mapping;
    __u32 protocol;
    __u32 vlan_present;
    __u32 vlan_tci;
    __u32 vlan_proto;
    __u32 priority;
    __u32 ingress_ifindex;
    __u32 ifindex;
    __u32 tc_index;
    __u32 cb[5];
    __u32 hash;
    __u32 tc_classid;
    __u32 data;
    __u32 data_end;
    __u32 napi_id;
    __u32 family;
    __u32 remote_ip4;
    __u32 local_ip4;
    __u32 remote_ip6[4];
    __u32 local_ip6[4];
    __u32 remote_port;
    __u32 local_port;
    __u32 data_meta;
    __bpf_md_ptr(struct bpf_flow_keys*, flow_keys);
    __u64 tstamp;
    __u32 wire_len;
    __u32 gso_segs;
    __bpf_md_ptr(struct bpf_sock*, sk);
    __u32 gso_size;
    __u8 tstamp_type;
    __u32 : 24;
    __u64 hwtstamp;
};
BAREBPF_ABI_SIZE(struct __sk_buff, 192);

// Verdicts of lightweight tunnel and flow dissector programs.
enum bpf_ret_code {
    BPF_OK = 0,
    BPF_DROP = 2,
    BPF_REDIRECT = 7,
    BPF_LWT_REROUTE = 128,
    BPF_FLOW_DISSECTOR_CONTINUE = 129,
};

#define XDP_PACKET_HEADROOM 256

// Verdicts of XDP programs.
enum xdp_action {
    XDP_ABORTED = 0,
    XDP_DROP = 1,
    XDP_PASS = 2,
    XDP_TX = 3,
    XDP_REDIRECT = 4,
};

// XDP.
struct xdp_md {
    __u32 data;
    __u32 data_end;
    __u32 data_meta;
    __u32 ingress_ifindex;
    __u32 rx_queue_index;
    __u32 egress_ifindex;
};
BAREBPF_ABI_SIZE(struct xdp_md, 24);

// Verdicts of socket programs.
enum sk_action {
    SK_DROP = 0,
    SK_PASS = 1,
};

struct sk_msg_md {
    __bpf_md_ptr(void*, data);
    __bpf_md_ptr(void*, data_end);
    __u32 family;
    __u32 remote_ip4;
    __u32 local_ip4;
    __u32 remote_ip6[4];
    __u32 local_ip6[4];
    __u32 remote_port;
    __u32 local_port;
    __u32 size;
    __bpf_md_ptr(struct bpf_sock*, sk);
};
BAREBPF_ABI_SIZE(struct sk_msg_md, 80);

struct sk_reuseport_md {
    __bpf_md_ptr(void*, data);
    __bpf_md_ptr(void*, data_end);
    __u32 len;
    __u32 eth_protocol;
    __u32 ip_protocol;
    __u32 bind_inany;
    __u32 hash;
    __bpf_md_ptr(struct bpf_sock*, sk);
    __bpf_md_ptr(struct bpf_sock*, migrating_sk);
};
BAREBPF_ABI_SIZE(struct sk_reuseport_md, 56);

struct bpf_sk_lookup {
    union {
        __bpf_md_ptr(struct bpf_sock*, sk);
        __u64 cookie;
    };
    __u32 family;
    __u32 protocol;
    __u32 remote_ip4;
    __u32 remote_ip6[4];
    __be16 remote_port;
    __u16 : 16;
    __u32 local_ip4;
    __u32 local_ip6[4];
    __u32 local_port;
    __u32 ingress_ifindex;
};
BAREBPF_ABI_SIZE(struct bpf_sk_lookup, 72);

struct bpf_sock_addr {
    __u32 user_family;
    __u32 user_ip4;
    __u32 user_ip6[4];
    __u32 user_port;
    __u32 family;
    __u32 type;
    __u32 protocol;
    __u32 msg_src_ip4;
    __u32 msg_src_ip6[4];
    __bpf_md_ptr(struct bpf_sock*, sk);
};
BAREBPF_ABI_SIZE(struct bpf_sock_addr, 72);

struct bpf_sock_ops {
    __u32 op;
    union {
        __u32 args[4];
        __u32 reply;
        __u32 replylong[4];
    };
    __u32 family;
    __u32 remote_ip4;
    __u32 local_ip4;
    __u32 remote_ip6[4];
    __u32 local_ip6[4];
    __u32 remote_port;
    __u32 local_port;
    __u32 is_fullsock;
    __u32 snd_cwnd;
    __u32 srtt_us;
    __u32 bpf_sock_ops_cb_flags;
    __u32 state;
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
    __u32 sk_txhash;
    __u64 bytes_received;
    __u64 bytes_acked;
    __bpf_md_ptr(struct bpf_sock*, sk);
    __bpf_md_ptr(void*, skb_data);
    __bpf_md_ptr(void*, skb_data_end);
    __u32 skb_len;
    __u32 skb_tcp_flags;
};
BAREBPF_ABI_SIZE(struct bpf_sock_ops, 216);

// bpf_sock_ops_cb_flags: which optional callbacks run.
enum {
    BPF_SOCK_OPS_RTO_CB_FLAG = 1U << 0,
    BPF_SOCK_OPS_RETRANS_CB_FLAG = 1U << 1,
    BPF_SOCK_OPS_STATE_CB_FLAG = 1U << 2,
    BPF_SOCK_OPS_RTT_CB_FLAG = 1U << 3,
    BPF_SOCK_OPS_PARSE_ALL_HDR_OPT_CB_FLAG = 1U << 4,
    BPF_SOCK_OPS_PARSE_UNKNOWN_HDR_OPT_CB_FLAG = 1U << 5,
    BPF_SOCK_OPS_WRITE_HDR_OPT_CB_FLAG = 1U << 6,
    BPF_SOCK_OPS_ALL_CB_FLAGS = 0x7f,
};

// bpf_sock_ops.op.
enum {
    BPF_SOCK_OPS_VOID = 0,
    BPF_SOCK_OPS_TIMEOUT_INIT = 1,
    BPF_SOCK_OPS_RWND_INIT = 2,
    BPF_SOCK_OPS_TCP_CONNECT_CB = 3,
    BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB = 4,
    BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB = 5,
    BPF_SOCK_OPS_NEEDS_ECN = 6,
    BPF_SOCK_OPS_BASE_RTT = 7,
    BPF_SOCK_OPS_RTO_CB = 8,
    BPF_SOCK_OPS_RETRANS_CB = 9,
    BPF_SOCK_OPS_STATE_CB = 10,
    BPF_SOCK_OPS_TCP_LISTEN_CB = 11,
    BPF_SOCK_OPS_RTT_CB = 12,
    BPF_SOCK_OPS_PARSE_HDR_OPT_CB = 13,
    BPF_SOCK_OPS_HDR_OPT_LEN_CB = 14,
    BPF_SOCK_OPS_WRITE_HDR_OPT_CB = 15,
};

// bpf_sock.state and the arguments of BPF_SOCK_OPS_STATE_CB.
enum {
    BPF_TCP_ESTABLISHED = 1,
    BPF_TCP_SYN_SENT = 2,
    BPF_TCP_SYN_RECV = 3,
    BPF_TCP_FIN_WAIT1 = 4,
    BPF_TCP_FIN_WAIT2 = 5,
    BPF_TCP_TIME_WAIT = 6,
    BPF_TCP_CLOSE = 7,
    BPF_TCP_CLOSE_WAIT = 8,
    BPF_TCP_LAST_ACK = 9,
    BPF_TCP_LISTEN = 10,
    BPF_TCP_CLOSING = 11,
    BPF_TCP_NEW_SYN_RECV = 12,
    BPF_TCP_MAX_STATES = 13,
};

// Socket options that only programs can set.
enum {
    TCP_BPF_IW = 1001,
    TCP_BPF_SNDCWND_CLAMP = 1002,
    TCP_BPF_DELACK_MAX = 1003,
    TCP_BPF_RTO_MIN = 1004,
    TCP_BPF_SYN = 1005,
    TCP_BPF_SYN_IP = 1006,
    TCP_BPF_SYN_MAC = 1007,
};

// bpf_cgroup_dev_ctx.access_type: access in the upper half, kind of device in the lower.
enum {
    BPF_DEVCG_ACC_MKNOD = 1U << 0,
    BPF_DEVCG_ACC_READ = 1U << 1,
    BPF_DEVCG_ACC_WRITE = 1U << 2,
};

enum {
    BPF_DEVCG_DEV_BLOCK = 1U << 0,
    BPF_DEVCG_DEV_CHAR = 1U << 1,
};

struct bpf_cgroup_dev_ctx {
    __u32 access_type;
    __u32 major;
    __u32 minor;
};
BAREBPF_ABI_SIZE(struct bpf_cgroup_dev_ctx, 12);

struct bpf_raw_tracepoint_args {
    __u64 args[0];
};
BAREBPF_ABI_SIZE(struct bpf_raw_tracepoint_args, 0);

struct bpf_sysctl {
    __u32 write;
    __u32 file_pos;
};
BAREBPF_ABI_SIZE(struct bpf_sysctl, 8);

struct bpf_sockopt {
    __bpf_md_ptr(struct bpf_sock*, sk);
    __bpf_md_ptr(void*, optval);
    __bpf_md_ptr(void*, optval_end);
    __s32 level;
    __s32 optname;
    __s32 optlen;
    __s32 retval;
};
BAREBPF_ABI_SIZE(struct bpf_sockopt, 40);

#endif  // BAREBPF_UAPI_BPF_CONTEXTS_H
