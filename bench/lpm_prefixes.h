// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Prefixes like those of the tables that routers of the internet exchange: of IPv4 three fifths are /24, most
 * others /16 to /23; of IPv6 half are /48, a sixth /32, in some hundreds of thousands of allocations of /32 in
 * few /12s. Which of them are there is random, so they cluster less than real ones do: the harder case for
 * whoever saves memory by it. Each key of a hit lies below a prefix picked at random. */
#pragma once

#include <stdint.h>

enum { kLpmKeys = 1 << 20 };

struct lpm_key {
    uint32_t length;
    uint8_t data[16];
};

static uint64_t lpm_state;

/* What follows is the same each time. */
static inline void lpm_start_prefixes(void) {
    lpm_state = 88172645463325252ull;
}
static inline void lpm_start_keys(void) {
    lpm_state = 1234567;
}

static inline uint64_t lpm_random(void) {
    lpm_state ^= lpm_state << 13;
    lpm_state ^= lpm_state >> 7;
    lpm_state ^= lpm_state << 17;
    return lpm_state * 2685821657736338717ull >> 16;
}

/* Pairs of a length and its share in thousandths. */
static inline unsigned lpm_length(const unsigned (*shares)[2]) {
    unsigned left = lpm_random() % 1000;
    for (; left >= (*shares)[1]; ++shares) left -= (*shares)[1];
    return (*shares)[0];
}

static inline void lpm_put32(uint8_t* at, uint32_t value) {
    for (int i = 0; i < 4; ++i) at[i] = value >> (24 - 8 * i);
}

static inline struct lpm_key lpm_prefix4(void) {
    static const unsigned shares[][2] = {
        {24, 600}, {23, 100}, {22, 110}, {21, 50}, {20, 45}, {19, 27}, {18, 15}, {17, 10}, {16, 14},
        {15, 8},   {14, 7},   {13, 5},   {12, 4},  {11, 2},  {10, 1},  {9, 1},   {8, 1}};
    struct lpm_key key = {lpm_length(shares), {0}};
    lpm_put32(key.data, (1 + lpm_random() % 223) << 24 | (lpm_random() & 0xffffff));
    return key;
}

static inline struct lpm_key lpm_prefix6(unsigned long long entries) {
    static const unsigned shares[][2] = {{48, 500}, {32, 150}, {44, 90}, {40, 80},
                                         {46, 40},  {36, 40},  {47, 30}, {29, 20},
                                         {33, 15},  {34, 10},  {64, 15}, {56, 10}};
    static const uint16_t tops[] = {0x2001, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2c00};
    struct lpm_key key = {lpm_length(shares), {0}};
    /* One of so many allocations of 32 bits. */
    uint64_t allocation = (lpm_random() % (entries / 4 + 1) + 1) * 0x9e3779b97f4a7c15ull;
    const uint16_t top = tops[allocation % 6] + (allocation >> 8) % 8 * (allocation % 6 != 0);
    lpm_put32(key.data, (uint32_t)top << 16 | (allocation >> 40 & 0xffff));
    for (int i = 4; i < 16; ++i) key.data[i] = lpm_random();
    return key;
}

/* A whole address below that prefix. */
static inline struct lpm_key lpm_below(struct lpm_key key, unsigned bits) {
    for (unsigned bit = key.length; bit < bits; ++bit)
        key.data[bit / 8] ^= (lpm_random() & 1) << (7 - bit % 8);
    return key;
}
