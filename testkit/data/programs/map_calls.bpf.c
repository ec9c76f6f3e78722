// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * XDP: programs that leave the plain look-up behind. Locks in values, callbacks over the elements of a
 * map and over numbers, the values of other CPUs, queues. Results are in globals.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "map_calls.h"

#define MAP(TYPE, NAME, KEY, VALUE, ENTRIES) \
    struct {                                 \
        __uint(type, TYPE);                  \
        __type(key, KEY);                    \
        __type(value, VALUE);                \
        __uint(max_entries, ENTRIES);        \
    } NAME SEC(".maps")

MAP(BPF_MAP_TYPE_HASH, locked_hash, __u32, struct pair_value, 8);
MAP(BPF_MAP_TYPE_ARRAY, locked_array, __u32, struct pair_value, 4);
MAP(BPF_MAP_TYPE_HASH, numbers, __u32, __u64, 64);
MAP(BPF_MAP_TYPE_ARRAY, slots, __u32, __u64, 16);
MAP(BPF_MAP_TYPE_PERCPU_HASH, percpu, __u32, __u64, 8);
MAP(BPF_MAP_TYPE_PROG_ARRAY, progs, __u32, __u32, 2);

__u64 mismatches; /* pairs that were not alike under the lock */
struct walk walk;
__s64 visited;
__u64 other_cpu;

static __always_inline void add_locked(struct pair_value *value) {
    int differs;

    bpf_spin_lock(&value->lock);
    differs = value->first != value->second;
    value->first += 1;
    value->second += 1;
    bpf_spin_unlock(&value->lock);
    if (differs) __sync_fetch_and_add(&mismatches, 1);
}

SEC("xdp")
int lock_both(struct xdp_md *xdp) {
    __u32 key = 1;
    struct pair_value *value = bpf_map_lookup_elem(&locked_hash, &key);

    if (!value) return XDP_ABORTED;
    add_locked(value);
    value = bpf_map_lookup_elem(&locked_array, &key);
    if (!value) return XDP_ABORTED;
    add_locked(value);
    return XDP_PASS;
}

static long add_number(void *map, __u32 *key, __u64 *value, struct walk *to) {
    to->sum += *key * *value;
    to->count += 1;
    return to->count == to->most;
}

/* Elements of the hash, then those of the array into the same sums. */
SEC("xdp")
int walk_maps(struct xdp_md *xdp) {
    struct walk local = {.most = walk.most};

    visited = bpf_for_each_map_elem(&numbers, add_number, &local, 0);
    if (local.count < local.most) visited += bpf_for_each_map_elem(&slots, add_number, &local, 0);
    walk.sum = local.sum;
    walk.count = local.count;
    return XDP_PASS;
}

static long lock_each(void *map, __u32 *key, struct pair_value *value, void *none) {
    add_locked(value);
    return 0;
}

SEC("xdp")
int lock_each_value(struct xdp_md *xdp) {
    visited = bpf_for_each_map_elem(&locked_hash, lock_each, 0, 0);
    return XDP_PASS;
}

/* An element that the callback deletes, and those that it adds meanwhile. */
static long forget(void *map, __u32 *key, __u64 *value, void *none) {
    __u32 copy = *key;

    bpf_map_delete_elem(map, &copy);
    return 0;
}

SEC("xdp")
int forget_all(struct xdp_md *xdp) {
    visited = bpf_for_each_map_elem(&numbers, forget, 0, 0);
    return XDP_PASS;
}

static __noinline __u64 square(__u64 of) {
    return of * of;
}

static long add_square(__u32 index, struct walk *to) {
    to->sum += square(index);
    to->count += 1;
    return to->count == to->most;
}

SEC("xdp")
int loop_numbers(struct xdp_md *xdp) {
    struct walk local = {.most = walk.most};

    visited = bpf_loop(xdp->data_end - xdp->data, add_square, &local, 0);
    walk.sum = local.sum;
    walk.count = local.count;
    return XDP_PASS;
}

/* A tail call before and behind callbacks. */
SEC("xdp")
int callbacks_and_tail_call(struct xdp_md *xdp) {
    struct walk local = {};

    visited = bpf_loop(10, add_square, &local, 0);
    bpf_tail_call(xdp, &progs, 0);
    return XDP_ABORTED;
}

SEC("xdp")
int tail_target(struct xdp_md *xdp) {
    struct walk local = {};

    visited += 1000 * bpf_loop(5, add_square, &local, 0);
    bpf_tail_call(xdp, &progs, 1);
    return XDP_TX;
}

SEC("xdp")
int count_on_this_cpu(struct xdp_md *xdp) {
    __u32 key = 0, cpu = bpf_get_smp_processor_id();
    __u64 *mine = bpf_map_lookup_elem(&percpu, &key);
    __u64 *same = bpf_map_lookup_percpu_elem(&percpu, &key, cpu);
    __u64 *none = bpf_map_lookup_percpu_elem(&percpu, &key, 100000);

    if (!mine || !same || none) return XDP_ABORTED;
    *mine += 1;
    other_cpu = *same;
    return mine == same ? XDP_PASS : XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
