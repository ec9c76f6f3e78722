// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Rings as a C program would have them, without bpf(2), checks or a reader to wake: the limit for ring buffers.
 *
 *     single    one producer: a position that it publishes
 *     multi     any number: a place by fetch-and-add, then the record's header says when it is complete
 *
 * Records are laid out as in a BPF ring buffer: a header of 8 bytes, the payload, a multiple of 8. */
#pragma once

#include <stddef.h>

struct native_ring {
    unsigned char* data; /* kRingSize bytes and room for one record behind them */
    unsigned long long consumed;
    _Alignas(64) unsigned long long reserved;
    _Alignas(64) unsigned long long produced;
};

static struct native_ring native_ring;

static unsigned long long* native_place(unsigned long long position) {
    return (unsigned long long*)(native_ring.data + (position & (kRingSize - 1)));
}

static void native_write(unsigned long long* record, unsigned size, unsigned long long value) {
    record[1] = value;
    record[size / 8] = value;
}

static unsigned native_single(unsigned size, unsigned long long value) {
    const unsigned long long begin = native_ring.produced, end = begin + 8 + size;
    if (end - native_ring.consumed > kRingSize) return 1;
    unsigned long long* record = native_place(begin);
    record[0] = size;
    native_write(record, size, value);
    __atomic_store_n(&native_ring.produced, end, __ATOMIC_RELEASE);
    return 0;
}

static unsigned native_multi(unsigned size, unsigned long long value) {
    const unsigned long long begin =
        __atomic_fetch_add(&native_ring.reserved, 8 + size, __ATOMIC_RELAXED);
    if (begin + 8 + size - native_ring.consumed > kRingSize) return 1;
    unsigned long long* record = native_place(begin);
    native_write(record, size, value);
    __atomic_store_n(record, size, __ATOMIC_RELEASE);
    return 0;
}

/* As a row's program: kOperations records, `repeat` times. */
static void native_produce(int multi, unsigned size, int repeat) {
    for (int i = 0; i < repeat; ++i) {
        for (unsigned n = 0; n < kOperations; ++n)
            (void)(multi ? native_multi(size, n) : native_single(size, n));
    }
}
