/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What ring_calls.bpf.c and its client share. */
#pragma once

#include <linux/types.h>

enum { EVENT_FIXED = 1, EVENT_COPIED, EVENT_PACKET };

/* Each record begins like this. */
struct event {
    __u32 kind;
    __u32 number; /* of the call that made it */
    __u64 value;
};

/* From user space to the program. */
struct order {
    __u32 operation; /* ADD, SUBTRACT, STOP */
    __u32 amount;
};
enum { ORDER_ADD = 1, ORDER_SUBTRACT, ORDER_STOP };
