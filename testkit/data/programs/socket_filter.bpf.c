// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Socket filters in the old style: the packet is read with LD_ABS and LD_IND, which end the program
 * with 0 when they reach beyond the end. Returned is how many bytes to keep. A test run shows a
 * filter the packet from its network header on.
 */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/in.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

unsigned long long load_byte(void* skb, unsigned long long offset) asm("llvm.bpf.load.byte");
unsigned long long load_half(void* skb, unsigned long long offset) asm("llvm.bpf.load.half");
unsigned long long load_word(void* skb, unsigned long long offset) asm("llvm.bpf.load.word");

#define ALL 0xffff

/* IPv4: headers only of TCP, all of ICMP, nothing of UDP but DNS; IPv6: the first 128 bytes. */
SEC("socket")
int keep_headers(struct __sk_buff* skb) {
    if (skb->protocol == bpf_htons(ETH_P_IPV6)) return 128;
    if (skb->protocol != bpf_htons(ETH_P_IP)) return 0;
    __u32 header = (load_byte(skb, 0) & 0xf) * 4;
    if (load_half(skb, 6) & 0x1fff) return header; /* a fragment: has no ports */
    switch (load_byte(skb, 9)) {
        case IPPROTO_TCP:
            return header + (load_byte(skb, header + 12) >> 4) * 4;
        case IPPROTO_UDP:
            return load_half(skb, header) == 53 || load_half(skb, header + 2) == 53 ? ALL : 0;
        case IPPROTO_ICMP:
            return ALL;
    }
    return header;
}

/* The same place by two names: from the start of the data, and from the network header. */
SEC("socket")
int network_offset(struct __sk_buff* skb) {
    __u32 direct = load_word(skb, 0);
    __u32 network = load_word(skb, SKF_NET_OFF);
    return direct == network ? (direct >> 28) + 1 : 0;
}

/* Reads beyond the end of all but long packets, which ends the program there with 0. */
SEC("socket")
int long_only(struct __sk_buff* skb) {
    return (load_byte(skb, 200) & 3) + (load_word(skb, skb->len - 4) & 3) + 1;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
