// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rows that measure hashes beyond map_rows: other key sizes, per-CPU values, two threads on one map. The
// client (bench/hash_client.h) sets the sizes and fills the maps. Each CPU walks on its own.
#include "rows.h"

struct key16 {
    u64 number, inverse;
};
struct key64 {
    u64 number, inverse, rest[6];
};

#define HASH_OF(NAME, TYPE, KEY, FLAGS)    \
    struct {                               \
        __uint(type, BPF_MAP_TYPE_##TYPE); \
        __uint(max_entries, 1024);         \
        __uint(map_flags, FLAGS);          \
        __type(key, KEY);                  \
        __type(value, u64);                \
    } NAME SEC(".maps")

HASH_OF(hash4, HASH, u32, 0);
HASH_OF(hash64, HASH, struct key64, 0);
HASH_OF(percpu, PERCPU_HASH, struct key16, 0);
HASH_OF(shared, HASH, struct key16, 0);
HASH_OF(demand, HASH, struct key16, BPF_F_NO_PREALLOC);

const volatile u64 entries = 1024; /* a power of two */

/* A walk for each CPU, on its own cache line. */
struct {
    u64 state, unused[7];
} walks[64];

static __always_inline u64* this_walk(void) {
    u64* state = &walks[bpf_get_smp_processor_id() & 63].state;
    if (!*state) *state = 0x9e3779b97f4a7c15 ^ (bpf_get_smp_processor_id() + 1);
    return state;
}
static __always_inline struct key16 key_of(u64 number) {
    return (struct key16){number, ~number};
}

ROW int hash4_hit(struct __sk_buff* ctx) {
    u64* state = this_walk();
    u64 walk = *state, sum = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u32 key = next_random(&walk) & (entries - 1);
        const u64* value = bpf_map_lookup_elem(&hash4, &key);
        if (value) sum += *value;
    }
    *state = walk;
    return sum;
}

ROW int hash64_hit(struct __sk_buff* ctx) {
    u64* state = this_walk();
    u64 walk = *state, sum = 0;
    struct key64 key = {};
    for (u32 i = 0; i < OPERATIONS; ++i) {
        key.number = next_random(&walk) & (entries - 1);
        key.inverse = ~key.number;
        const u64* value = bpf_map_lookup_elem(&hash64, &key);
        if (value) sum += *value;
    }
    *state = walk;
    return sum;
}

ROW int percpu_hit(struct __sk_buff* ctx) {
    u64* state = this_walk();
    u64 walk = *state, found = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const struct key16 key = key_of(next_random(&walk) & (entries - 1));
        u64* value = bpf_map_lookup_elem(&percpu, &key);
        if (!value) continue;
        ++*value;
        ++found;
    }
    *state = walk;
    return found;
}

ROW int two_update(struct __sk_buff* ctx) {
    u64* state = this_walk();
    u64 walk = *state, failed = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u64 number = next_random(&walk) & (entries - 1);
        const struct key16 key = key_of(number);
        failed += bpf_map_update_elem(&shared, &key, &number, BPF_ANY) != 0;
    }
    *state = walk;
    return failed;
}

/* Key numbers above those that stay, and another for each CPU. */
static __always_inline u64 fresh_number(u64* walk) {
    return (next_random(walk) | 1ull << 63) << 6 | bpf_get_smp_processor_id() | 1ull << 63;
}

ROW int two_insert_delete(struct __sk_buff* ctx) {
    u64* state = this_walk();
    u64 walk = *state, failed = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u64 number = fresh_number(&walk);
        const struct key16 key = key_of(number);
        failed += bpf_map_update_elem(&shared, &key, &number, BPF_NOEXIST) != 0;
        failed += bpf_map_delete_elem(&shared, &key) != 0;
    }
    *state = walk;
    return failed;
}

/* Without preallocation: 256 insertions, then 256 deletions, and so on. */
ROW int two_demand(struct __sk_buff* ctx) {
    u64* state = this_walk();
    u64 walk = *state, failed = 0;
    for (u32 batch = 0; batch < OPERATIONS / 256; ++batch) {
        const u64 first = fresh_number(&walk);
        for (u64 i = 0; i < 256; ++i) {
            const struct key16 key = key_of(first + (i << 6));
            failed += bpf_map_update_elem(&demand, &key, &first, BPF_NOEXIST) != 0;
        }
        for (u64 i = 0; i < 256; ++i) {
            const struct key16 key = key_of(first + (i << 6));
            failed += bpf_map_delete_elem(&demand, &key) != 0;
        }
    }
    *state = walk;
    return failed;
}

char _license[] SEC("license") = "GPL";
