// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Flags and modes that helpers take, and the codes they return. Each group names its helpers.
// Include "uapi/linux/bpf.h" rather than this part.
#ifndef BAREBPF_UAPI_BPF_HELPER_FLAGS_H
#define BAREBPF_UAPI_BPF_HELPER_FLAGS_H

#include "uapi/linux/barebpf/types.h"

// skb_store_bytes.
enum {
    BPF_F_RECOMPUTE_CSUM = 1U << 0,
    BPF_F_INVALIDATE_HASH = 1U << 1,
};

// l3_csum_replace, l4_csum_replace: the low four bits are the width of the field, 0 if `to` is a
// diff.
enum {
    BPF_F_HDR_FIELD_MASK = 0xf,
};

// l4_csum_replace.
enum {
    BPF_F_PSEUDO_HDR = 1U << 4,
    BPF_F_MARK_MANGLED_0 = 1U << 5,
    BPF_F_MARK_ENFORCE = 1U << 6,
    BPF_F_IPV6 = 1U << 7,
};

// skb_set_tunnel_key, skb_get_tunnel_key.
enum {
    BPF_F_TUNINFO_IPV6 = 1U << 0,
};

// skb_set_tunnel_key.
enum {
    BPF_F_ZERO_CSUM_TX = 1U << 1,
    BPF_F_DONT_FRAGMENT = 1U << 2,
    BPF_F_SEQ_NUMBER = 1U << 3,
};

// skb_get_tunnel_key.
enum {
    BPF_F_TUNINFO_FLAGS = 1U << 4,
};

// get_stackid, get_stack: the low byte is the number of frames to skip.
enum {
    BPF_F_SKIP_FIELD_MASK = 0xff,
    BPF_F_USER_STACK = 1U << 8,
    BPF_F_FAST_STACK_CMP = 1U << 9,
    BPF_F_REUSE_STACKID = 1U << 10,
    BPF_F_USER_BUILD_ID = 1U << 11,
};

// perf_event_output, perf_event_read, perf_event_read_value; CTXLEN is how much of a packet goes
// along.
enum {
    BPF_F_INDEX_MASK = 0xffffffff,
    BPF_F_CURRENT_CPU = BPF_F_INDEX_MASK,
    BPF_F_CTXLEN_MASK = 0xfffffULL << 32,
};

// sk_lookup_tcp, sk_lookup_udp, skc_lookup_tcp: netns.
enum {
    BPF_F_CURRENT_NETNS = -1L,
};

// csum_level.
enum {
    BPF_CSUM_LEVEL_QUERY = 0,
    BPF_CSUM_LEVEL_INC = 1,
    BPF_CSUM_LEVEL_DEC = 2,
    BPF_CSUM_LEVEL_RESET = 3,
};

// skb_adjust_room: mode, then flags. The length of an inner link header sits in the top byte.
enum bpf_adj_room_mode {
    BPF_ADJ_ROOM_NET = 0,
    BPF_ADJ_ROOM_MAC = 1,
};

enum {
    BPF_F_ADJ_ROOM_FIXED_GSO = 1U << 0,
    BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 = 1U << 1,
    BPF_F_ADJ_ROOM_ENCAP_L3_IPV6 = 1U << 2,
    BPF_F_ADJ_ROOM_ENCAP_L4_GRE = 1U << 3,
    BPF_F_ADJ_ROOM_ENCAP_L4_UDP = 1U << 4,
    BPF_F_ADJ_ROOM_NO_CSUM_RESET = 1U << 5,
    BPF_F_ADJ_ROOM_ENCAP_L2_ETH = 1U << 6,
};

enum {
    BPF_ADJ_ROOM_ENCAP_L2_MASK = 0xff,
    BPF_ADJ_ROOM_ENCAP_L2_SHIFT = 56,
};

#define BPF_F_ADJ_ROOM_ENCAP_L2(len) \
    (((__u64)(len)&BPF_ADJ_ROOM_ENCAP_L2_MASK) << BPF_ADJ_ROOM_ENCAP_L2_SHIFT)

// sysctl_get_name.
enum {
    BPF_F_SYSCTL_BASE_NAME = 1U << 0,
};

// sk_storage_get, inode_storage_get, task_storage_get.
enum {
    BPF_LOCAL_STORAGE_GET_F_CREATE = 1U << 0,
    BPF_SK_STORAGE_GET_F_CREATE = BPF_LOCAL_STORAGE_GET_F_CREATE,
};

// read_branch_records.
enum {
    BPF_F_GET_BRANCH_RECORDS_SIZE = 1U << 0,
};

