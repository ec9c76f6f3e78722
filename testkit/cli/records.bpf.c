// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* For cli_records_test.py: programs that hand records to readers. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct event {
    __u32 number;
    __u16 size;
    char verdict[10];
    __be32 source_addr;
};

struct event_header {
    __u32 number;
    char kind[4];
};

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 4096);
} events SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(key_size, 4);
    __uint(value_size, 4);
} samples SEC(".maps");

/* So that their types are in BTF. */
struct event* unused_event __attribute__((unused));
struct event_header* unused_header __attribute__((unused));

__u32 packets, refused;
char payload[1024];

static __always_inline void fill(struct event* event, __u32 number, __u32 size) {
    __builtin_memset(event, 0, sizeof(*event));
    event->number = number;
    event->size = (__u16)size;
    __builtin_memcpy(event->verdict, "pass", 4);
    event->source_addr = 0x0100000a;
}

static __always_inline __u32 size_of(struct xdp_md* xdp) {
    return (__u32)((long)xdp->data_end - (long)xdp->data);
}

/* One record a packet. */
SEC("xdp")
int one_each(struct xdp_md* xdp) {
    struct event* event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
    if (!event) {
        refused += 1;
        return XDP_DROP;
    }
    fill(event, packets++, size_of(xdp));
    bpf_ringbuf_submit(event, 0);
    return XDP_PASS;
}

/* Longer than the struct, shorter, empty, in turn; what is discarded is nothing. */
SEC("xdp")
int any_length(struct xdp_md* xdp) {
    struct event* event = (struct event*)payload;
    __u32 number = packets++;
    void* gone = bpf_ringbuf_reserve(&events, 64, 0);

    if (gone) bpf_ringbuf_discard(gone, 0);
    fill(event, number, size_of(xdp));
    __builtin_memcpy(payload + sizeof(*event), "and more", 8);
    if (number % 4 == 0) bpf_ringbuf_output(&events, payload, sizeof(*event) + 8, 0);
    if (number % 4 == 1) bpf_ringbuf_output(&events, payload, 7, 0);
    if (number % 4 == 2) bpf_ringbuf_output(&events, payload, 0, 0);
    if (number % 4 == 3) bpf_ringbuf_output(&events, payload, sizeof(payload), 0);
    return XDP_PASS;
}

/* Perf events: a header, and with every other the first bytes of the packet. */
SEC("xdp")
int perf(struct xdp_md* xdp) {
    struct event_header header = {packets++, "xdp"};
    __u64 flags = BPF_F_CURRENT_CPU;

    if (header.number % 2) flags |= (__u64)14 << 32;
    if (bpf_perf_event_output(xdp, &samples, flags, &header, sizeof(header))) refused += 1;
    return XDP_PASS;
}

static long nothing(__u32 index, void* context) {
    return 0;
}

/* Slow beyond measure when there is no room: nobody may let it come to that. */
SEC("xdp")
int needs_room(struct xdp_md* xdp) {
    struct event event;

    fill(&event, packets++, size_of(xdp));
    if (bpf_ringbuf_output(&events, &event, sizeof(event), 0))
        for (int i = 0; i < 16; ++i) bpf_loop(1 << 23, nothing, 0, 0);
    return XDP_PASS;
}

/* Both at once, and a line of text. */
SEC("xdp")
int both(struct xdp_md* xdp) {
    struct event event;

    fill(&event, packets++, size_of(xdp));
    bpf_perf_event_output(xdp, &samples, BPF_F_CURRENT_CPU, &event, sizeof(event));
    bpf_ringbuf_output(&events, &event, sizeof(event), 0);
    bpf_printk("packet %d", event.number);
    return XDP_PASS;
}

/* 512 KiB of perf events for a packet: more than any ring of theirs takes. */
SEC("xdp")
int flood(struct xdp_md* xdp) {
    for (int i = 0; i < 512; ++i)
        if (bpf_perf_event_output(xdp, &samples, BPF_F_CURRENT_CPU, payload, sizeof(payload)))
            refused += 1;
    return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
