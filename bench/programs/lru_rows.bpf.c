// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rows that measure LRU maps, with lists for all CPUs. The client (bench/lru_client.h) sets the sizes, fills
// three quarters of `lru`, and draws `zipf` from four times as many keys as a map holds. Each CPU walks on
// its own.
#include "rows.h"

#define SAMPLES (1 << 20)

struct key16 {
    u64 number, inverse;
};

#define LRU(NAME)                            \
    struct {                                 \
        __uint(type, BPF_MAP_TYPE_LRU_HASH); \
        __uint(max_entries, 1024);           \
        __type(key, struct key16);           \
        __type(value, u64);                  \
    } NAME SEC(".maps")

LRU(lru); /* whose keys stay */
LRU(lru_uniform);
LRU(lru_skewed);
LRU(lru_shared);
LRU(cache_uniform);
LRU(cache_skewed);

const volatile u64 entries = 1024; /* a power of two */
u32 zipf[SAMPLES];
u64 hits, looks; /* of the caches */

/* A walk for each CPU, on its own cache line. */
struct {
    u64 state, at, unused[6];
} walks[64];

static __always_inline u32 this_cpu(void) {
    return bpf_get_smp_processor_id() & 63;
}
static __always_inline u64* this_walk(void) {
    u64* state = &walks[this_cpu()].state;
    if (!*state) *state = 0x9e3779b97f4a7c15 ^ (this_cpu() + 1);
    return state;
}
static __always_inline struct key16 key_of(u64 number) {
    return (struct key16){number, ~number};
}
/* One of those that are there. */
static __always_inline u64 number_below(u64 random) {
    return ((random & (entries - 1)) * 3) >> 2;
}

ROW int lru_hit(struct __sk_buff* ctx) {
    u64* state = this_walk();
    u64 walk = *state, sum = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const struct key16 key = key_of(number_below(next_random(&walk)));
        const u64* value = bpf_map_lookup_elem(&lru, &key);
        if (value) sum += *value;
    }
    *state = walk;
    return sum;
}

ROW int lru_update(struct __sk_buff* ctx) {
    u64* state = this_walk();
    u64 walk = *state, failed = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u64 number = number_below(next_random(&walk));
        const struct key16 key = key_of(number);
        failed += bpf_map_update_elem(&lru, &key, &number, BPF_ANY) != 0;
    }
    *state = walk;
    return failed;
}

static __always_inline int evict_uniform(void* map) {
    u64* state = this_walk();
    u64 walk = *state, failed = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u64 number = next_random(&walk) & (4 * entries - 1);
        const struct key16 key = key_of(number);
        failed += bpf_map_update_elem(map, &key, &number, BPF_ANY) != 0;
    }
    *state = walk;
    return failed;
}
ROW int lru_evict(struct __sk_buff* ctx) {
    return evict_uniform(&lru_uniform);
}
ROW int lru_two_evict(struct __sk_buff* ctx) {
    return evict_uniform(&lru_shared);
}

ROW int lru_evict_zipf(struct __sk_buff* ctx) {
    u64* at = &walks[this_cpu()].at;
    u64 next = *at, failed = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const u64 number = zipf[next++ & (SAMPLES - 1)];
        const struct key16 key = key_of(number);
        failed += bpf_map_update_elem(&lru_skewed, &key, &number, BPF_ANY) != 0;
    }
    *at = next;
    return failed;
}

/* As a cache: looked up, and inserted if it is not there. */
static __always_inline void ask(void* map, u64 number) {
    const struct key16 key = key_of(number);
    ++looks;
    if (bpf_map_lookup_elem(map, &key)) {
        ++hits;
    } else {
        bpf_map_update_elem(map, &key, &number, BPF_ANY);
    }
}
ROW int lru_rate_uniform(struct __sk_buff* ctx) {
    u64* state = this_walk();
    u64 walk = *state;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        ask(&cache_uniform, next_random(&walk) & (4 * entries - 1));
    }
    *state = walk;
    return 0;
}
ROW int lru_rate_zipf(struct __sk_buff* ctx) {
    u64* state = this_walk();
    u64 walk = *state;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        ask(&cache_skewed, zipf[next_random(&walk) & (SAMPLES - 1)]);
    }
    *state = walk;
    return 0;
}

char _license[] SEC("license") = "GPL";
