/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What globals.bpf.c shares with its clients; the skeleton names these types. */
#pragma once

#include <linux/types.h>

struct pair {
    __u32 first;
    __u64 second;
};
