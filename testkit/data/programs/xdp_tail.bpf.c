// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * XDP: tail calls. `dispatch` jumps by protocol into a program array that libbpf fills from its
 * declaration; an empty slot and an index beyond the end fall through. `forever` jumps to itself
 * until the limit stops it.
 */
#include "packet.h"

enum { SLOT_IPV4, SLOT_IPV6, SLOT_EMPTY, SLOT_FOREVER, SLOT_COUNT };

__u64 ipv4_packets;
__u64 ipv6_packets;
__u64 fell_through;
__u64 rounds;

int on_ipv4(struct xdp_md* xdp);
int on_ipv6(struct xdp_md* xdp);
int forever(struct xdp_md* xdp);

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, SLOT_COUNT);
    __uint(key_size, sizeof(__u32));
    __array(values, int(void*));
} parsers SEC(".maps") = {
    .values =
        {
            [SLOT_IPV4] = (void*)&on_ipv4,
            [SLOT_IPV6] = (void*)&on_ipv6,
            [SLOT_FOREVER] = (void*)&forever,
        },
};

SEC("xdp")
int on_ipv4(struct xdp_md* xdp) {
    ++ipv4_packets;
    return XDP_TX;
}

SEC("xdp")
int on_ipv6(struct xdp_md* xdp) {
    ++ipv6_packets;
    return XDP_PASS;
}

SEC("xdp")
int forever(struct xdp_md* xdp) {
    ++rounds;
    bpf_tail_call(xdp, &parsers, SLOT_FOREVER);
    return XDP_DROP;
}

static __noinline __u32 slot_of(struct xdp_md* xdp) {
    struct cursor cursor = {(void*)(long)xdp->data, (void*)(long)xdp->data_end};
    __u32 tags;
    switch (take_ethernet(&cursor, &tags)) {
        case ETH_P_IP:
            return SLOT_IPV4;
        case ETH_P_IPV6:
            return SLOT_IPV6;
        case ETH_P_ARP:
            return SLOT_EMPTY;
    }
    return SLOT_COUNT;
}

SEC("xdp")
int dispatch(struct xdp_md* xdp) {
    bpf_tail_call(xdp, &parsers, slot_of(xdp));
    ++fell_through;
    return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
