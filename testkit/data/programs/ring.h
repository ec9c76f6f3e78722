/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What ring.bpf.c and its client share. */
#pragma once

#include <linux/types.h>

struct event {
    __u64 number;
    __u32 length; /* of text, of which the record holds all */
    char text[20];
};

/* What the next run does. */
struct ring_orders {
    __u64 number;  /* of the next record; counted up */
    __u32 size;    /* output: bytes */
    __u32 flags;   /* of submit, discard, output */
    __u32 discard; /* reserve: each so many-th; 0: none */
};

struct ring_answers {
    __u64 refused; /* reservations without room */
    __s64 result;  /* of the last helper that says something */
    __u64 queries[5];
    __u64 samples; /* drained */
    __u64 sum;     /* of their first 8 bytes */
    __u64 bytes;
};
