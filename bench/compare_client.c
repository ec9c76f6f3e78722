// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The libbpf client that bench/compare runs twice: against the running kernel and, with libbarebpf.so
 * preloaded, against barebpf. It knows nothing of either.
 *
 *     compare_client ALU_ROWS.o MAP_ROWS.o
 *
 * It then takes one line at a time from standard input and answers with one line:
 *
 *     ROW ENTRIES    ->    NANOSECONDS-PER-OPERATION CHECK
 *
 * ENTRIES is the size of the hash map for rows that use it, the number of producers for a ring buffer's, else 0. CHECK is what the row computed. An
 * answer that starts with "error" tells what failed. */
#define _GNU_SOURCE /* affinity */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lpm_client.h"

enum { kOperations = 1024, kFew = 64, kFrames = 16, kFrameSize = 64, kTargetNs = 20 * 1000 * 1000 };

struct key16 {
    unsigned long long number, inverse;
};

/* A loaded object; one for each size of the hash map. */
struct world {
    const char* path;
    unsigned long long entries;
    struct bpf_object* object;
    struct world* next;
};

static const char *alu_path, *map_path;
static char prog_path[4096]; /* prog_rows.bpf.o: rows do_*, beside the map rows */
static struct world* worlds;
static unsigned char packet[kFrames * kFrameSize];

/* Where the scheduler puts threads that work on one map, a reader and who wakes it, decides more than they do: each stays
 * on its CPU. */
static void stay_on(int cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu % (int)sysconf(_SC_NPROCESSORS_ONLN), &cpus);
    sched_setaffinity(0, sizeof cpus, &cpus);
}

static double now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

/* Sixteen frames: TCP and UDP to several ports, other protocols, ARP, a bad header. */
static void make_packet(void) {
    for (int i = 0; i < kFrames; ++i) {
        unsigned char* f = packet + i * kFrameSize;
        memset(f, i * 17, kFrameSize);
        f[12] = 8, f[13] = i == 3 ? 6 : 0;
        f[14] = i == 9 ? 0x43 : i == 5 ? 0x46 : 0x45;
        f[23] = i % 3 == 0 ? 6 : i % 3 == 1 ? 17 : 1;
        f[36] = 0, f[37] = i & 4 ? 53 : 80;
    }
}

static int fill_hash(struct bpf_object* object, unsigned long long entries) {
    int fd = bpf_map__fd(bpf_object__find_map_by_name(object, "hash"));
    for (unsigned long long n = 0; n < entries; ++n) {
        struct key16 key = {n, ~n};
        if (bpf_map_update_elem(fd, &key, &n, BPF_ANY)) return -1;
    }
    fd = bpf_map__fd(bpf_object__find_map_by_name(object, "array"));
    for (unsigned n = 0; n < 1024; ++n) {
        unsigned long long value = n * 3;
        if (bpf_map_update_elem(fd, &n, &value, BPF_ANY)) return -1;
    }
    return 0;
}

static struct world* load(const char* path, unsigned long long entries) {
    struct world* w = calloc(1, sizeof *w);
    w->path = path;
    w->entries = entries;
    w->object = bpf_object__open_file(path, NULL);
    if (!w->object) return NULL;
    if (entries) {
        size_t size;
        struct bpf_map* rodata = bpf_object__find_map_by_name(w->object, ".rodata");
        bpf_map__set_max_entries(bpf_object__find_map_by_name(w->object, "hash"), entries);
        unsigned long long* config = (unsigned long long*)bpf_map__initial_value(rodata, &size);
        *config = entries;
    }
    if (bpf_object__load(w->object) || (entries && fill_hash(w->object, entries))) return NULL;
    w->next = worlds;
    return worlds = w;
}

static struct world* find_world(const char* row, unsigned long long entries) {
    const char* path = !strncmp(row, "do_", 3) ? prog_path : entries ? map_path : alu_path;
    for (struct world* w = worlds; w; w = w->next)
        if (w->path == path && w->entries == entries) return w;
    return load(path, entries);
}

