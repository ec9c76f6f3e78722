// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rows that measure queues, stacks and bloom filters. The client fills the bloom filter with the numbers
// below 16 Ki, half of what it is made for.
#include "rows.h"

struct {
    __uint(type, BPF_MAP_TYPE_QUEUE);
    __uint(max_entries, 1024);
    __type(value, u64);
} queue SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_STACK);
    __uint(max_entries, 1024);
    __type(value, u64);
} stack SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_BLOOM_FILTER);
    __uint(max_entries, 32768);
    __type(value, u64);
} bloom SEC(".maps");

u64 state = 0x9e3779b97f4a7c15;

ROW int keyless_queue(struct __sk_buff* ctx) {
    u64 sum = 0;
    for (u64 i = 0; i < OPERATIONS; ++i) {
        u64 value = i;
        sum += bpf_map_push_elem(&queue, &value, BPF_ANY) != 0;
        sum += bpf_map_pop_elem(&queue, &value) != 0;
        sum += value;
    }
    return sum;
}

ROW int keyless_stack(struct __sk_buff* ctx) {
    u64 sum = 0;
    for (u64 i = 0; i < OPERATIONS; ++i) {
        u64 value = i;
        sum += bpf_map_push_elem(&stack, &value, BPF_ANY) != 0;
        sum += bpf_map_pop_elem(&stack, &value) != 0;
        sum += value;
    }
    return sum;
}

ROW int keyless_bloom(struct __sk_buff* ctx) {
    u64 walk = state, misses = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        u64 value = next_random(&walk) & 16383;
        misses += bpf_map_peek_elem(&bloom, &value) != 0;
    }
    state = walk;
    return misses;
}

char _license[] SEC("license") = "GPL";
