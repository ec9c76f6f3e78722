// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * An ordinary libbpf program with a skeleton: runs the programs of map_kinds.bpf.c and looks at what
 * their calls answered. Exit status: 0, 1 if something differs from what Linux does, 77 if bpf(2) is
 * not permitted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "testkit/data/programs/map_kinds.h"

#include "map_kinds.skel.h" /* after its types */

static int failures;

#define EXPECT(condition)                                                                 \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "map_kinds_client.c:%d: not so: %s\n", __LINE__, #condition); \
            ++failures;                                                                   \
        }                                                                                 \
    } while (0)

static struct map_kinds* skeleton;

static unsigned run(struct bpf_program* program) {
    static unsigned char packet[64];
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = sizeof(packet));
    EXPECT(bpf_prog_test_run_opts(bpf_program__fd(program), &options) == 0);
    return options.retval;
}

/* -- queues, stacks, bloom filters -- */

struct keyless {
    struct bpf_program *push, *pop, *peek;
};

static long long push(const struct keyless* map, unsigned long long number,
                      unsigned long long flags) {
    skeleton->bss->number = number;
    skeleton->bss->flags = flags;
    EXPECT(run(map->push) == XDP_PASS);
    EXPECT(skeleton->bss->number == number);
    return skeleton->bss->result;
}

/* The number, or what the helper says; then it leaves a zero. */
static long long take(struct bpf_program* program) {
    skeleton->bss->number = ~0ull;
    EXPECT(run(program) == XDP_PASS);
    if (skeleton->bss->result == 0) return (long long)skeleton->bss->number;
    EXPECT(skeleton->bss->number == 0);
    return skeleton->bss->result;
}

static void expect_order(const struct keyless* map, const int* numbers) {
    for (; *numbers; ++numbers) {
        EXPECT(take(map->peek) == *numbers);
        EXPECT(take(map->peek) == *numbers);
        EXPECT(take(map->pop) == *numbers);
    }
    EXPECT(take(map->peek) == -ENOENT);
    EXPECT(take(map->pop) == -ENOENT);
}

static void fill(const struct keyless* map) {
    EXPECT(take(map->pop) == -ENOENT);
    EXPECT(push(map, 11, BPF_ANY) == 0);
    EXPECT(push(map, 22, BPF_NOEXIST) == -EINVAL);
    EXPECT(push(map, 22, BPF_EXIST) == 0);
    EXPECT(push(map, 22, BPF_EXIST + 1) == -EINVAL);
    EXPECT(push(map, 33, BPF_ANY) == 0);
    EXPECT(push(map, 44, BPF_ANY) == -E2BIG);
}

static void check_queue(void) {
    const struct keyless queue = {skeleton->progs.queue_push, skeleton->progs.queue_pop,
                                  skeleton->progs.queue_peek};
    for (int round = 0; round < 2; ++round) {
        fill(&queue);
        expect_order(&queue, (const int[]){11, 22, 33, 0});
        fill(&queue);
        EXPECT(push(&queue, 44, BPF_EXIST) == 0); /* over the oldest */
        expect_order(&queue, (const int[]){22, 33, 44, 0});
    }
}

static void check_stack(void) {
    const struct keyless stack = {skeleton->progs.stack_push, skeleton->progs.stack_pop,
                                  skeleton->progs.stack_peek};
    for (int round = 0; round < 2; ++round) {
        fill(&stack);
        expect_order(&stack, (const int[]){33, 22, 11, 0});
        fill(&stack);
        EXPECT(push(&stack, 44, BPF_EXIST) == 0);
        expect_order(&stack, (const int[]){44, 33, 22, 0});
    }
}

static long long ask_bloom(unsigned long long number) {
    skeleton->bss->number = number;
    EXPECT(run(skeleton->progs.bloom_peek) == XDP_PASS);
    EXPECT(skeleton->bss->number == number);
    return skeleton->bss->result;
}

static void check_bloom(void) {
    const struct keyless bloom = {.push = skeleton->progs.bloom_push};
    EXPECT(ask_bloom(5) == -ENOENT);
    EXPECT(push(&bloom, 5, BPF_EXIST) == -EINVAL);
    EXPECT(push(&bloom, 5, BPF_NOEXIST) == -EINVAL);
    EXPECT(ask_bloom(5) == -ENOENT);
    EXPECT(push(&bloom, 5, BPF_ANY) == 0);
    EXPECT(push(&bloom, 5, BPF_ANY) == 0);
    EXPECT(ask_bloom(5) == 0);
    EXPECT(ask_bloom(6) == -ENOENT);
}

/* -- a hash of maps -- */

static unsigned update_inner(unsigned key, unsigned inner_key, unsigned long long number,
                             unsigned long long flags) {
    skeleton->bss->key = key;
    skeleton->bss->inner_key = inner_key;
    skeleton->bss->number = number;
    skeleton->bss->flags = flags;
    skeleton->bss->result = 1;
    return run(skeleton->progs.inner_update);
}

