// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rows that measure maps. The client sets the sizes and fills the maps: key number n is {n, ~n}.
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

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1024);
    __type(key, u32);
    __type(value, u64);
} array SEC(".maps");

const volatile u64 entries = 1024; /* of hash; a power of two */
u64 state = 0x9e3779b97f4a7c15;    /* the walk goes on from run to run */

static __always_inline struct key16 key_of(u64 number) {
    return (struct key16){number, ~number};
}

ROW int hash_hit(struct __sk_buff* ctx) {
    u64 walk = state, sum = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const struct key16 key = key_of(next_random(&walk) & (entries - 1));
        const u64* value = bpf_map_lookup_elem(&hash, &key);
        if (value) sum += *value;
    }
    state = walk;
    return sum;
}

ROW int hash_miss(struct __sk_buff* ctx) {
    u64 walk = state, misses = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const struct key16 key = key_of((next_random(&walk) & (entries - 1)) + entries);
        misses += !bpf_map_lookup_elem(&hash, &key);
    }
    state = walk;
    return misses;
}

ROW int hash_update(struct __sk_buff* ctx) {
    u64 walk = state, failed = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u64 number = next_random(&walk) & (entries - 1);
        const struct key16 key = key_of(number);
        failed += bpf_map_update_elem(&hash, &key, &number, BPF_ANY) != 0;
    }
    state = walk;
    return failed;
}

/* Key numbers above those that stay: the map has room for one more. */
ROW int hash_insert_delete(struct __sk_buff* ctx) {
    u64 walk = state, failed = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u64 number = next_random(&walk) | 1ull << 63;
        const struct key16 key = key_of(number);
        failed += bpf_map_update_elem(&hash, &key, &number, BPF_NOEXIST) != 0;
        failed += bpf_map_delete_elem(&hash, &key) != 0;
    }
    state = walk;
    return failed;
}

ROW int array_lookup(struct __sk_buff* ctx) {
    u64 walk = state, sum = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u32 index = next_random(&walk) & 1023;
        const u64* value = bpf_map_lookup_elem(&array, &index);
        if (value) sum += *value;
    }
    state = walk;
    return sum;
}

ROW int array_add(struct __sk_buff* ctx) {
    u64 walk = state, found = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u32 index = next_random(&walk) & 1023;
        u64* value = bpf_map_lookup_elem(&array, &index);
        if (!value) continue;
        __sync_fetch_and_add(value, 0);
        ++found;
    }
    state = walk;
    return found;
}

char _license[] SEC("license") = "GPL";