// ringbuf_output, ringbuf_submit, ringbuf_discard.
enum {
    BPF_RB_NO_WAKEUP = 1U << 0,
    BPF_RB_FORCE_WAKEUP = 1U << 1,
};

// ringbuf_query.
enum {
    BPF_RB_AVAIL_DATA = 0,
    BPF_RB_RING_SIZE = 1,
    BPF_RB_CONS_POS = 2,
    BPF_RB_PROD_POS = 3,
};

// Header of a ring buffer record, as consumers see it.
enum {
    BPF_RINGBUF_BUSY_BIT = 1U << 31,
    BPF_RINGBUF_DISCARD_BIT = 1U << 30,
    BPF_RINGBUF_HDR_SZ = 8,
};

// sk_assign in a BPF_PROG_TYPE_SK_LOOKUP program.
enum {
    BPF_SK_LOOKUP_F_REPLACE = 1U << 0,
    BPF_SK_LOOKUP_F_NO_REUSEPORT = 1U << 1,
};

// skb_load_bytes_relative.
enum bpf_hdr_start_off {
    BPF_HDR_START_MAC = 0,
    BPF_HDR_START_NET = 1,
};

// lwt_push_encap.
enum bpf_lwt_encap_mode {
    BPF_LWT_ENCAP_SEG6 = 0,
    BPF_LWT_ENCAP_SEG6_INLINE = 1,
    BPF_LWT_ENCAP_IP = 2,
};

// bprm_opts_set.
enum {
    BPF_F_BPRM_SECUREEXEC = 1U << 0,
};

// redirect, clone_redirect and sk_msg redirects take INGRESS, redirect_map the other two.
enum {
    BPF_F_INGRESS = 1U << 0,
    BPF_F_BROADCAST = 1U << 3,
    BPF_F_EXCLUDE_INGRESS = 1U << 4,
};
#define BPF_F_REDIRECT_FLAGS (BPF_F_INGRESS | BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS)

// skb_set_tstamp, and __sk_buff.tstamp_type.
enum {
    BPF_SKB_TSTAMP_UNSPEC = 0,
    BPF_SKB_TSTAMP_DELIVERY_MONO = 1,
};

// load_hdr_opt.
enum {
    BPF_LOAD_HDR_OPT_TCP_SYN = 1U << 0,
};

// bpf_sock_ops.args[0] in BPF_SOCK_OPS_HDR_OPT_LEN_CB and WRITE_HDR_OPT_CB.
enum {
    BPF_WRITE_HDR_TCP_CURRENT_MSS = 1,
    BPF_WRITE_HDR_TCP_SYNACK_COOKIE = 2,
};

// fib_lookup: flags.
enum {
    BPF_FIB_LOOKUP_DIRECT = 1U << 0,
    BPF_FIB_LOOKUP_OUTPUT = 1U << 1,
    BPF_FIB_LOOKUP_SKIP_NEIGH = 1U << 2,
    BPF_FIB_LOOKUP_TBID = 1U << 3,
    BPF_FIB_LOOKUP_SRC = 1U << 4,
};

// fib_lookup: result.
enum {
    BPF_FIB_LKUP_RET_SUCCESS = 0,
    BPF_FIB_LKUP_RET_BLACKHOLE = 1,
    BPF_FIB_LKUP_RET_UNREACHABLE = 2,
    BPF_FIB_LKUP_RET_PROHIBIT = 3,
    BPF_FIB_LKUP_RET_NOT_FWDED = 4,
    BPF_FIB_LKUP_RET_FWD_DISABLED = 5,
    BPF_FIB_LKUP_RET_UNSUPP_LWT = 6,
    BPF_FIB_LKUP_RET_NO_NEIGH = 7,
    BPF_FIB_LKUP_RET_FRAG_NEEDED = 8,
    BPF_FIB_LKUP_RET_NO_SRC_ADDR = 9,
};

// check_mtu: flags.
enum bpf_check_mtu_flags {
    BPF_MTU_CHK_SEGS = 1U << 0,
};

// check_mtu: result.
enum bpf_check_mtu_ret {
    BPF_MTU_CHK_RET_SUCCESS = 0,
    BPF_MTU_CHK_RET_FRAG_NEEDED = 1,
    BPF_MTU_CHK_RET_SEGS_TOOBIG = 2,
};

// snprintf_btf, seq_printf_btf.
enum {
    BTF_F_COMPACT = 1U << 0,
    BTF_F_NONAME = 1U << 1,
    BTF_F_PTR_RAW = 1U << 2,
    BTF_F_ZERO = 1U << 3,
};

#endif  // BAREBPF_UAPI_BPF_HELPER_FLAGS_H
