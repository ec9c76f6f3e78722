// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * XDP: one helper call on a map of each kind that is more than a table. What to ask for and what came
 * back are in globals.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "map_kinds.h"

#define MAP(TYPE, NAME, ENTRIES)           \
    struct {                               \
        __uint(type, BPF_MAP_TYPE_##TYPE); \
        __type(key, __u32);                \
        __type(value, __u64);              \
        __uint(max_entries, ENTRIES);      \
    } NAME SEC(".maps")

/* Without keys. */
#define KEYLESS_MAP(TYPE, NAME, ENTRIES)   \
    struct {                               \
        __uint(type, BPF_MAP_TYPE_##TYPE); \
        __type(value, __u64);              \
        __uint(max_entries, ENTRIES);      \
    } NAME SEC(".maps")

struct inner {
    __uint(type, BPF_MAP_TYPE_HASH);
    __type(key, __u32);
    __type(value, __u64);
    __uint(max_entries, 2);
} inner SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
    __type(key, __u32);
    __uint(max_entries, 4);
    __array(values, struct inner);
} outer SEC(".maps");

KEYLESS_MAP(QUEUE, queue, 3);
KEYLESS_MAP(STACK, stack, 3);
KEYLESS_MAP(BLOOM_FILTER, bloom, 1000);
MAP(PERCPU_ARRAY, percpu_array, 4);
MAP(PERCPU_HASH, percpu_hash, 4);
MAP(LRU_PERCPU_HASH, lru_percpu_hash, 64);
MAP(HASH, walked, 64); /* the client sets other types */

__u32 key, inner_key, cpu;
__u64 flags, number; /* the value to push, and the one that was found */
__s64 result;
__u32 hit;
struct visit visit;

/* The stack is not initialised where the helper fills it. */
#define QUEUE_PROGRAMS(NAME)                              \
    SEC("xdp")                                            \
    int NAME##_push(struct xdp_md* xdp) {                 \
        __u64 value = number;                             \
        result = bpf_map_push_elem(&NAME, &value, flags); \
        return XDP_PASS;                                  \
    }                                                     \
    SEC("xdp")                                            \
    int NAME##_pop(struct xdp_md* xdp) {                  \
        __u64 value;                                      \
        result = bpf_map_pop_elem(&NAME, &value);         \
        number = value;                                   \
        return XDP_PASS;                                  \
    }                                                     \
    SEC("xdp")                                            \
    int NAME##_peek(struct xdp_md* xdp) {                 \
        __u64 value;                                      \
        result = bpf_map_peek_elem(&NAME, &value);        \
        number = value;                                   \
        return XDP_PASS;                                  \
    }

QUEUE_PROGRAMS(queue)
QUEUE_PROGRAMS(stack)

SEC("xdp")
int bloom_push(struct xdp_md* xdp) {
    __u64 value = number;
    result = bpf_map_push_elem(&bloom, &value, flags);
    return XDP_PASS;
}

SEC("xdp")
int bloom_peek(struct xdp_md* xdp) {
    __u64 value = number;
    result = bpf_map_peek_elem(&bloom, &value);
    number = value;
    return XDP_PASS;
}

/* The number goes into the inner map; one more than what was there before comes back. */
SEC("xdp")
int inner_update(struct xdp_md* xdp) {
    void* map = bpf_map_lookup_elem(&outer, &key);
    __u64 value = number, *found;

    hit = 0;
    if (!map) return XDP_DROP;
    found = bpf_map_lookup_elem(map, &inner_key);
    if (found) {
        hit = 1;
        *found += 1;
        number = *found;
    }
    result = bpf_map_update_elem(map, &inner_key, &value, flags);
    return XDP_PASS;
}

SEC("xdp")
int inner_delete(struct xdp_md* xdp) {
    void* map = bpf_map_lookup_elem(&outer, &key);

    if (!map) return XDP_DROP;
    result = bpf_map_delete_elem(map, &inner_key);
    return XDP_PASS;
}

/* The value of a CPU, in which the program leaves another; and whether this CPU's is the plain one. */
#define PERCPU_PROGRAM(NAME)                                              \
    SEC("xdp")                                                            \
    int NAME##_look(struct xdp_md* xdp) {                                 \
        __u64* value = bpf_map_lookup_percpu_elem(&NAME, &key, cpu);      \
        __u32 here = bpf_get_smp_processor_id();                          \
        __u64* mine = bpf_map_lookup_percpu_elem(&NAME, &key, here);      \
        __u64* plain = bpf_map_lookup_elem(&NAME, &key);                  \
                                                                          \
        if (mine != plain) return XDP_ABORTED;                            \
        if (!value) return XDP_DROP;                                      \
        number = *value;                                                  \
        *value += 1000;                                                   \
        return (value == mine) == (cpu == here) ? XDP_PASS : XDP_ABORTED; \
    }

PERCPU_PROGRAM(percpu_array)
PERCPU_PROGRAM(percpu_hash)
PERCPU_PROGRAM(lru_percpu_hash)

static long visit_element(void* map, __u32* at, __u64* value, struct visit* to) {
    to->keys += *at;
    to->values += *value;
    to->count += 1;
    *value += 1000;
    return to->count == to->most;
}

SEC("xdp")
int walk(struct xdp_md* xdp) {
    struct visit local = {.most = visit.most};

    result = bpf_for_each_map_elem(&walked, visit_element, &local, flags);
    visit = local;
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
