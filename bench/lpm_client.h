// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The rows of LPM tries: how they are filled, and with what (lpm_prefixes.h). */
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lpm_prefixes.h"

struct lpm_world {
    unsigned long long entries;
    int ipv6;
    int filled; /* what `keys` holds: 1 whole addresses, 2 prefixes */
    struct bpf_object* object;
    struct lpm_key* prefixes;
    struct lpm_world* next;
};

static struct lpm_world* lpm_worlds;

static struct lpm_world* lpm_find(unsigned long long entries, int ipv6, const char* path) {
    for (struct lpm_world* w = lpm_worlds; w; w = w->next)
        if (w->entries == entries && w->ipv6 == ipv6) return w;
    struct lpm_world* w = calloc(1, sizeof *w);
    w->entries = entries, w->ipv6 = ipv6;
    w->prefixes = malloc(entries * sizeof *w->prefixes);
    w->object = bpf_object__open_file(path, NULL);
    if (!w->object || bpf_object__load(w->object)) return NULL;
    int trie = bpf_map__fd(bpf_object__find_map_by_name(w->object, ipv6 ? "lpm6" : "lpm4"));
    lpm_start_prefixes();
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
    lpm_start_keys();
    for (uint32_t i = 0; i < kLpmKeys; ++i) {
        numbers[i] = i;
        keys[i] = lpm_below(w->prefixes[lpm_random() % w->entries], bits);
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
