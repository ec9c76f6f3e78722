// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rows that write to ring buffers. A run tries OPERATIONS records of one size and returns how many found no room; the
// client moves the reader's position, or reads.
#include "rows.h"

struct {
    __uint(type, BPF_MAP_TYPE_RINGBUF);
    __uint(max_entries, 1 << 22);
} ring SEC(".maps");

static __always_inline int produce(const u32 size) {
    int lost = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        u64* record = bpf_ringbuf_reserve(&ring, size, 0);
        if (!record) {
            ++lost;
            continue;
        }
        record[0] = i;
        record[size / 8 - 1] = i;
        bpf_ringbuf_submit(record, 0);
    }
    return lost;
}

#define PRODUCE(size)                                 \
    ROW int ring_produce_##size(struct __sk_buff* ctx) { \
        return produce(size);                         \
    }
PRODUCE(8)
PRODUCE(16)
PRODUCE(32)
PRODUCE(64)
PRODUCE(128)
PRODUCE(256)
PRODUCE(512)
PRODUCE(1024)
PRODUCE(2048)

static __always_inline int output(const u32 size) {
    u64 record[32] = {};
    int lost = 0;
    for (u32 i = 0; i < OPERATIONS; ++i) {
        record[0] = i;
        if (bpf_ringbuf_output(&ring, record, size, 0)) ++lost;
    }
    return lost;
}

ROW int ring_output_8(struct __sk_buff* ctx) {
    return output(8);
}
ROW int ring_output_64(struct __sk_buff* ctx) {
    return output(64);
}
ROW int ring_output_256(struct __sk_buff* ctx) {
    return output(256);
}
