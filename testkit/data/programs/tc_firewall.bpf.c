// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * TC: a small firewall. Rules are in two hash maps, of services (protocol and destination port) and
 * of addresses; what to start with is in .rodata, where a loader may change it before the load, and
 * the first packet puts it into the maps. Counters are in .bss.
 */
#include <linux/pkt_cls.h>
#include "packet.h"

#define MAX_RULES 8

struct service {
    __u16 protocol; /* 0 ends the list */
    __u16 port;
};

struct address {
    __u32 words[4]; /* network order; IPv4 in the last, after ::ffff */
};

enum reason {
    REASON_ALLOWED,
    REASON_NOT_IP,
    REASON_MALFORMED,
    REASON_FRAGMENT,
    REASON_SERVICE,
    REASON_ADDRESS,
    REASON_COUNT,
};

const volatile struct service initial_services[MAX_RULES] = {
    {IPPROTO_TCP, 81},
    {IPPROTO_UDP, 5353},
    {IPPROTO_TCP, 53},
};
const volatile struct address initial_addresses[MAX_RULES] = {
    {{bpf_htonl(0xff020000), 0, 0, bpf_htonl(1)}}, /* ff02::1 */
};
const volatile _Bool drop_fragments = 1;
const volatile __u32 verdict_for_other = TC_ACT_OK; /* what is neither IPv4 nor IPv6 */

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 128);
    __type(key, struct service);
    __type(value, __u64); /* packets dropped */
} blocked_services SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 128);
    __type(key, struct address);
    __type(value, __u64);
} blocked_addresses SEC(".maps");

__u64 packets[REASON_COUNT];
__u64 bytes_seen;
_Bool rules_are_in;

static __noinline void put_rules_in(void) {
    __u64 none = 0;
    for (int i = 0; i < MAX_RULES; ++i) {
        struct service service = {initial_services[i].protocol, initial_services[i].port};
        if (!service.protocol) break;
        bpf_map_update_elem(&blocked_services, &service, &none, BPF_NOEXIST);
    }
    for (int i = 0; i < MAX_RULES; ++i) {
        struct address address;
        for (int word = 0; word < 4; ++word) address.words[word] = initial_addresses[i].words[word];
        if (!address.words[3]) break;
        bpf_map_update_elem(&blocked_addresses, &address, &none, BPF_NOEXIST);
    }
    rules_are_in = 1;
}

static __noinline int is_blocked_service(__u32 protocol, __u32 port) {
    struct service service = {protocol, port};
    __u64* hits = bpf_map_lookup_elem(&blocked_services, &service);
    if (!hits) return 0;
    __sync_fetch_and_add(hits, 1);
    return 1;
}

static __always_inline int is_blocked_address(const struct address* address) {
    __u64* hits = bpf_map_lookup_elem(&blocked_addresses, address);
    if (!hits) return 0;
    __sync_fetch_and_add(hits, 1);
    return 1;
}

/* A global function: verified on its own, so that it has to cope with every `reason`. */
__attribute__((noinline)) int decide(__u32 reason) {
    if (reason >= REASON_COUNT) return TC_ACT_SHOT;
    __sync_fetch_and_add(&packets[reason], 1);
    if (reason == REASON_NOT_IP) return verdict_for_other;
    return reason == REASON_ALLOWED ? TC_ACT_OK : TC_ACT_SHOT;
}

/* Either address of the packet at `offset` into it; copied out, not accessed in place. */
static __always_inline int any_blocked(struct __sk_buff* skb, __u32 offset, _Bool version6) {
    for (int i = 0; i < 2; ++i) {
        struct address address = {{0, 0, bpf_htonl(0xffff), 0}};
        long failed = version6 ? bpf_skb_load_bytes(skb, offset + 8 + 16 * i, address.words, 16)
                               : bpf_skb_load_bytes(skb, offset + 12 + 4 * i, &address.words[3], 4);
        if (failed) return -1;
        if (is_blocked_address(&address)) return 1;
    }
    return 0;
}

SEC("tc")
int firewall(struct __sk_buff* skb) {
    void* start = (void*)(long)skb->data;
    struct cursor cursor = {start, (void*)(long)skb->data_end};
    __u32 tags = 0, extensions = 0;
    _Bool fragment = 0;

    if (!rules_are_in) put_rules_in();
    bytes_seen += skb->len;

    __u16 type = take_ethernet(&cursor, &tags);
    if (!type) return decide(REASON_MALFORMED);
    if (type != ETH_P_IP && type != ETH_P_IPV6) return decide(REASON_NOT_IP);
    __u32 offset = sizeof(struct ethhdr) + tags * sizeof(struct vlan_tag);
    int protocol = type == ETH_P_IP ? take_ipv4(&cursor, &fragment)
                                    : take_ipv6(&cursor, &fragment, &extensions);
    if (protocol < 0) return decide(REASON_MALFORMED);
    if (fragment && drop_fragments) return decide(REASON_FRAGMENT);

    int blocked = any_blocked(skb, offset, type == ETH_P_IPV6);
    if (blocked) return decide(blocked < 0 ? REASON_MALFORMED : REASON_ADDRESS);
    if (!fragment && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)) {
        struct ports* ports = TAKE(&cursor, struct ports);
        if (!ports) return decide(REASON_MALFORMED);
        if (is_blocked_service(protocol, bpf_ntohs(ports->destination)))
            return decide(REASON_SERVICE);
    }
    return decide(REASON_ALLOWED);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
