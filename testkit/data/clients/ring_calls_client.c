// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * An ordinary libbpf program with a skeleton: runs the programs of ring_calls.bpf.c, reads their records
 * and gives them orders. Exit status: 0, 1 if something differs from what Linux does, 77 if bpf(2) is
 * not permitted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "testkit/data/programs/ring_calls.h"

#include "ring_calls.skel.h" /* after its types */

static int failures;

#define EXPECT(condition)                                                                  \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "ring_calls_client.c:%d: not so: %s\n", __LINE__, #condition); \
            ++failures;                                                                    \
        }                                                                                  \
    } while (0)

static unsigned run(struct bpf_program* program, unsigned length) {
    static unsigned char packet[1500];
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = length, .repeat = 1);
    EXPECT(bpf_prog_test_run_opts(bpf_program__fd(program), &options) == 0);
    return options.retval;
}

/* What the next records must be. */
struct expected {
    unsigned next;
    unsigned count;
    struct {
        struct event event;
        unsigned size;
    } records[64];
};

static void expect_record(struct expected* to, unsigned kind, unsigned number,
                          unsigned long long value, unsigned size) {
    to->records[to->count].event = (struct event){kind, number, value};
    to->records[to->count++].size = size;
}

static int see_record(void* context, void* data, size_t size) {
    struct expected* expected = context;
    EXPECT(expected->next < expected->count);
    if (expected->next >= expected->count) return 0;
    const struct event* event = data;
    const unsigned i = expected->next++;
    EXPECT(size == expected->records[i].size);
    EXPECT(event->kind == expected->records[i].event.kind);
    EXPECT(event->number == expected->records[i].event.number);
    EXPECT(event->value == expected->records[i].event.value);
    if (event->kind == EVENT_PACKET) EXPECT(((unsigned char*)data)[size - 1] == 0x5a);
    return 0;
}

static void check_records(struct ring_calls* skeleton) {
    static struct expected expected;
    struct ring_buffer* ring =
        ring_buffer__new(bpf_map__fd(skeleton->maps.events), see_record, &expected, NULL);
    EXPECT(ring != NULL);
    if (!ring) return;
    EXPECT(ring_buffer__poll(ring, 0) == 0);
    for (unsigned call = 1; call <= 6; ++call) {
        EXPECT(run(skeleton->progs.reserve_two, 64) == XDP_PASS);
        expect_record(&expected, EVENT_FIXED, call, call & 1 ? 1 : 2, sizeof(struct event));
    }
    EXPECT(ring_buffer__poll(ring, 1000) == 6);
    EXPECT(run(skeleton->progs.output, 64) == XDP_PASS);
    expect_record(&expected, EVENT_COPIED, 7, 1, sizeof(struct event));
    EXPECT(skeleton->bss->available == 24);
    EXPECT(skeleton->bss->ring_size == 64 * 1024);
    for (unsigned length = 14; length < 1500; length += 371) {
        EXPECT(run(skeleton->progs.packet_record, length) == XDP_PASS);
        expect_record(&expected, EVENT_PACKET, skeleton->bss->calls, length,
                      length + sizeof(struct event));
    }
    EXPECT(ring_buffer__consume(ring) == (int)expected.count - 6);
    EXPECT(ring_buffer__poll(ring, 0) == 0);
    EXPECT(expected.next == expected.count);
    EXPECT(skeleton->bss->lost == 0);
    EXPECT(skeleton->bss->misread == 0);
    ring_buffer__free(ring);
}

/* Until there is no room, and then there is again. */
static int count_record(void* context, void* data, size_t size) {
    EXPECT(((struct event*)data)->value + sizeof(struct event) == size);
    ++*(unsigned*)context;
    return 0;
}

static void check_full(struct ring_calls* skeleton) {
    unsigned seen = 0, made = 0;
    struct ring_buffer* ring =
        ring_buffer__new(bpf_map__fd(skeleton->maps.events), count_record, &seen, NULL);
    EXPECT(ring != NULL);
    if (!ring) return;
    while (run(skeleton->progs.packet_record, 1500) == XDP_PASS) ++made;
    EXPECT(made == 64 * 1024 / (1500 + 4 + sizeof(struct event) + 8));
    EXPECT(skeleton->bss->lost == 1);
    EXPECT(ring_buffer__consume(ring) == (int)made);
    EXPECT(seen == made);
    EXPECT(run(skeleton->progs.packet_record, 1500) == XDP_PASS);
    EXPECT(ring_buffer__consume(ring) == 1);
    ring_buffer__free(ring);
}

static void give_order(struct user_ring_buffer* ring, unsigned operation, unsigned amount,
                       int discard) {
    struct order* order = user_ring_buffer__reserve(ring, sizeof(*order));
    EXPECT(order != NULL);
    if (!order) return;
    *order = (struct order){operation, amount};
    if (discard)
        user_ring_buffer__discard(ring, order);
    else
        user_ring_buffer__submit(ring, order);
}

static void check_orders(struct ring_calls* skeleton) {
    struct user_ring_buffer* ring = user_ring_buffer__new(bpf_map__fd(skeleton->maps.orders), NULL);
    EXPECT(ring != NULL);
    if (!ring) return;
    EXPECT(run(skeleton->progs.take_orders, 64) == XDP_PASS);
    EXPECT(skeleton->bss->drained == 0);
    for (unsigned i = 1; i <= 100; ++i) give_order(ring, ORDER_ADD, i, 0);
    give_order(ring, ORDER_ADD, 1000, 1);
    give_order(ring, ORDER_SUBTRACT, 50, 0);
    EXPECT(run(skeleton->progs.take_orders, 64) == XDP_PASS);
    EXPECT(skeleton->bss->drained == 101);
    EXPECT(skeleton->bss->total == 5000);
    give_order(ring, ORDER_ADD, 1, 0);
    give_order(ring, ORDER_STOP, 0, 0);
    give_order(ring, ORDER_ADD, 2, 0);
    EXPECT(run(skeleton->progs.take_orders, 64) == XDP_PASS);
    EXPECT(skeleton->bss->drained == 2);
    EXPECT(skeleton->bss->total == 5001);
    EXPECT(run(skeleton->progs.take_orders, 64) == XDP_PASS);
    EXPECT(skeleton->bss->drained == 1);
    EXPECT(skeleton->bss->total == 5003);
    EXPECT(skeleton->bss->misread == 0);
    /* Too short for an order. */
    unsigned* stub = user_ring_buffer__reserve(ring, sizeof(*stub));
    EXPECT(stub != NULL);
    if (stub) user_ring_buffer__submit(ring, stub);
    EXPECT(run(skeleton->progs.take_orders, 64) == XDP_PASS);
    EXPECT(skeleton->bss->drained == 1);
    EXPECT(skeleton->bss->misread == 1);
    user_ring_buffer__free(ring);
}

int main(void) {
    struct ring_calls* skeleton = ring_calls__open();
    if (!skeleton) {
        perror("ring_calls_client: open");
        return 1;
    }
    int error = ring_calls__load(skeleton);
    if (error) {
        fprintf(stderr, "ring_calls_client: load: %s\n", strerror(-error));
        return error == -EPERM ? 77 : 1;
    }
    check_records(skeleton);
    check_full(skeleton);
    check_orders(skeleton);
    ring_calls__destroy(skeleton);
    return failures ? 1 : 0;
}