static int run_once(int fd, int repeat, unsigned* result, unsigned* ns) {
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof packet,
                .repeat = repeat);
    if (bpf_prog_test_run_opts(fd, &opts)) return -1;
    *result = opts.retval;
    *ns = opts.duration;
    return 0;
}

/* As in programs/rows.h. */
static int operations_of(const char* row) {
    static const char* const few[] = {"jhash_64",    "siphash_64",   "fnv_64",
                                      "crc_bitwise", "crc_table_64", "branchy"};
    for (size_t i = 0; i < sizeof few / sizeof few[0]; ++i)
        if (!strcmp(row, few[i])) return kFew;
    return strcmp(row, "empty") ? kOperations : 1;
}

/* Runs rounds until one has lasted about kTargetNs, which is short against a scheduler's slice, and so tells how many repeats
 * that takes. The first ones do not: the other side had the caches, and a short run is slower than those that follow. */
static int warm_up(int fd, int operations, int* repeat) {
    unsigned result, ns;
    *repeat = operations == 1 ? 100000 : 1;
    for (int rounds = 0; rounds < 8; ++rounds) {
        if (run_once(fd, *repeat, &result, &ns)) return -1;
        if (ns == 0) ns = 1; /* of one run, rounded */
        const int wanted = kTargetNs / ns ? kTargetNs / ns : 1;
        if (*repeat >= wanted / 4 * 3) break;
        *repeat = wanted;
    }
    return 0;
}

static void program_row(const char* row, struct bpf_object* object) {
    struct bpf_program* prog = bpf_object__find_program_by_name(object, row);
    unsigned result, ns, check;
    if (!prog || run_once(bpf_program__fd(prog), 1, &check, &ns)) {
        printf("error %s: %s\n", row, prog ? strerror(errno) : "no such row");
        return;
    }
    const int operations = operations_of(row);
    int repeat;
    if (warm_up(bpf_program__fd(prog), operations, &repeat)) {
        printf("error %s: %s\n", row, strerror(errno));
        return;
    }
    const double start = now_ns();
    if (run_once(bpf_program__fd(prog), repeat, &result, &ns)) {
        printf("error %s: %s\n", row, strerror(errno));
        return;
    }
    printf("%.4f %u\n", (now_ns() - start) / repeat / operations, check);
}

static void syscall_row(const char* row, struct world* w) {
    enum { kCalls = 20000 };
    int fd = bpf_map__fd(bpf_object__find_map_by_name(w->object, "hash"));
    const int update = !strcmp(row, "bpf_update");
    unsigned long long sum = 0, value = 0;
    const double start = now_ns();
    for (unsigned long long i = 0; i < kCalls; ++i) {
        const unsigned long long n = i * 7919 & (w->entries - 1);
        struct key16 key = {n, ~n};
        value = n;
        if (update ? bpf_map_update_elem(fd, &key, &value, BPF_ANY)
                   : bpf_map_lookup_elem(fd, &key, &value)) {
            printf("error %s: %s\n", row, strerror(errno));
            return;
        }
        sum += value;
    }
    printf("%.4f %llu\n", (now_ns() - start) / kCalls, sum);
}

/* What the map says it occupies, by its fdinfo, per element. */
static void memory_row(int fd, unsigned long long entries) {
    char path[64], line[256];
    unsigned long long bytes = 0;
    snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
    FILE* file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) sscanf(line, "memlock: %llu", &bytes);
    if (file) fclose(file);
    printf("%.4f 0\n", (double)bytes / entries);
}

#include "hash_client.h"
#include "lru_client.h"
#include "ring_client.h"

