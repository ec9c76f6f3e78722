// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* For cli_test.py: programs that no verifier accepts. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(max_entries, 4);
    __type(key, __u32);
    __type(value, __u64);
} counters SEC(".maps");

SEC("xdp")
int out_of_packet(struct xdp_md* xdp) {
    unsigned char* packet = (void*)(long)xdp->data;
    return packet[3];
}

SEC("xdp")
int maybe_null(struct xdp_md* xdp) {
    __u32 key = 1;
    __u64* counter = bpf_map_lookup_elem(&counters, &key);
    *counter += 1;
    return XDP_PASS;
}

SEC("xdp")
int good(struct xdp_md* xdp) {
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
