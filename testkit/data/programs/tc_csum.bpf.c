// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * TC programs that change packets and keep the checksums right.
 *
 *   translate  IPv4: destination 192.0.2.2 becomes 198.51.100.2, TCP port 80 becomes 8080
 *   hop        IPv4: one from the time to live; what has none left is dropped
 *   stamp      writes and recomputes: store_bytes with BPF_F_RECOMPUTE_CSUM, then reads it back
 */
#include <linux/pkt_cls.h>
#include <stddef.h>
#include "packet.h"

#define IP_OFFSET ETH_HLEN
#define L4_OFFSET (IP_OFFSET + sizeof(struct iphdr))
#define OLD_ADDRESS 0xc0000202 /* 192.0.2.2 */
#define NEW_ADDRESS 0xc6336402 /* 198.51.100.2 */

static __always_inline int load_ipv4(struct __sk_buff* skb, struct iphdr* ip) {
    if (skb->protocol != bpf_htons(ETH_P_IP)) return -1;
    if (bpf_skb_load_bytes(skb, IP_OFFSET, ip, sizeof(*ip))) return -1;
    return ip->ihl == 5 && !(ip->frag_off & bpf_htons(0x1fff)) ? 0 : -1;
}

static __always_inline int new_port(struct __sk_buff* skb) {
    __u32 offset = L4_OFFSET + offsetof(struct tcphdr, dest);
    __be16 old_port, port = bpf_htons(8080);
    if (bpf_skb_load_bytes(skb, offset, &old_port, sizeof(old_port))) return -1;
    if (old_port != bpf_htons(80)) return 0;
    if (bpf_l4_csum_replace(skb, L4_OFFSET + offsetof(struct tcphdr, check), old_port, port, 2))
        return -1;
    return bpf_skb_store_bytes(skb, offset, &port, sizeof(port), 0);
}

SEC("tc")
int translate(struct __sk_buff* skb) {
    struct iphdr ip;
    __be32 address = bpf_htonl(NEW_ADDRESS);
    if (load_ipv4(skb, &ip) || ip.daddr != bpf_htonl(OLD_ADDRESS)) return TC_ACT_UNSPEC;

    if (ip.protocol == IPPROTO_TCP) {
        __u32 offset = L4_OFFSET + offsetof(struct tcphdr, check);
        if (bpf_l4_csum_replace(skb, offset, ip.daddr, address, BPF_F_PSEUDO_HDR | 4))
            return TC_ACT_SHOT;
        if (new_port(skb)) return TC_ACT_SHOT;
    } else if (ip.protocol == IPPROTO_UDP) {
        __u32 offset = L4_OFFSET + offsetof(struct udphdr, check);
        __u64 flags = BPF_F_PSEUDO_HDR | BPF_F_MARK_MANGLED_0 | 4;
        if (bpf_l4_csum_replace(skb, offset, ip.daddr, address, flags)) return TC_ACT_SHOT;
    }
    if (bpf_l3_csum_replace(skb, IP_OFFSET + offsetof(struct iphdr, check), ip.daddr, address, 4))
        return TC_ACT_SHOT;
    if (bpf_skb_store_bytes(skb, IP_OFFSET + offsetof(struct iphdr, daddr), &address, 4, 0))
        return TC_ACT_SHOT;
    return TC_ACT_OK;
}

SEC("tc")
int hop(struct __sk_buff* skb) {
    struct iphdr ip;
    if (load_ipv4(skb, &ip)) return TC_ACT_UNSPEC;
    if (ip.ttl <= 1) return TC_ACT_SHOT;
    /* Time to live and protocol make up one 16-bit word of the checksum. */
    __be16 before = bpf_htons(ip.ttl << 8 | ip.protocol);
    __be16 after = bpf_htons((ip.ttl - 1) << 8 | ip.protocol);
    if (bpf_l3_csum_replace(skb, IP_OFFSET + offsetof(struct iphdr, check), before, after, 2))
        return TC_ACT_SHOT;
    if (bpf_skb_store_bytes(skb, IP_OFFSET + offsetof(struct iphdr, ttl), &after, 1, 0))
        return TC_ACT_SHOT;
    return TC_ACT_OK;
}

SEC("tc")
int stamp(struct __sk_buff* skb) {
    const __u8 mac[ETH_ALEN] = {2, 0, 0, 0, 0, 0x99};
    __u8 back[ETH_ALEN];
    if (bpf_skb_store_bytes(skb, ETH_ALEN, mac, sizeof(mac), BPF_F_RECOMPUTE_CSUM))
        return TC_ACT_SHOT;
    if (bpf_skb_load_bytes(skb, ETH_ALEN, back, sizeof(back))) return TC_ACT_SHOT;
    skb->mark = skb->len;
    skb->cb[0] = back[5];
    return skb->cb[0] == 0x99 ? TC_ACT_OK : TC_ACT_SHOT;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