static void check_inner_elements(int inner) {
    unsigned long long value = 0;
    unsigned key = 7;
    EXPECT(update_inner(2, 7, 70, BPF_ANY) == XDP_PASS);
    EXPECT(skeleton->bss->result == 0 && !skeleton->bss->hit);
    EXPECT(bpf_map_lookup_elem(inner, &key, &value) == 0 && value == 70);
    EXPECT(update_inner(2, 7, 71, BPF_NOEXIST) == XDP_PASS);
    EXPECT(skeleton->bss->result == -EEXIST && skeleton->bss->hit);
    EXPECT(skeleton->bss->number == 71); /* the 70 that was there, and one */
    EXPECT(bpf_map_lookup_elem(inner, &key, &value) == 0 && value == 71);
    EXPECT(update_inner(2, 8, 80, BPF_EXIST) == XDP_PASS);
    EXPECT(skeleton->bss->result == -ENOENT && !skeleton->bss->hit);
    EXPECT(update_inner(2, 8, 80, BPF_ANY) == XDP_PASS && skeleton->bss->result == 0);
    EXPECT(update_inner(2, 9, 90, BPF_ANY) == XDP_PASS && skeleton->bss->result == -E2BIG);
    EXPECT(run(skeleton->progs.inner_delete) == XDP_PASS && skeleton->bss->result == -ENOENT);
    skeleton->bss->inner_key = 7;
    EXPECT(run(skeleton->progs.inner_delete) == XDP_PASS && skeleton->bss->result == 0);
    EXPECT(bpf_map_lookup_elem(inner, &key, &value) == -ENOENT);
}

static void check_hash_of_maps(void) {
    int outer = bpf_map__fd(skeleton->maps.outer), inner = bpf_map__fd(skeleton->maps.inner);
    unsigned key = 2;
    EXPECT(update_inner(2, 7, 70, BPF_ANY) == XDP_DROP);
    EXPECT(bpf_map_update_elem(outer, &key, &inner, BPF_ANY) == 0);
    EXPECT(update_inner(3, 7, 70, BPF_ANY) == XDP_DROP);
    check_inner_elements(inner);
    EXPECT(bpf_map_delete_elem(outer, &key) == 0);
    EXPECT(update_inner(2, 7, 70, BPF_ANY) == XDP_DROP);
    EXPECT(skeleton->bss->result == 1);
}

/* -- values of other CPUs -- */

enum { kMostCpus = 1024 };

static unsigned look_percpu(struct bpf_program* program, unsigned key, unsigned cpu) {
    skeleton->bss->key = key;
    skeleton->bss->cpu = cpu;
    skeleton->bss->number = 0;
    return run(program);
}

static void check_percpu(struct bpf_map* map, struct bpf_program* program) {
    static unsigned long long values[kMostCpus];
    unsigned key = 3, cpus = (unsigned)libbpf_num_possible_cpus();
    int fd = bpf_map__fd(map);
    EXPECT(cpus > 0 && cpus <= kMostCpus);
    for (unsigned cpu = 0; cpu < cpus; ++cpu) values[cpu] = 100 + cpu;
    EXPECT(bpf_map_update_elem(fd, &key, values, BPF_ANY) == 0);
    for (unsigned cpu = 0; cpu < cpus; ++cpu) {
        EXPECT(look_percpu(program, key, cpu) == XDP_PASS);
        EXPECT(skeleton->bss->number == 100 + cpu);
    }
    EXPECT(look_percpu(program, key, cpus) == XDP_DROP);
    EXPECT(look_percpu(program, key, ~0u) == XDP_DROP);
    EXPECT(look_percpu(program, 4, 0) == XDP_DROP); /* no such element */
    EXPECT(bpf_map_lookup_elem(fd, &key, values) == 0);
    for (unsigned cpu = 0; cpu < cpus; ++cpu) EXPECT(values[cpu] == 1100 + cpu);
}

/* -- walks over maps of several types -- */

/* Of the program that walks only. */
static int load_walk(struct map_kinds* opened, enum bpf_map_type type, unsigned entries) {
    struct bpf_program* program;
    bpf_object__for_each_program(program, opened->obj) {
        bpf_program__set_autoload(program, program == opened->progs.walk);
    }
    bpf_map__set_type(opened->maps.walked, type);
    bpf_map__set_max_entries(opened->maps.walked, entries);
    if (type == BPF_MAP_TYPE_LPM_TRIE) {
        bpf_map__set_key_size(opened->maps.walked, 8);
        bpf_map__set_map_flags(opened->maps.walked, BPF_F_NO_PREALLOC);
    }
    if (type == BPF_MAP_TYPE_QUEUE || type == BPF_MAP_TYPE_STACK ||
        type == BPF_MAP_TYPE_BLOOM_FILTER)
        bpf_map__set_key_size(opened->maps.walked, 0);
    return map_kinds__load(opened);
}

