// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rows that measure LPM tries. The client (bench/lpm_client.h) fills them: entries prefixes as a
// routing table has them, and `keys`: one address below each of kKeys of them, picked at random.
#include "rows.h"

struct key4 {
    u32 length;
    u8 data[4];
};
struct key6 {
    u32 length;
    u32 data[4];
};

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1 << 21);
    __type(key, struct key4);
    __type(value, u64);
} lpm4 SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_LPM_TRIE);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, 1 << 21);
    __type(key, struct key6);
    __type(value, u64);
} lpm6 SEC(".maps");

/* Keys to look for, as many as there are prefixes, in random order: read one after the other. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1 << 20);
    __type(key, u32);
    __type(value, struct key6);
} keys SEC(".maps");

const volatile u64 entries = 1024;
u64 position;

static __always_inline const struct key6* next_key(u64* at) {
    const u32 index = (*at)++ & ((1 << 20) - 1);
    return bpf_map_lookup_elem(&keys, &index);
}

ROW int lpm4_hit(struct __sk_buff* ctx) {
    u64 at = position, sum = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const struct key6* key = next_key(&at);
        if (!key) break;
        const u64* value = bpf_map_lookup_elem(&lpm4, key);
        if (value) sum += *value;
    }
    position = at;
    return sum;
}

ROW int lpm6_hit(struct __sk_buff* ctx) {
    u64 at = position, sum = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const struct key6* key = next_key(&at);
        if (!key) break;
        const u64* value = bpf_map_lookup_elem(&lpm6, key);
        if (value) sum += *value;
    }
    position = at;
    return sum;
}

/* Loop, key and nothing else: what the rows above contain besides the trie. */
ROW int lpm_keys(struct __sk_buff* ctx) {
    u64 at = position, sum = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const struct key6* key = next_key(&at);
        if (!key) break;
        sum += key->data[0];
    }
    position = at;
    return sum;
}

/* A prefix that is there is replaced: the keys' own lengths are in their last word. */
ROW int lpm4_update(struct __sk_buff* ctx) {
    u64 at = position, failed = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        const struct key6* key = next_key(&at);
        if (!key) break;
        struct key4 prefix;
        __builtin_memcpy(&prefix, key, sizeof prefix);
        prefix.length = key->data[3];
        failed += bpf_map_update_elem(&lpm4, &prefix, &at, BPF_ANY) != 0;
    }
    position = at;
    return failed;
}

char _license[] SEC("license") = "GPL";
