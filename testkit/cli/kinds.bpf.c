// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* For cli_test.py: maps of the types that shapes.bpf.c has not, and a program that leaves something in some of them. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct flow {
    __u32 address;
    __u16 port;
    __u16 protocol;
};

struct counter {
    __u64 packets;
    __u64 bytes;
};

#define COUNTERS(name, map_type)       \
    struct {                           \
        __uint(type, map_type);        \
        __uint(max_entries, 64);       \
        __type(key, struct flow);      \
        __type(value, struct counter); \
    } name SEC(".maps")

COUNTERS(per_cpu, BPF_MAP_TYPE_PERCPU_HASH);
COUNTERS(recent, BPF_MAP_TYPE_LRU_HASH);
COUNTERS(recent_per_cpu, BPF_MAP_TYPE_LRU_PERCPU_HASH);

struct inner {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, __u64);
} first SEC(".maps"), second SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
    __uint(max_entries, 4);
    __type(key, __u32);
    __array(values, struct inner);
} tables SEC(".maps") = {.values = {[7] = &first, [9] = &second}};

int kinds(struct xdp_md* ctx);
int other(struct xdp_md* ctx);

struct {
    __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
    __uint(max_entries, 4);
    __uint(key_size, sizeof(__u32));
    __array(values, int(void*));
} jumps SEC(".maps") = {.values = {[0] = (void*)&kinds, [3] = (void*)&other}};

struct {
    __uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
    __uint(max_entries, 2);
    __type(key, __u32);
    __type(value, __u32);
} groups SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_STACK_TRACE);
    __uint(max_entries, 16);
    __uint(key_size, sizeof(__u32));
    __uint(value_size, 8 * sizeof(__u64));
} traces SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} records SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_USER_RINGBUF);
    __uint(max_entries, 8192);
} requests SEC(".maps");

static __always_inline void count(void* map, __u64 bytes) {
    struct flow flow = {0x0100007f, 53, 17};
    struct counter one = {1, bytes};
    struct counter* counter = bpf_map_lookup_elem(map, &flow);
    if (!counter) {
        bpf_map_update_elem(map, &flow, &one, BPF_ANY);
        return;
    }
    counter->packets += 1;
    counter->bytes += bytes;
}

SEC("xdp")
int kinds(struct xdp_md* ctx) {
    __u64 bytes = (__u64)(ctx->data_end - ctx->data);
    count(&per_cpu, bytes);
    count(&recent, bytes);
    count(&recent_per_cpu, bytes);
    bpf_ringbuf_output(&records, &bytes, sizeof bytes, 0);
    __u32 nine = 9, zero = 0;
    void* table = bpf_map_lookup_elem(&tables, &nine);
    __u64* packets = table ? bpf_map_lookup_elem(table, &zero) : 0;
    if (packets) *packets += 1;
    bpf_tail_call(ctx, &jumps, 3);
    return XDP_ABORTED;
}

SEC("xdp")
int other(struct xdp_md* ctx) {
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