static long long walk(struct map_kinds* loaded, unsigned most, unsigned long long flags) {
    loaded->bss->visit = (struct visit){.most = most};
    loaded->bss->flags = flags;
    EXPECT(run(loaded->progs.walk) == XDP_PASS);
    return loaded->bss->result;
}

/* The values of all CPUs, of which a program sees one. */
static unsigned long long total(int fd, unsigned key, unsigned copies) {
    static unsigned long long values[kMostCpus];
    unsigned long long sum = 0;
    EXPECT(bpf_map_lookup_elem(fd, &key, values) == 0);
    for (unsigned i = 0; i < copies; ++i) sum += values[i];
    return sum;
}

enum { kElements = 10 };

static void set_elements(int fd, unsigned copies) {
    static unsigned long long values[kMostCpus];
    for (unsigned key = 0; key < kElements; ++key) {
        for (unsigned i = 0; i < copies; ++i) values[i] = 7 * key;
        EXPECT(bpf_map_update_elem(fd, &key, values, BPF_ANY) == 0);
    }
}

/* The one that says stop is counted, and is the last. */
static void check_early_stop(struct map_kinds* loaded, unsigned copies) {
    int fd = bpf_map__fd(loaded->maps.walked);
    unsigned long long before = 0, after = 0;
    for (unsigned key = 0; key < kElements; ++key) before += total(fd, key, copies);
    EXPECT(walk(loaded, 3, 0) == 3);
    EXPECT(loaded->bss->visit.count == 3);
    for (unsigned key = 0; key < kElements; ++key) after += total(fd, key, copies);
    EXPECT(after == before + 3000);
}

static void check_walk(enum bpf_map_type type, unsigned copies) {
    struct map_kinds* opened = map_kinds__open();
    int is_array = type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
    EXPECT(load_walk(opened, type, is_array ? kElements : 256) == 0);
    int fd = bpf_map__fd(opened->maps.walked);
    EXPECT(walk(opened, 1000, 0) == (is_array ? kElements : 0));
    set_elements(fd, copies);
    EXPECT(walk(opened, 1000, 1) == -EINVAL);
    EXPECT(opened->bss->visit.count == 0);
    EXPECT(walk(opened, 1000, 0) == kElements);
    EXPECT(opened->bss->visit.count == kElements);
    EXPECT(opened->bss->visit.keys == 45);
    EXPECT(opened->bss->visit.values == 7 * 45);
    for (unsigned key = 0; key < kElements; ++key)
        EXPECT(total(fd, key, copies) == 7ull * key * copies + 1000);
    check_early_stop(opened, copies);
    if (is_array) EXPECT(opened->bss->visit.keys == 0 + 1 + 2);
    map_kinds__destroy(opened);
}

enum { kNotSupported = 524 }; /* ENOTSUPP, which user space has no name for */

static void expect_no_walk(enum bpf_map_type type) {
    libbpf_print_fn_t print = libbpf_set_print(NULL);
    struct map_kinds* opened = map_kinds__open();
    EXPECT(load_walk(opened, type, 64) == -kNotSupported);
    map_kinds__destroy(opened);
    libbpf_set_print(print);
}

static void check_walks(void) {
    unsigned cpus = (unsigned)libbpf_num_possible_cpus();
    check_walk(BPF_MAP_TYPE_HASH, 1);
    check_walk(BPF_MAP_TYPE_LRU_HASH, 1);
    check_walk(BPF_MAP_TYPE_ARRAY, 1);
    check_walk(BPF_MAP_TYPE_PERCPU_HASH, cpus);
    check_walk(BPF_MAP_TYPE_LRU_PERCPU_HASH, cpus);
    check_walk(BPF_MAP_TYPE_PERCPU_ARRAY, cpus);
    expect_no_walk(BPF_MAP_TYPE_LPM_TRIE);
    expect_no_walk(BPF_MAP_TYPE_QUEUE);
    expect_no_walk(BPF_MAP_TYPE_STACK);
    expect_no_walk(BPF_MAP_TYPE_BLOOM_FILTER);
}

int main(void) {
    skeleton = map_kinds__open();
    if (!skeleton) {
        perror("map_kinds_client: open");
        return 1;
    }
    int error = map_kinds__load(skeleton);
    if (error) {
        fprintf(stderr, "map_kinds_client: load: %s\n", strerror(-error));
        return error == -EPERM ? 77 : 1;
    }
    check_queue();
    check_stack();
    check_bloom();
    check_hash_of_maps();
    check_percpu(skeleton->maps.percpu_array, skeleton->progs.percpu_array_look);
    check_percpu(skeleton->maps.percpu_hash, skeleton->progs.percpu_hash_look);
    check_percpu(skeleton->maps.lru_percpu_hash, skeleton->progs.lru_percpu_hash_look);
    check_walks();
    map_kinds__destroy(skeleton);
    return failures ? 1 : 0;
}
