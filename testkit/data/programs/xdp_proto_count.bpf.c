// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * XDP: counts packets and bytes by protocol, by kind and by service. Lets everything pass but
 * packets that end inside a header.
 */
#include "xdp_proto_count.h"

#include "packet.h"

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 256);
    __type(key, struct protocol);
    __type(value, struct counter);
} protocols SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct service);
    __type(value, struct counter);
} services SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, KIND_COUNT);
    __type(key, __u32);
    __type(value, struct counter);
} kinds SEC(".maps");

static __always_inline void add(struct counter* counter, __u64 bytes) {
    __sync_fetch_and_add(&counter->packets, 1);
    __sync_fetch_and_add(&counter->bytes, bytes);
}

static __always_inline void count(void* hash, const void* key, __u64 bytes) {
    struct counter* counter = bpf_map_lookup_elem(hash, key);
    if (!counter) {
        struct counter zero = {};
        bpf_map_update_elem(hash, key, &zero, BPF_NOEXIST);
        counter = bpf_map_lookup_elem(hash, key);
    }
    if (counter) add(counter, bytes);
}

static __always_inline void count_kind(__u32 kind, __u64 bytes) {
    struct counter* counter = bpf_map_lookup_elem(&kinds, &kind);
    if (counter) add(counter, bytes);
}

static __always_inline int cut(__u64 bytes) {
    count_kind(KIND_CUT, bytes);
    return XDP_DROP;
}

SEC("xdp")
int proto_count(struct xdp_md* xdp) {
    struct cursor cursor = {(void*)(long)xdp->data, (void*)(long)xdp->data_end};
    __u64 bytes = cursor.end - cursor.at;
    __u32 tags = 0, extensions = 0;
    _Bool fragment = 0;

    count_kind(KIND_ALL, bytes);
    __u16 type = take_ethernet(&cursor, &tags);
    if (!type) return cut(bytes);
    int ip_protocol = 0;
    if (type == ETH_P_IP)
        ip_protocol = take_ipv4(&cursor, &fragment);
    else if (type == ETH_P_IPV6)
        ip_protocol = take_ipv6(&cursor, &fragment, &extensions);
    if (ip_protocol < 0) return cut(bytes);

    struct protocol protocol = {type, ip_protocol};
    count(&protocols, &protocol, bytes);
    if (tags) count_kind(KIND_VLAN, bytes);
    if (extensions) count_kind(KIND_EXTENSION, bytes);
    if (fragment) {
        count_kind(KIND_FRAGMENT, bytes);
        return XDP_PASS;
    }
    if (ip_protocol == IPPROTO_TCP || ip_protocol == IPPROTO_UDP) {
        struct ports* ports = TAKE(&cursor, struct ports);
        if (!ports) return cut(bytes);
        __u16 source = bpf_ntohs(ports->source), destination = bpf_ntohs(ports->destination);
        struct service service = {ip_protocol, source < destination ? source : destination};
        count(&services, &service, bytes);
    }
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
