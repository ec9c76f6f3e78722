/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Walks the headers of a packet between two packet pointers. Each step checks the end before it
 * reads, as the verifier demands, and leaves the cursor behind the header that it read.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_VLAN_TAGS 2
#define MAX_EXTENSION_HEADERS 6

struct cursor {
    void* at;
    void* end;
};

struct vlan_tag {
    __be16 control;
    __be16 ether_type;
};

/* Hop-by-hop, routing and destination options have this in common. */
struct extension_header {
    __u8 next;
    __u8 length; /* in units of 8 bytes, the first not counted */
};

struct fragment_header {
    __u8 next;
    __u8 reserved;
    __be16 offset_and_flags;
    __be32 id;
};

/* The header at the cursor, which moves behind it; null if the packet ends before. */
#define TAKE(cursor, type)                      \
    ({                                          \
        type* taken = (cursor)->at;             \
        if ((void*)(taken + 1) > (cursor)->end) \
            taken = 0;                          \
        else                                    \
            (cursor)->at = taken + 1;           \
        taken;                                  \
    })

/* Ethernet type in host order behind at most two VLAN tags, 0 if the packet is too short. */
static __always_inline __u16 take_ethernet(struct cursor* cursor, __u32* tags) {
    struct ethhdr* ethernet = TAKE(cursor, struct ethhdr);
    if (!ethernet) return 0;
    __u16 type = bpf_ntohs(ethernet->h_proto);
    for (*tags = 0; *tags < MAX_VLAN_TAGS; ++*tags) {
        if (type != ETH_P_8021Q && type != ETH_P_8021AD) break;
        struct vlan_tag* tag = TAKE(cursor, struct vlan_tag);
        if (!tag) return 0;
        type = bpf_ntohs(tag->ether_type);
    }
    return type;
}

/* IP protocol, or -1. `fragment` is set for all but the first fragment: they have no ports. */
static __always_inline int take_ipv4(struct cursor* cursor, _Bool* fragment) {
    struct iphdr* ip = TAKE(cursor, struct iphdr);
    if (!ip || ip->version != 4 || ip->ihl < 5) return -1;
    void* payload = (void*)ip + ip->ihl * 4;
    if (payload > cursor->end) return -1;
    cursor->at = payload;
    *fragment = (ip->frag_off & bpf_htons(0x1fff)) != 0;
    return ip->protocol;
}

/* The protocol behind all extension headers, or -1; counts them. */
static __always_inline int take_ipv6(struct cursor* cursor, _Bool* fragment, __u32* extensions) {
    struct ipv6hdr* ip = TAKE(cursor, struct ipv6hdr);
    if (!ip || ip->version != 6) return -1;
    __u8 next = ip->nexthdr;
    for (int i = 0; i < MAX_EXTENSION_HEADERS; ++i) {
        if (next == IPPROTO_FRAGMENT) {
            struct fragment_header* header = TAKE(cursor, struct fragment_header);
            if (!header) return -1;
            next = header->next;
            *fragment = (header->offset_and_flags & bpf_htons(0xfff8)) != 0;
        } else if (next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS) {
            struct extension_header* header = TAKE(cursor, struct extension_header);
            if (!header) return -1;
            next = header->next;
            cursor->at = (void*)header + (header->length + 1) * 8;
        } else {
            break;
        }
        ++*extensions;
        if (*fragment) break;
    }
    return next;
}

/* Source and destination port of TCP and UDP: at the same place in both. */
struct ports {
    __be16 source;
    __be16 destination;
};
