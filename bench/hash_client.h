// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The rows of programs/hash_rows.bpf.c, and batches of bpf(2).
 *
 *     hash4_hit hash64_hit percpu_hit             one thread
 *     two_update two_insert_delete two_demand     two threads, each with its own test run on one map; the figure
 *                                                 is the time of one operation of one thread
 *     batch_lookup batch_update batch_replace     one element of a batch of 1,024; replace: insert and delete
 *     memory4 memory64 memory_percpu              bytes per element */
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { kBatch = 1024, kThreads = 2 };

struct hash_world {
    unsigned long long entries;
    struct bpf_object* object;
    struct hash_world* next;
};

static struct hash_world* hash_worlds;

static int hash_fd(struct hash_world* w, const char* name) {
    return bpf_map__fd(bpf_object__find_map_by_name(w->object, name));
}

/* Key number n is {n, ~n, 0...}, or n. */
static void hash_key(unsigned long long n, unsigned long long* key) {
    memset(key, 0, 64);
    key[0] = n, key[1] = ~n;
}

static int hash_fill(struct hash_world* w, const char* name) {
    const struct bpf_map* map = bpf_object__find_map_by_name(w->object, name);
    unsigned long long key[8], value[128];
    const unsigned key_size = bpf_map__key_size(map);
    for (unsigned long long n = 0; n < w->entries; ++n) {
        const unsigned small = n;
        hash_key(n, key);
        for (int cpu = 0; cpu < 128; ++cpu) value[cpu] = n;
        if (bpf_map_update_elem(bpf_map__fd(map), key_size == 4 ? (const void*)&small : key, value,
                                BPF_ANY))
            return -1;
    }
    return 0;
}

static struct hash_world* hash_find(unsigned long long entries, const char* path) {
    static const char* const maps[] = {"hash4", "hash64", "percpu", "shared"};
    for (struct hash_world* w = hash_worlds; w; w = w->next)
        if (w->entries == entries) return w;
    struct hash_world* w = calloc(1, sizeof *w);
    w->entries = entries;
    w->object = bpf_object__open_file(path, NULL);
    if (!w->object) return NULL;
    size_t size;
    *(unsigned long long*)bpf_map__initial_value(bpf_object__find_map_by_name(w->object, ".rodata"),
                                                 &size) = entries;
    /* Room for what two threads insert; the LRU of Linux's free lists likes some. */
    for (int i = 0; i < 4; ++i)
        bpf_map__set_max_entries(bpf_object__find_map_by_name(w->object, maps[i]),
                                 entries + kBatch);
    bpf_map__set_max_entries(bpf_object__find_map_by_name(w->object, "demand"), entries + kBatch);
    if (bpf_object__load(w->object)) return NULL;
    for (int i = 0; i < 4; ++i)
        if (hash_fill(w, maps[i])) return NULL;
    w->next = hash_worlds;
    return hash_worlds = w;
}

/* ── Two threads ── */

struct hash_thread {
    pthread_t thread;
    pthread_barrier_t* start;
    int fd, repeat, failed, cpu;
    double begin, end;
};

static void* hash_thread_main(void* argument) {
    struct hash_thread* t = argument;
    unsigned result = 0, ns;
    stay_on(t->cpu);
    pthread_barrier_wait(t->start);
    t->begin = now_ns();
    t->failed = run_once(t->fd, t->repeat, &result, &ns) || result;
    t->end = now_ns();
    return NULL;
}

/* Nanoseconds of a run of each thread; negative: failed. */
static double hash_two_run(int fd, int repeat) {
    struct hash_thread threads[kThreads];
    pthread_barrier_t start;
    double longest = 0;
    int failed = 0;
    cpu_set_t before;
    sched_getaffinity(0, sizeof before, &before);
    pthread_barrier_init(&start, NULL, kThreads);
    for (int i = 0; i < kThreads; ++i) {
        threads[i] = (struct hash_thread){.start = &start, .fd = fd, .repeat = repeat, .cpu = i};
        if (i) pthread_create(&threads[i].thread, NULL, hash_thread_main, &threads[i]);
    }
    hash_thread_main(&threads[0]);
    for (int i = 1; i < kThreads; ++i) pthread_join(threads[i].thread, NULL);
    for (int i = 0; i < kThreads; ++i) {
        failed |= threads[i].failed;
        if (threads[i].end - threads[i].begin > longest)
            longest = threads[i].end - threads[i].begin;
    }
    pthread_barrier_destroy(&start);
    sched_setaffinity(0, sizeof before, &before);
    return failed ? -1 : longest / repeat;
}

static void hash_two_row(const char* row, struct hash_world* w) {
    struct bpf_program* prog = bpf_object__find_program_by_name(w->object, row);
    const double once = prog ? hash_two_run(bpf_program__fd(prog), 8) : -1;
    const int repeat = once > 0 && once < kTargetNs ? kTargetNs / once + 1 : 1;
    const double run = once < 0 ? once : hash_two_run(bpf_program__fd(prog), repeat);
    if (run < 0) {
        printf("error %s: an operation failed\n", row);
    } else {
        printf("%.4f 0\n", run / kOperations);
    }
}

/* ── Batches ── */

static int hash_batches(const char* row, struct hash_world* w, unsigned long long* elements) {
    static unsigned long long keys[kBatch][2], values[kBatch];
    const int fd = hash_fd(w, "shared");
    unsigned cursor, count = kBatch;
    int error = 0;
    if (!strcmp(row, "batch_lookup")) {
        for (int first = 1; !error; first = 0) {
            count = kBatch;
            error = bpf_map_lookup_batch(fd, first ? NULL : &cursor, &cursor, keys, values, &count,
                                         NULL);
            if (!error || errno == ENOENT) *elements += count;
        }
        return errno == ENOENT ? 0 : -1;
    }
    const int replace = !strcmp(row, "batch_replace");
    for (unsigned long long n = 0; n < w->entries && !error; n += kBatch) {
        for (unsigned i = 0; i < kBatch; ++i) {
            values[i] = (n + i) * 7919 & (w->entries - 1);
            keys[i][0] = values[i] + (replace ? 1ull << 40 : 0), keys[i][1] = ~keys[i][0];
        }
        count = kBatch;
        error = bpf_map_update_batch(fd, keys, values, &count, NULL);
        if (!error && replace) error = bpf_map_delete_batch(fd, keys, &count, NULL);
        *elements += kBatch;
    }
    return error;
}

static void hash_batch_row(const char* row, struct hash_world* w) {
    unsigned long long elements = 0;
    const double start = now_ns();
    while (now_ns() - start < kTargetNs) {
        if (hash_batches(row, w, &elements)) {
            printf("error %s: %s\n", row, strerror(errno));
            return;
        }
    }
    printf("%.4f 0\n", (now_ns() - start) / elements);
}

/* The directory of the other rows' programs. */
static void hash_row(const char* row, unsigned long long entries, const char* directory,
                     int length) {
    char path[4096];
    snprintf(path, sizeof path, "%.*shash_rows.bpf.o", length, directory);
    struct hash_world* w = hash_find(entries, path);
    if (!w) {
        printf("error %s: cannot load or fill: %s\n", row, strerror(errno));
    } else if (!strncmp(row, "two_", 4)) {
        hash_two_row(row, w);
    } else if (!strncmp(row, "batch_", 6)) {
        hash_batch_row(row, w);
    } else if (!strncmp(row, "memory", 6)) {
        memory_row(hash_fd(w, row[6] == '4'   ? "hash4"
                              : row[6] == '6' ? "hash64"
                                              : "percpu"),
                   entries);
    } else {
        program_row(row, w->object);
    }
}
