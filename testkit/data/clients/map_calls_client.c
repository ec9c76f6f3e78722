// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * An ordinary libbpf program with a skeleton: runs the programs of map_calls.bpf.c, on several CPUs at
 * once where they lock, and looks at what they left. Exit status: 0, 1 if something differs from what
 * Linux does, 77 if bpf(2) is not permitted.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "testkit/data/programs/map_calls.h"

#include "map_calls.skel.h" /* after its types */

static int failures;

#define EXPECT(condition)                                                                 \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "map_calls_client.c:%d: not so: %s\n", __LINE__, #condition); \
            ++failures;                                                                   \
        }                                                                                 \
    } while (0)

static unsigned run(struct bpf_program* program, unsigned length, unsigned repeat) {
    static unsigned char packet[1500];
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = length,
                .repeat = (int)repeat);
    EXPECT(bpf_prog_test_run_opts(bpf_program__fd(program), &options) == 0);
    return options.retval;
}

enum { kThreads = 4, kRuns = 20000, kLooks = 2000 };

static void* lock_often(void* program) {
    EXPECT(run(program, 64, kRuns) == XDP_PASS);
    return NULL;
}

static void add_pair(struct bpf_map* map, unsigned key) {
    struct pair_value zero = {.first = 0};
    EXPECT(bpf_map_update_elem(bpf_map__fd(map), &key, &zero, BPF_ANY) == 0);
}

static struct pair_value look(struct bpf_map* map, unsigned key) {
    struct pair_value value;
    memset(&value, 0xff, sizeof(value));
    EXPECT(bpf_map_lookup_elem_flags(bpf_map__fd(map), &key, &value, BPF_F_LOCK) == 0);
    EXPECT(value.first == value.second);
    EXPECT(value.lock.val == 0);
    return value;
}

/* Threads under the lock, and user space that reads with BPF_F_LOCK: both halves are always alike. */
static void check_locks(struct map_calls* skeleton) {
    pthread_t threads[kThreads];
    add_pair(skeleton->maps.locked_hash, 1);
    add_pair(skeleton->maps.locked_hash, 2);
    for (int i = 0; i < kThreads; ++i)
        pthread_create(&threads[i], NULL, lock_often, skeleton->progs.lock_both);
    for (int i = 0; i < kLooks; ++i) {
        look(skeleton->maps.locked_hash, 1);
        look(skeleton->maps.locked_array, 1);
    }
    for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
    EXPECT(skeleton->bss->mismatches == 0);
    EXPECT(look(skeleton->maps.locked_hash, 1).first == kThreads * kRuns);
    EXPECT(look(skeleton->maps.locked_array, 1).first == kThreads * kRuns);

    EXPECT(run(skeleton->progs.lock_each_value, 64, 1) == XDP_PASS);
    EXPECT(skeleton->bss->visited == 2);
    EXPECT(look(skeleton->maps.locked_hash, 1).first == kThreads * kRuns + 1);
    EXPECT(look(skeleton->maps.locked_hash, 2).first == 1);
}

static void check_walks(struct map_calls* skeleton) {
    unsigned long long sum = 0;
    for (unsigned key = 1; key <= 40; ++key) {
        unsigned long long value = key * 3;
        sum += key * value;
        EXPECT(bpf_map_update_elem(bpf_map__fd(skeleton->maps.numbers), &key, &value, 0) == 0);
    }
    for (unsigned key = 0; key < 16; ++key) {
        unsigned long long value = key + 100;
        sum += key * value;
        EXPECT(bpf_map_update_elem(bpf_map__fd(skeleton->maps.slots), &key, &value, 0) == 0);
    }
    skeleton->bss->walk.most = 1000;
    EXPECT(run(skeleton->progs.walk_maps, 64, 1) == XDP_PASS);
    EXPECT(skeleton->bss->visited == 56);
    EXPECT(skeleton->bss->walk.count == 56);
    EXPECT(skeleton->bss->walk.sum == sum);

    skeleton->bss->walk.most = 7; /* the one that says stop is counted */
    EXPECT(run(skeleton->progs.walk_maps, 64, 1) == XDP_PASS);
    EXPECT(skeleton->bss->visited == 7);
    EXPECT(skeleton->bss->walk.count == 7);

    EXPECT(run(skeleton->progs.forget_all, 64, 1) == XDP_PASS);
    EXPECT(skeleton->bss->visited == 40);
    unsigned key;
    EXPECT(bpf_map_get_next_key(bpf_map__fd(skeleton->maps.numbers), NULL, &key) == -ENOENT);
}

static void check_loops(struct map_calls* skeleton) {
    skeleton->bss->walk.most = 0;
    EXPECT(run(skeleton->progs.loop_numbers, 100, 1) == XDP_PASS);
    EXPECT(skeleton->bss->visited == 100);
    EXPECT(skeleton->bss->walk.sum == 328350); /* 0^2 + ... + 99^2 */
    skeleton->bss->walk.most = 20;
    EXPECT(run(skeleton->progs.loop_numbers, 100, 1) == XDP_PASS);
    EXPECT(skeleton->bss->visited == 20);
    EXPECT(skeleton->bss->walk.sum == 2470);

    unsigned key = 0;
    int target = bpf_program__fd(skeleton->progs.tail_target);
    EXPECT(bpf_map_update_elem(bpf_map__fd(skeleton->maps.progs), &key, &target, 0) == 0);
    EXPECT(run(skeleton->progs.callbacks_and_tail_call, 64, 1) == XDP_TX);
    EXPECT(skeleton->bss->visited == 5010);
}

static void check_percpu(struct map_calls* skeleton) {
    unsigned key = 0;
    static unsigned long long values[1024];
    int cpus = libbpf_num_possible_cpus();
    EXPECT(cpus > 0 && cpus <= 1024);
    EXPECT(bpf_map_update_elem(bpf_map__fd(skeleton->maps.percpu), &key, values, 0) == 0);
    EXPECT(run(skeleton->progs.count_on_this_cpu, 64, 10) == XDP_PASS);
    EXPECT(bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.percpu), &key, values) == 0);
    unsigned long long sum = 0;
    for (int cpu = 0; cpu < cpus; ++cpu) sum += values[cpu];
    EXPECT(sum == 10);
    EXPECT(skeleton->bss->other_cpu >= 1 && skeleton->bss->other_cpu <= 10);
}

int main(void) {
    struct map_calls* skeleton = map_calls__open();
    if (!skeleton) {
        perror("map_calls_client: open");
        return 1;
    }
    int error = map_calls__load(skeleton);
    if (error) {
        fprintf(stderr, "map_calls_client: load: %s\n", strerror(-error));
        return error == -EPERM ? 77 : 1;
    }
    check_locks(skeleton);
    check_walks(skeleton);
    check_loops(skeleton);
    check_percpu(skeleton);
    map_calls__destroy(skeleton);
    return failures ? 1 : 0;
}
