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
    if (value) *value += 1;
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
