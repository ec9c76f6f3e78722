// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * XDP: programs that write to a ring buffer in each way there is, ask about it, and drain a ring that user space
 * writes. Orders and answers are in globals.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "ring.h"

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 16384);
} events SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_USER_RINGBUF);
    __uint(max_entries, 8192);
} requests SEC(".maps");

struct ring_orders orders;
struct ring_answers answers;
char payload[4096];

static __always_inline void fill(struct event* event, __u64 number) {
    event->number = number;
    event->length = sizeof(event->text);
    for (unsigned i = 0; i < sizeof(event->text); ++i) event->text[i] = (char)(number + i);
}

SEC("xdp")
int reserve(struct xdp_md* xdp) {
    struct event* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
    __u64 number;

    if (!event) {
        __sync_fetch_and_add(&answers.refused, 1);
        return XDP_DROP;
    }
    number = __sync_fetch_and_add(&orders.number, 1);
    fill(event, number);
    if (orders.discard && number % orders.discard == 0) {
        bpf_ringbuf_discard(event, orders.flags);
    } else {
        bpf_ringbuf_submit(event, orders.flags);
    }
    return XDP_PASS;
}

SEC("xdp")
int output(struct xdp_md* xdp) {
    __u32 size = orders.size;

    if (size > sizeof(payload)) return XDP_ABORTED;
    answers.result = bpf_ringbuf_output(&events, payload, size, orders.flags);
    return answers.result ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int by_dynptr(struct xdp_md* xdp) {
    struct bpf_dynptr record;
    struct event event = {};
    char* tail;

    answers.result = bpf_ringbuf_reserve_dynptr(&events, orders.size, 0, &record);
    if (answers.result) {
        bpf_ringbuf_discard_dynptr(&record, orders.flags);
        return XDP_DROP;
    }
    fill(&event, orders.number++);
    if (bpf_dynptr_write(&record, 0, &event, sizeof(event), 0)) {
        bpf_ringbuf_discard_dynptr(&record, orders.flags);
        return XDP_ABORTED;
    }
    tail = bpf_dynptr_data(&record, sizeof(event), 1);
    if (tail) *tail = 'x';
    bpf_ringbuf_submit_dynptr(&record, orders.flags);
    return XDP_PASS;
}

SEC("xdp")
int query(struct xdp_md* xdp) {
    answers.queries[0] = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);
    answers.queries[1] = bpf_ringbuf_query(&events, BPF_RB_RING_SIZE);
    answers.queries[2] = bpf_ringbuf_query(&events, BPF_RB_CONS_POS);
    answers.queries[3] = bpf_ringbuf_query(&events, BPF_RB_PROD_POS);
    answers.queries[4] = bpf_ringbuf_query(&events, 99);
    return XDP_PASS;
}

static long take(struct bpf_dynptr* sample, void* context) {
    __u64 word = 0;

    if (bpf_dynptr_read(&word, sizeof(word), sample, 0, 0) == 0) answers.sum += word;
    answers.samples += 1;
    return orders.size && answers.samples >= orders.size;
}

SEC("xdp")
int drain(struct xdp_md* xdp) {
    answers.result = bpf_user_ringbuf_drain(&requests, take, 0, orders.flags);
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
