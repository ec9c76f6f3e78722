// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * XDP: programs that tell user space through a ring buffer and take orders from it through another, by
 * pointers and by dynptrs. Results are in globals.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "ring_calls.h"

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 64 * 1024);
} events SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_USER_RINGBUF);
    __uint(max_entries, 64 * 1024);
} orders SEC(".maps");

__u32 calls;
__u64 lost;
__s64 drained;
__u64 total;
__u64 misread;
__u64 available, ring_size;

/* One of two records is thrown away, and they are finished in the other order. */
static __noinline int finish(struct event* first, struct event* second, int keep_first) {
    if (keep_first) {
        bpf_ringbuf_discard(second, 0);
        bpf_ringbuf_submit(first, 0);
    } else {
        bpf_ringbuf_submit(second, 0);
        bpf_ringbuf_discard(first, BPF_RB_NO_WAKEUP);
    }
    return 0;
}

SEC("xdp")
int reserve_two(struct xdp_md* xdp) {
    struct event *first, *second;

    calls += 1;
    first = bpf_ringbuf_reserve(&events, sizeof(*first), 0);
    if (!first) goto full;
    second = bpf_ringbuf_reserve(&events, sizeof(*second), 0);
    if (!second) {
        bpf_ringbuf_discard(first, 0);
        goto full;
    }
    first->kind = second->kind = EVENT_FIXED;
    first->number = second->number = calls;
    first->value = 1;
    second->value = 2;
    finish(first, second, calls & 1);
    return XDP_PASS;
full:
    lost += 1;
    return XDP_DROP;
}

SEC("xdp")
int output(struct xdp_md* xdp) {
    struct event copied = {.kind = EVENT_COPIED, .number = ++calls, .value = xdp->ingress_ifindex};

    if (bpf_ringbuf_output(&events, &copied, sizeof(copied), 0)) lost += 1;
    available = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
    ring_size = bpf_ringbuf_query(&events, BPF_RB_RING_SIZE);
    return XDP_PASS;
}

/* A record as long as the packet, of which only so much is known. */
SEC("xdp")
int packet_record(struct xdp_md* xdp) {
    __u32 length = xdp->data_end - xdp->data;
    struct event header = {.kind = EVENT_PACKET, .number = ++calls, .value = length};
    struct bpf_dynptr record;
    __u8* last;

    if (bpf_ringbuf_reserve_dynptr(&events, sizeof(header) + length, 0, &record)) {
        lost += 1;
        bpf_ringbuf_discard_dynptr(&record, 0);
        return XDP_DROP;
    }
    if (bpf_dynptr_write(&record, 0, &header, sizeof(header), 0)) misread += 1;
    last = bpf_dynptr_data(&record, sizeof(header) + length - 1, 1);
    if (last)
        *last = 0x5a;
    else
        misread += 1;
    /* One byte more is not there. */
    if (bpf_dynptr_data(&record, sizeof(header) + length, 1)) misread += 1;
    bpf_ringbuf_submit_dynptr(&record, 0);
    return XDP_PASS;
}

static long carry_out(struct bpf_dynptr* dynptr, __u64* sum) {
    struct order order;
    struct order* same;

    if (bpf_dynptr_read(&order, sizeof(order), dynptr, 0, 0)) {
        misread += 1;
        return 0;
    }
    same = bpf_dynptr_data(dynptr, 0, sizeof(*same));
    if (!same || same->amount != order.amount) misread += 1;
    if (order.operation == ORDER_STOP) return 1;
    if (order.operation == ORDER_ADD)
        *sum += order.amount;
    else
        *sum -= order.amount;
    return 0;
}

SEC("xdp")
int take_orders(struct xdp_md* xdp) {
    __u64 sum = total;

    drained = bpf_user_ringbuf_drain(&orders, carry_out, &sum, 0);
    total = sum;
    return drained < 0 ? XDP_ABORTED : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
