/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the benchmark rows share. One run of a program does kOperations operations of its kind; the
 * client divides. A row's return value depends on every operation, so that nothing can be left out and a
 * wrong answer is not a fast one: kernel and barebpf must return the same. */
#pragma once

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define OPERATIONS 1024
/* For operations of many steps: the verifier follows every one of them. */
#define FEW 64
#define ROW SEC("tc")

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

/* A walk over [0, 2^n) that a prefetcher cannot follow: the same sequence in every world. */
static __always_inline u64 next_random(u64* state) {
    u64 x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}