/* Rows of programs/hash_rows.bpf.c. */
static int is_hash_row(const char* row) {
    static const char* const prefixes[] = {"hash4",  "hash64",  "percpu_",  "two_",
                                           "batch_", "memory4", "memory64", "memory_percpu"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; ++i)
        if (!strncmp(row, prefixes[i], strlen(prefixes[i]))) return 1;
    return 0;
}

/* lpm4_hit, lpm6_hit, lpm4_update, lpm_keys; lpm4_memory, lpm6_memory. */
static void lpm_row(const char* row, unsigned long long entries) {
    char path[4096];
    const char* slash = strrchr(map_path, '/');
    snprintf(path, sizeof path, "%.*slpm_rows.bpf.o", slash ? (int)(slash + 1 - map_path) : 0, map_path);
    struct lpm_world* w = lpm_find(entries, row[3] == '6', path);
    if (!w || lpm_fill_keys(w, !!strcmp(row, "lpm4_update"))) {
        printf("error %s: cannot load or fill: %s\n", row, strerror(errno));
    } else if (strstr(row, "memory")) {
        printf("%.4f 0\n", lpm_memory(w));
    } else {
        program_row(row, w->object);
    }
}

/* Rows of programs/keyless_rows.bpf.c. */
static void keyless_row(const char* row) {
    static struct bpf_object* object;
    if (!object) {
        char path[4096];
        const char* slash = strrchr(map_path, '/');
        snprintf(path, sizeof path, "%.*skeyless_rows.bpf.o", slash ? (int)(slash + 1 - map_path) : 0, map_path);
        object = bpf_object__open_file(path, NULL);
        int error = !object || bpf_object__load(object);
        int bloom = error ? -1 : bpf_map__fd(bpf_object__find_map_by_name(object, "bloom"));
        for (unsigned long long n = 0; !error && n < 16384; ++n) error = bpf_map_update_elem(bloom, NULL, &n, BPF_ANY);
        if (error) {
            printf("error %s: cannot load or fill: %s\n", row, strerror(errno));
            object = NULL;
            return;
        }
    }
    program_row(row, object);
}

int main(int argc, char** argv) {
    if (argc != 3) return fprintf(stderr, "usage: compare_client ALU_ROWS.o MAP_ROWS.o\n"), 2;
    alu_path = argv[1], map_path = argv[2];
    const char* folder = strrchr(map_path, '/');
    snprintf(prog_path, sizeof prog_path, "%.*sprog_rows.bpf.o",
             folder ? (int)(folder + 1 - map_path) : 0, map_path);
    make_packet();
    libbpf_set_print(NULL); /* the answer says what failed */
    libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
    char row[64];
    unsigned long long entries;
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (scanf("%63s %llu", row, &entries) == 2) {
        if (is_hash_row(row)) {
            const char* slash = strrchr(map_path, '/');
            hash_row(row, entries, map_path, slash ? (int)(slash + 1 - map_path) : 0);
            continue;
        }
        if (!strncmp(row, "keyless_", 8)) {
            keyless_row(row);
            continue;
        }
        if (!strncmp(row, "lpm", 3)) {
            lpm_row(row, entries);
            continue;
        }
        if (!strncmp(row, "ring_", 5)) {
            const char* slash = strrchr(map_path, '/');
            ring_row(row, entries, map_path, slash ? (int)(slash + 1 - map_path) : 0);
            continue;
        }
        if (!strncmp(row, "lru_", 4)) {
            const char* slash = strrchr(map_path, '/');
            lru_row(row, entries, map_path, slash ? (int)(slash + 1 - map_path) : 0);
            continue;
        }
        struct world* w = find_world(row, entries);
        if (!w) {
            printf("error %s: cannot load: %s\n", row, strerror(errno));
        } else if (!strncmp(row, "bpf_", 4)) {
            syscall_row(row, w);
        } else if (!strcmp(row, "memory")) {
            memory_row(bpf_map__fd(bpf_object__find_map_by_name(w->object, "hash")), entries);
        } else {
            program_row(row, w->object);
        }
    }
    return 0;
}
