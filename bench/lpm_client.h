// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The rows of LPM tries: how they are filled, and with what.
 *
 * Prefixes like those of the tables that routers of the internet exchange: of IPv4 three fifths are /24, most
 * others /16 to /23; of IPv6 half are /48, a sixth /32, in some hundreds of thousands of allocations of /32 in
 * few /12s. Which of them are there is random, so they cluster less than real ones do: the harder case for
 * whoever saves memory by it. Each key of a hit lies below a prefix picked at random. */
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kLpmKeys = 1 << 20 };

struct lpm_key {
    uint32_t length;
    uint8_t data[16];
};

struct lpm_world {
    unsigned long long entries;
    int ipv6;
    int filled; /* what `keys` holds: 1 whole addresses, 2 prefixes */
    struct bpf_object* object;
    struct lpm_key* prefixes;
    struct lpm_world* next;
};

static struct lpm_world* lpm_worlds;
static uint64_t lpm_state = 88172645463325252ull;

static uint64_t lpm_random(void) {
    lpm_state ^= lpm_state << 13;
    lpm_state ^= lpm_state >> 7;
    lpm_state ^= lpm_state << 17;
    return lpm_state * 2685821657736338717ull >> 16;
}

/* Pairs of a length and its share in thousandths. */
static unsigned lpm_length(const unsigned (*shares)[2]) {
    unsigned left = lpm_random() % 1000;
    for (; left >= (*shares)[1]; ++shares) left -= (*shares)[1];
    return (*shares)[0];
}

static void lpm_put32(uint8_t* at, uint32_t value) {
    for (int i = 0; i < 4; ++i) at[i] = value >> (24 - 8 * i);
}

static struct lpm_key lpm_prefix4(void) {
    static const unsigned shares[][2] = {{24, 600}, {23, 100}, {22, 110}, {21, 50}, {20, 45}, {19, 27}, {18, 15},
                                         {17, 10},  {16, 14},  {15, 8},   {14, 7},  {13, 5},  {12, 4},  {11, 2},
                                         {10, 1},   {9, 1},    {8, 1}};
    struct lpm_key key = {lpm_length(shares), {0}};
    lpm_put32(key.data, (1 + lpm_random() % 223) << 24 | (lpm_random() & 0xffffff));
    return key;
}

static struct lpm_key lpm_prefix6(unsigned long long entries) {
    static const unsigned shares[][2] = {{48, 500}, {32, 150}, {44, 90}, {40, 80}, {46, 40}, {36, 40},
                                         {47, 30},  {29, 20},  {33, 15}, {34, 10}, {64, 15}, {56, 10}};
    static const uint16_t tops[] = {0x2001, 0x2400, 0x2600, 0x2800, 0x2a00, 0x2c00};
    struct lpm_key key = {lpm_length(shares), {0}};
    /* One of so many allocations of 32 bits. */
    uint64_t allocation = (lpm_random() % (entries / 4 + 1) + 1) * 0x9e3779b97f4a7c15ull;
    const uint16_t top = tops[allocation % 6] + (allocation >> 8) % 8 * (allocation % 6 != 0);
    lpm_put32(key.data, (uint32_t)top << 16 | (allocation >> 40 & 0xffff));
    for (int i = 4; i < 16; ++i) key.data[i] = lpm_random();
    return key;
}

static struct lpm_world* lpm_find(unsigned long long entries, int ipv6, const char* path) {
    for (struct lpm_world* w = lpm_worlds; w; w = w->next)
        if (w->entries == entries && w->ipv6 == ipv6) return w;
    struct lpm_world* w = calloc(1, sizeof *w);
    w->entries = entries, w->ipv6 = ipv6;
    w->prefixes = malloc(entries * sizeof *w->prefixes);
    w->object = bpf_object__open_file(path, NULL);
    if (!w->object || bpf_object__load(w->object)) return NULL;
    int trie = bpf_map__fd(bpf_object__find_map_by_name(w->object, ipv6 ? "lpm6" : "lpm4"));
    lpm_state = 88172645463325252ull;
    for (unsigned long long n = 0; n < entries;) {
        const struct lpm_key key = ipv6 ? lpm_prefix6(entries) : lpm_prefix4();
        if (!bpf_map_update_elem(trie, &key, &n, BPF_NOEXIST)) {
            w->prefixes[n++] = key;
        } else if (errno != EEXIST) {
            return NULL;
        }
    }
    w->next = lpm_worlds;
    return lpm_worlds = w;
}

/* Whole addresses, or, for updates, the prefix with its length in the last word. */
static int lpm_fill_keys(struct lpm_world* w, int whole /* or not: 0, 1 */) {
    int fd = bpf_map__fd(bpf_object__find_map_by_name(w->object, "keys"));
    if (w->filled == 2 - whole) return 0;
    w->filled = 2 - whole;
    uint32_t* numbers = malloc(kLpmKeys * sizeof *numbers);
    struct lpm_key* keys = malloc(kLpmKeys * sizeof *keys);
    uint32_t count = kLpmKeys;
    const unsigned bits = w->ipv6 ? 128 : 32;
    lpm_state = 1234567;
    for (uint32_t i = 0; i < kLpmKeys; ++i) {
        numbers[i] = i;
        keys[i] = w->prefixes[lpm_random() % w->entries];
        for (unsigned bit = keys[i].length; bit < bits; ++bit)
            keys[i].data[bit / 8] ^= (lpm_random() & 1) << (7 - bit % 8);
        if (!whole) memcpy(keys[i].data + 12, &keys[i].length, 4);
        keys[i].length = bits;
    }
    int error = bpf_map_update_batch(fd, numbers, keys, &count, NULL);
    free(numbers);
    free(keys);
    return error;
}

/* What the map says it occupies, by its fdinfo, per prefix. */
static double lpm_memory(struct lpm_world* w) {
    char path[64], line[256];
    unsigned long long bytes = 0;
    int trie = bpf_map__fd(bpf_object__find_map_by_name(w->object, w->ipv6 ? "lpm6" : "lpm4"));
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", trie);
    FILE* file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "memlock: %llu", &bytes);
    if (file) fclose(file);
    return (double)bytes / w->entries;
}
