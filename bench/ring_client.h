// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The rows of programs/ring_rows.bpf.c, in nanoseconds for each record; ENTRIES is the number of producers.
 *
 *     ring_produce_SIZE ring_output_SIZE    records nobody reads: between runs the reader's position is moved
 *     ring_busy_SIZE                        and a reader who looks all the time, until the last record is read
 *     ring_epoll_SIZE                       and a reader who sleeps in epoll_wait()
 *     ring_single_SIZE ring_multi_SIZE      the same records into a ring of native_ring.h
 *
 * Records that find no room do not count. */
#pragma once

#include <pthread.h>
#include <sys/mman.h>

enum { kRingSize = 1 << 22, kRingMostProducers = 8 };

#include "native_ring.h"

struct ring_world {
    struct bpf_object* object;
    int map;
    volatile unsigned long long* consumer;
    const volatile unsigned long long* producer;
};

/* What a producer runs: a program, or a native ring's code. */
struct ring_work {
    int program; /* negative: native, */
    int multi;   /* of this kind */
    unsigned size;
};

struct ring_producer {
    pthread_t thread;
    pthread_barrier_t* start;
    const struct ring_work* work;
    int repeat, failed;
    int cpu;
    double begin, end;
};

static struct ring_world ring_world;
static unsigned long long ring_read;

static int ring_on_record(void* context, void* data, size_t size) {
    (void)context;
    (void)data;
    (void)size;
    ++ring_read;
    return 0;
}

static struct ring_world* ring_find(const char* path) {
    struct ring_world* w = &ring_world;
    if (w->object) return w;
    w->object = bpf_object__open_file(path, NULL);
    if (!w->object || bpf_object__load(w->object)) return NULL;
    w->map = bpf_map__fd(bpf_object__find_map_by_name(w->object, "ring"));
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    w->consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, w->map, 0);
    w->producer = mmap(NULL, page, PROT_READ, MAP_SHARED, w->map, (off_t)page);
    return w->consumer == MAP_FAILED || w->producer == MAP_FAILED ? NULL : w;
}

static void* ring_produce(void* argument) {
    struct ring_producer* p = argument;
    unsigned lost = 0, ns;
    stay_on(p->cpu);
    pthread_barrier_wait(p->start);
    p->begin = now_ns();
    if (p->work->program >= 0) {
        p->failed = run_once(p->work->program, p->repeat, &lost, &ns);
    } else {
        native_produce(p->work->multi, p->work->size, p->repeat);
    }
    p->end = now_ns();
    return NULL;
}

static unsigned long long ring_bytes_of(unsigned size) {
    return (size + 15) / 8 * 8;
}

/* Time for all producers to be through; negative: failed. While they run, `read` (if any) is called again and again, and
 * afterwards until nothing is left. */
static double ring_run(struct ring_world* w, const struct ring_work* work, int producers,
                       int repeat, int (*read)(struct ring_buffer*), struct ring_buffer* ring) {
    struct ring_producer threads[kRingMostProducers];
    pthread_barrier_t start;
    double begin = 0, end = 0;
    int failed = 0;
    /* Without a reader the first producer is this thread. */
    const int first = read ? 0 : 1;
    cpu_set_t before;
    sched_getaffinity(0, sizeof before, &before);
    pthread_barrier_init(&start, NULL, (unsigned)(producers + 1 - first));
    for (int i = 0; i < producers; ++i) {
        threads[i] = (struct ring_producer){.start = &start, .work = work, .repeat = repeat,
                                           .cpu = i + 1};
        if (i >= first) pthread_create(&threads[i].thread, NULL, ring_produce, &threads[i]);
    }
    if (read) {
        stay_on(0);
        pthread_barrier_wait(&start);
        const unsigned long long all = ring_read + 1ull * producers * repeat * kOperations;
        /* Those without room are not read: the producers' end shows when it is over. */
        while (ring_read < all && read(ring) >= 0) {
            int running = 0;
            for (int i = 0; i < producers; ++i)
                running += !__atomic_load_n((long long*)&threads[i].end, __ATOMIC_ACQUIRE);
            if (!running && *w->consumer == *w->producer) break;
        }
        end = now_ns();
    } else {
        ring_produce(&threads[0]);
    }
    for (int i = first; i < producers; ++i) pthread_join(threads[i].thread, NULL);
    for (int i = 0; i < producers; ++i) {
        failed |= threads[i].failed;
        if (!begin || threads[i].begin < begin) begin = threads[i].begin;
        if (threads[i].end > end) end = threads[i].end;
    }
    pthread_barrier_destroy(&start);
    sched_setaffinity(0, sizeof before, &before);
    return failed ? -1 : end - begin;
}

