// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The rows of programs/lru_rows.bpf.c.
 *
 *     lru_hit lru_update lru_evict lru_evict_zipf    one thread
 *     lru_two_evict                                  two threads on one map
 *     lru_rate_uniform lru_rate_zipf                 not nanoseconds: of 100 look-ups, those that hit
 *     lru_memory                                     bytes per element */
#pragma once

#include <bpf/btf.h>
#include <math.h>

#include "hash_client.h"

enum { kSamples = 1 << 20, kRateRuns = 1024 };

static struct hash_world* lru_worlds;

/* Numbers by a Zipf law (exponent 0.99): the same on both sides. */
static void lru_draw(unsigned* samples, unsigned keys) {
    double* below = malloc(keys * sizeof *below);
    double sum = 0;
    unsigned long long random = 0x2545f4914f6cdd1d;
    for (unsigned i = 0; i < keys; ++i) below[i] = sum += pow(i + 1, -0.99);
    for (unsigned s = 0; s < kSamples; ++s) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        const double wanted = sum * (double)(random >> 11) / (double)(1ull << 53);
        unsigned low = 0, high = keys - 1;
        while (low < high) {
            const unsigned middle = (low + high) / 2;
            if (below[middle] < wanted) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        samples[s] = low * 2654435761u & (keys - 1); /* popular ones are not neighbours */
    }
    free(below);
}

static struct bpf_map* lru_bss(struct bpf_object* object) {
    struct bpf_map* map;
    bpf_object__for_each_map(map, object) {
        const char* name = bpf_map__name(map);
        if (strlen(name) >= 4 && !strcmp(name + strlen(name) - 4, ".bss")) return map;
    }
    return NULL;
}

/* Where that variable is in .bss, by the object's BTF; -1: there is none. */
static long lru_offset(struct bpf_object* object, const char* name) {
    const struct btf* btf = bpf_object__btf(object);
    const int section = btf__find_by_name_kind(btf, ".bss", BTF_KIND_DATASEC);
    if (section < 0) return -1;
    const struct btf_type* type = btf__type_by_id(btf, section);
    const struct btf_var_secinfo* var = btf_var_secinfos(type);
    for (int i = 0; i < btf_vlen(type); ++i) {
        const struct btf_type* of = btf__type_by_id(btf, var[i].type);
        if (!strcmp(btf__name_by_offset(btf, of->name_off), name)) return var[i].offset;
    }
    return -1;
}

static struct hash_world* lru_find(unsigned long long entries, const char* path) {
    static const char* const maps[] = {"lru",        "lru_uniform",   "lru_skewed",
                                       "lru_shared", "cache_uniform", "cache_skewed"};
    for (struct hash_world* w = lru_worlds; w; w = w->next)
        if (w->entries == entries) return w;
    struct hash_world* w = calloc(1, sizeof *w);
    size_t size;
    w->entries = entries;
    w->object = bpf_object__open_file(path, NULL);
    if (!w->object) return NULL;
    *(unsigned long long*)bpf_map__initial_value(bpf_object__find_map_by_name(w->object, ".rodata"),
                                                 &size) = entries;
    for (size_t i = 0; i < sizeof maps / sizeof maps[0]; ++i)
        bpf_map__set_max_entries(bpf_object__find_map_by_name(w->object, maps[i]), entries);
    char* bss = (char*)bpf_map__initial_value(lru_bss(w->object), &size);
    lru_draw((unsigned*)(bss + lru_offset(w->object, "zipf")), 4 * entries);
    if (bpf_object__load(w->object)) return NULL;
    for (unsigned long long n = 0; n < entries * 3 / 4; ++n) {
        const struct key16 key = {n, ~n};
        if (bpf_map_update_elem(hash_fd(w, "lru"), &key, &n, BPF_ANY)) return NULL;
    }
    w->next = lru_worlds;
    return lru_worlds = w;
}

/* Runs the program, and what it has counted since it was loaded. */
static int lru_count(struct hash_world* w, const char* row, unsigned long long* hits,
                     unsigned long long* looks) {
    const struct bpf_program* prog = bpf_object__find_program_by_name(w->object, row);
    const struct bpf_map* bss = lru_bss(w->object);
    const unsigned zero = 0;
    unsigned result, ns;
    char* data = malloc(bpf_map__value_size(bss));
    int error = !prog || run_once(bpf_program__fd(prog), kRateRuns, &result, &ns) ||
                bpf_map_lookup_elem(bpf_map__fd(bss), &zero, data);
    if (!error) {
        memcpy(hits, data + lru_offset(w->object, "hits"), sizeof *hits);
        memcpy(looks, data + lru_offset(w->object, "looks"), sizeof *looks);
    }
    free(data);
    return error;
}

/* The first runs warm the cache. */
static void lru_rate_row(const char* row, struct hash_world* w) {
    unsigned long long warm_hits, warm_looks, hits, looks;
    if (lru_count(w, row, &warm_hits, &warm_looks) || lru_count(w, row, &hits, &looks)) {
        printf("error %s: %s\n", row, strerror(errno));
        return;
    }
    printf("%.4f 0\n", 100.0 * (double)(hits - warm_hits) / (double)(looks - warm_looks));
}

static void lru_row(const char* row, unsigned long long entries, const char* directory,
                    int length) {
    char path[4096];
    snprintf(path, sizeof path, "%.*slru_rows.bpf.o", length, directory);
    struct hash_world* w = lru_find(entries, path);
    if (!w) {
        printf("error %s: cannot load or fill: %s\n", row, strerror(errno));
    } else if (!strncmp(row, "lru_two_", 8)) {
        hash_two_row(row, w);
    } else if (!strncmp(row, "lru_rate_", 9)) {
        lru_rate_row(row, w);
    } else if (!strcmp(row, "lru_memory")) {
        memory_row(hash_fd(w, "lru"), entries);
    } else {
        program_row(row, w->object);
    }
}
