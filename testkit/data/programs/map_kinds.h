/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What map_kinds.bpf.c and its client share. */
#pragma once

#include <linux/types.h>

struct visit {
    __u64 keys; /* sums */
    __u64 values;
    __u32 count;
    __u32 most; /* elements to visit */
};