/* As many runs as the ring holds, then its reader's position; again for about kTargetNs. */
static void ring_unread_row(const char* row, struct ring_world* w, const struct ring_work* work,
                            int producers) {
    const unsigned long long bytes = ring_bytes_of(work->size) * kOperations * producers;
    const int repeat = (int)(kRingSize / bytes);
    double time = 0;
    unsigned long long records = 0;
    while (time < kTargetNs) {
        *w->consumer = *w->producer;
        const unsigned long long before = *w->producer;
        const double run = ring_run(w, work, producers, repeat, NULL, NULL);
        if (run < 0) {
            printf("error %s: %s\n", row, strerror(errno));
            return;
        }
        time += run;
        records += (*w->producer - before) / ring_bytes_of(work->size);
    }
    *w->consumer = *w->producer;
    printf("%.4f 0\n", time / (double)records);
}

static void ring_native_row(const char* row, struct ring_work* work, int producers) {
    if (!native_ring.data) native_ring.data = calloc(1, 2 * kRingSize);
    struct ring_world native = {
        .consumer = &native_ring.consumed,
        .producer = work->multi ? &native_ring.reserved : &native_ring.produced};
    if (!native_ring.data || (producers > 1 && !work->multi)) {
        printf("error %s: %s\n", row, strerror(native_ring.data ? EINVAL : ENOMEM));
        return;
    }
    ring_unread_row(row, &native, work, producers);
}

static int ring_read_busily(struct ring_buffer* ring) {
    return ring_buffer__consume(ring);
}
static int ring_read_after_sleep(struct ring_buffer* ring) {
    return ring_buffer__poll(ring, 100);
}

static void ring_read_row(const char* row, struct ring_world* w, const struct ring_work* work,
                          int producers, int (*read)(struct ring_buffer*)) {
    *w->consumer = *w->producer;
    struct ring_buffer* ring = ring_buffer__new(w->map, ring_on_record, NULL, NULL);
    const unsigned long long before = ring_read;
    const double time = ring ? ring_run(w, work, producers, 400 / producers, read, ring) : -1;
    if (time < 0) {
        printf("error %s: %s\n", row, strerror(errno));
    } else {
        printf("%.4f 0\n", time / (double)(ring_read - before));
    }
    ring_buffer__free(ring);
}

static void ring_row(const char* row, unsigned long long producers, const char* directory,
                     int length) {
    char path[4096], name[64];
    const char* what = row + strlen("ring_");
    const char* number = strrchr(row, '_') + 1;
    const int count = producers ? (int)producers : 1;
    struct ring_work work = {.program = -1, .size = (unsigned)atoi(number)};
    if (!strncmp(what, "single_", 7) || !strncmp(what, "multi_", 6)) {
        work.multi = *what == 'm';
        ring_native_row(row, &work, count);
        return;
    }
    snprintf(path, sizeof path, "%.*sring_rows.bpf.o", length, directory);
    struct ring_world* w = ring_find(path);
    snprintf(name, sizeof name, "ring_%s_%s", !strncmp(what, "output", 6) ? "output" : "produce",
             number);
    struct bpf_program* program = w ? bpf_object__find_program_by_name(w->object, name) : NULL;
    if (!program || count > kRingMostProducers) {
        printf("error %s: cannot load: %s\n", row, strerror(errno));
        return;
    }
    work.program = bpf_program__fd(program);
    if (!strncmp(what, "busy", 4)) {
        ring_read_row(row, w, &work, count, ring_read_busily);
    } else if (!strncmp(what, "epoll", 5)) {
        ring_read_row(row, w, &work, count, ring_read_after_sleep);
    } else {
        ring_unread_row(row, w, &work, count);
    }
}
