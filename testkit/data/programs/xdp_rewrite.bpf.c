// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * XDP programs that change packets.
 *
 *   reply    answers IPv4 pings itself: swaps addresses, turns the type, corrects the checksum;
 * XDP_TX tunnel   puts an outer IPv4 header before each IPv4 packet (adjust_head); XDP_TX shorten
 * cuts each packet to 60 bytes (adjust_tail) and strips VLAN tags (adjust_head) mark     leaves a
 * note for TC before the packet (adjust_meta)
 */
#include "packet.h"

#define ICMP_ECHO_REPLY 0
#define ICMP_ECHO_REQUEST 8
#define TUNNEL_SOURCE 0xc6336401      /* 198.51.100.1 */
#define TUNNEL_DESTINATION 0xcb007101 /* 203.0.113.1 */

/* <linux/icmp.h> includes what a BPF target does not have. */
struct icmp_header {
    __u8 type;
    __u8 code;
    __be16 checksum;
};

static __always_inline __u16 fold(__s64 sum) {
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

static __always_inline void swap_macs(struct ethhdr* ethernet) {
    unsigned char mac[ETH_ALEN];
    __builtin_memcpy(mac, ethernet->h_dest, ETH_ALEN);
    __builtin_memcpy(ethernet->h_dest, ethernet->h_source, ETH_ALEN);
    __builtin_memcpy(ethernet->h_source, mac, ETH_ALEN);
}

SEC("xdp")
int reply(struct xdp_md* xdp) {
    struct cursor cursor = {(void*)(long)xdp->data, (void*)(long)xdp->data_end};
    struct ethhdr* ethernet = TAKE(&cursor, struct ethhdr);
    if (!ethernet || ethernet->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS;
    struct iphdr* ip = TAKE(&cursor, struct iphdr);
    if (!ip || ip->ihl != 5 || ip->protocol != IPPROTO_ICMP || ip->frag_off & bpf_htons(0x3fff))
        return XDP_PASS;
    struct icmp_header* icmp = TAKE(&cursor, struct icmp_header);
    if (!icmp || icmp->type != ICMP_ECHO_REQUEST) return XDP_PASS;

    swap_macs(ethernet);
    __be32 source = ip->saddr;
    ip->saddr = ip->daddr;
    ip->daddr = source;

    __be32 before = *(__be32*)icmp & bpf_htonl(0xffff0000);
    icmp->type = ICMP_ECHO_REPLY;
    __be32 after = *(__be32*)icmp & bpf_htonl(0xffff0000);
    __s64 sum = bpf_csum_diff(&before, 4, &after, 4, (__u16)~icmp->checksum);
    icmp->checksum = fold(sum);
    return XDP_TX;
}

SEC("xdp")
int tunnel(struct xdp_md* xdp) {
    struct cursor cursor = {(void*)(long)xdp->data, (void*)(long)xdp->data_end};
    struct ethhdr* old_ethernet = TAKE(&cursor, struct ethhdr);
    if (!old_ethernet || old_ethernet->h_proto != bpf_htons(ETH_P_IP)) return XDP_PASS;
    struct iphdr* inner = TAKE(&cursor, struct iphdr);
    if (!inner) return XDP_DROP;
    struct ethhdr ethernet = *old_ethernet;
    struct iphdr outer = {
        .version = 4,
        .ihl = 5,
        .tos = inner->tos,
        .tot_len = bpf_htons(bpf_ntohs(inner->tot_len) + sizeof(outer)),
        .id = inner->id,
        .ttl = 64,
        .protocol = IPPROTO_IPIP,
        .saddr = bpf_htonl(TUNNEL_SOURCE),
        .daddr = bpf_htonl(TUNNEL_DESTINATION),
    };
    outer.check = fold(bpf_csum_diff(0, 0, (__be32*)&outer, sizeof(outer), 0));

    if (bpf_xdp_adjust_head(xdp, -(int)sizeof(outer))) return XDP_ABORTED;
    cursor = (struct cursor){(void*)(long)xdp->data, (void*)(long)xdp->data_end};
    struct ethhdr* new_ethernet = TAKE(&cursor, struct ethhdr);
    struct iphdr* ip = new_ethernet ? TAKE(&cursor, struct iphdr) : 0;
    if (!ip) return XDP_ABORTED;
    *new_ethernet = ethernet;
    *ip = outer;
    return XDP_TX;
}

static __always_inline int strip_tag(struct xdp_md* xdp) {
    struct cursor cursor = {(void*)(long)xdp->data, (void*)(long)xdp->data_end};
    struct ethhdr* ethernet = TAKE(&cursor, struct ethhdr);
    if (!ethernet) return -1;
    if (ethernet->h_proto != bpf_htons(ETH_P_8021Q) && ethernet->h_proto != bpf_htons(ETH_P_8021AD))
        return 0;
    struct vlan_tag* tag = TAKE(&cursor, struct vlan_tag);
    if (!tag) return -1;
    struct ethhdr copy = *ethernet;
    copy.h_proto = tag->ether_type;
    if (bpf_xdp_adjust_head(xdp, sizeof(*tag))) return -1;
    cursor = (struct cursor){(void*)(long)xdp->data, (void*)(long)xdp->data_end};
    ethernet = TAKE(&cursor, struct ethhdr);
    if (!ethernet) return -1;
    *ethernet = copy;
    return 0;
}

SEC("xdp")
int shorten(struct xdp_md* xdp) {
    for (int i = 0; i < MAX_VLAN_TAGS; ++i)
        if (strip_tag(xdp)) return XDP_DROP;
    int excess = (int)(xdp->data_end - xdp->data) - 60;
    if (excess > 0 && bpf_xdp_adjust_tail(xdp, -excess)) return XDP_ABORTED;
    return XDP_PASS;
}

SEC("xdp")
int mark(struct xdp_md* xdp) {
    __u32 length = xdp->data_end - xdp->data;
    if (bpf_xdp_adjust_meta(xdp, -(int)sizeof(__u32))) return XDP_ABORTED;
    __u32* note = (void*)(long)xdp->data_meta;
    if ((void*)(note + 1) > (void*)(long)xdp->data) return XDP_ABORTED;
    *note = length;
    return *note > 100 ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
