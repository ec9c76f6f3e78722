// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* For cli_test.py: maps of many types, and a program that leaves something in some of them. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct counter {
    __u64 packets;
    __u64 bytes;
};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 3);
    __type(key, __u32);
    __type(value, struct counter);
} counters SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(key_size, 4);
    __uint(value_size, 4);
    __uint(max_entries, 64);
} events SEC(".maps");

struct inner {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, __u64);
} first SEC(".maps"), second SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 4);
    __type(key, __u32);
    __array(values, struct inner);
} outer SEC(".maps") = {.values = {[1] = &first, [3] = &second}};

struct prefix {
    __u32 length;
    __u8 address[4];
};

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(max_entries, 8);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __type(key, struct prefix);
    __type(value, __u32);
} routes SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_QUEUE);
    __uint(max_entries, 4);
    __type(value, __u32);
} queue SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_STACK);
    __uint(max_entries, 4);
    __type(value, __u32);
} stack SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
    __uint(max_entries, 100);
    __uint(map_extra, 3);
    __type(value, __u32);
} filter SEC(".maps");

static __always_inline void fill(void) {
    struct prefix network = {16, {10, 1, 0, 0}};
    __u32 seven = 7, eight = 8;
    bpf_map_update_elem(&routes, &network, &seven, BPF_ANY);
    bpf_map_push_elem(&queue, &seven, BPF_EXIST);
    bpf_map_push_elem(&queue, &eight, BPF_EXIST);
    bpf_map_push_elem(&stack, &seven, BPF_EXIST);
    bpf_map_push_elem(&stack, &eight, BPF_EXIST);
    bpf_map_push_elem(&filter, &seven, BPF_ANY);
}

SEC("xdp")
int shapes(struct xdp_md* ctx) {
    __u32 one = 1, three = 3;
    struct counter* counter = bpf_map_lookup_elem(&counters, &one);
    if (counter) {
        counter->packets += 1;
        counter->bytes += (__u64)(ctx->data_end - ctx->data);
    }
    void* map = bpf_map_lookup_elem(&outer, &three);
    if (!map) return XDP_ABORTED;
    __u64* value = bpf_map_lookup_elem(map, &one);
    if (value && *value < 2) fill();
    if (value) *value += 1;
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
