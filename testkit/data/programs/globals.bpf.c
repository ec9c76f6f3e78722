// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* XDP: every kind of global data, read and changed by user space through a skeleton. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "globals.h"

/* .rodata: frozen when the object is loaded */
const volatile __u32 factor = 3;
const volatile __u8 table[16] = {0, 1, 4, 9, 16, 25, 36, 49, 64, 81, 100, 121, 144, 169, 196, 225};

/* .data */
__u32 step = 7;
struct pair pair = {11, 0x1122334455667788};

/* .bss */
__u64 runs;
__u64 total_bytes;
__u32 histogram[32]; /* by length / 64 */

/* sections of their own */
__u32 extra SEC(".data.extra") = 5;
const volatile __u32 limit SEC(".rodata.limits") = 1000;

static __u64 hidden = 100; /* .data, not in the skeleton */

SEC("xdp")
int globals(struct xdp_md* xdp) {
    __u32 length = xdp->data_end - xdp->data;
    __u32 slot = length / 64;

    runs += 1;
    total_bytes += length;
    if (slot < 32) histogram[slot] += 1;
    pair.first += step * factor;
    pair.second ^= length;
    hidden += table[length & 15];
    extra += 1;
    if (length > limit) return XDP_DROP;
    return hidden & 1 ? XDP_TX : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
