// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Maps and constants without a program: for what libbpf does with maps before and after it makes them. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define MAP(TYPE, NAME, KEY, VALUE, ENTRIES) \
    struct {                                 \
        __uint(type, BPF_MAP_TYPE_##TYPE);   \
        __type(key, KEY);                    \
        __type(value, VALUE);                \
        __uint(max_entries, ENTRIES);        \
    } NAME SEC(".maps")

MAP(HASH, numbers, __u32, __u64, 4);
MAP(PERCPU_HASH, percpu, __u32, __u64, 4);
MAP(HASH, shared, __u32, __u64, 4);
MAP(HASH, unwanted, __u32, __u64, 4);

struct {
    __uint(type, BPF_MAP_TYPE_QUEUE);
    __type(value, __u32);
    __uint(max_entries, 2);
} queue SEC(".maps");

/* The client says what maps it is to hold. */
struct {
    __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
    __uint(key_size, 4);
    __uint(value_size, 4);
    __uint(max_entries, 2);
} outer SEC(".maps");

const volatile __u32 constants[4] = {1, 2, 3, 4};
__u32 variables[4] = {5, 6, 7, 8};

char LICENSE[] SEC("license") = "Dual BSD/GPL";
