/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What map_calls.bpf.c and its client share. */
#pragma once

#include <linux/types.h>

struct pair_value {
    __u64 first;
    struct bpf_spin_lock lock;
    __u32 pad;
    __u64 second; /* always as first, but while the lock is held */
};

struct walk {
    __u64 sum;
    __u32 count;
    __u32 most; /* elements to visit */
};
