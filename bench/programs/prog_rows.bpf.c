// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rows that measure what programs do with maps besides look-ups by key in one map: values of this CPU,
// maps in maps, locks, callbacks. The client fills `hash` and `array` as it does for map_rows.bpf.c.
#include "rows.h"

struct key16 {
    u64 number, inverse;
};

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 1024);
    __type(key, struct key16);
    __type(value, u64);
} hash SEC(".maps");

struct inner_array {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1024);
    __type(key, u32);
    __type(value, u64);
} array SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(max_entries, 4);
    __type(key, u32);
    __array(values, struct inner_array);
} arrays SEC(".maps") = {.values = {&array, &array, &array, &array}};

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, 1024);
    __type(key, u32);
    __type(value, u64);
} percpu SEC(".maps");

struct locked {
    struct bpf_spin_lock lock;
    u32 pad;
    u64 sum;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 64);
    __type(key, u32);
    __type(value, struct locked);
} locked SEC(".maps");

const volatile u64 entries = 1024; /* of hash; a power of two */
u64 state = 0x9e3779b97f4a7c15;    /* the walk goes on from run to run */

ROW int do_percpu_array(struct __sk_buff* ctx) {
    u64 walk = state, sum = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u32 key = next_random(&walk) & 1023;
        u64* value = bpf_map_lookup_elem(&percpu, &key);
        if (value) sum += ++*value;
    }
    state = walk;
    return sum != 0;
}

ROW int do_inner_array(struct __sk_buff* ctx) {
    u64 walk = state, sum = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u64 number = next_random(&walk);
        const u32 key = number & 1023, which = number >> 10 & 3;
        void* inner = bpf_map_lookup_elem(&arrays, &which);
        const u64* value = inner ? bpf_map_lookup_elem(inner, &key) : 0;
        if (value) sum += *value;
    }
    state = walk;
    return sum;
}

ROW int do_locked_add(struct __sk_buff* ctx) {
    u64 walk = state, missing = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u32 key = next_random(&walk) & 63;
        struct locked* value = bpf_map_lookup_elem(&locked, &key);
        if (!value) {
            ++missing;
            continue;
        }
        bpf_spin_lock(&value->lock);
        value->sum += key;
        bpf_spin_unlock(&value->lock);
    }
    state = walk;
    return missing;
}

static long add(void* map, const struct key16* key, u64* value, u64* sum) {
    *sum += *value ^ key->number;
    return 0;
}

ROW int do_for_each(struct __sk_buff* ctx) {
    u64 sum = 0;
    const long visited = bpf_for_each_map_elem(&hash, add, &sum, 0);
    return sum + visited;
}

static long add_index(u32 index, u64* sum) {
    *sum += index ^ *sum << 1;
    return 0;
}

ROW int do_loop(struct __sk_buff* ctx) {
    u64 sum = 1;
    bpf_loop(OPERATIONS, add_index, &sum, 0);
    return sum;
}

ROW int do_cpu_number(struct __sk_buff* ctx) {
    u64 different = 0;
    const u32 first = bpf_get_smp_processor_id();
    for (u32 i = 0; i < OPERATIONS; ++i) different += bpf_get_smp_processor_id() != first;
    return different;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
