// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * run_maps SUBTEST preallocated|on-demand: one subtest of Linux's test_maps. Not here, for they need sockets or maps
 * that the library does not have: devmap, devmap_hash, sockmap, reuseport_array, sk_storage, task_storage.
 */
#define _GNU_SOURCE
#include "one_world.h"

#define main all_of_it
#include <tools/testing/selftests/bpf/test_maps.c>
#undef main

/* Of testing_helpers.c; for sockmap, which is not run. */
int bpf_prog_test_load(const char* file, enum bpf_prog_type type, struct bpf_object** object, int* fd) {
    (void)file, (void)type, (void)object, (void)fd;
    return -1;
}

static void hashmap(void) { test_hashmap(0, NULL); }
static void hashmap_percpu(void) { test_hashmap_percpu(0, NULL); }
static void hashmap_sizes(void) { test_hashmap_sizes(0, NULL); }
static void hashmap_walk(void) { test_hashmap_walk(0, NULL); }
static void arraymap(void) { test_arraymap(0, NULL); }
static void arraymap_percpu(void) { test_arraymap_percpu(0, NULL); }
static void queuemap(void) { test_queuemap(0, NULL); }
static void stackmap(void) { test_stackmap(0, NULL); }
static void map_parallel(void) {
    one_world = 1;
    test_map_parallel();
}

void test_array_map_batch_ops(void);
void test_htab_map_batch_ops(void);
void test_lpm_trie_map_batch_ops(void);
void test_map_in_map_batch_ops_array(void);
void test_map_in_map_batch_ops_hash(void);

static const struct {
    const char* name;
    void (*run)(void);
} subtests[] = {
    {"hashmap", hashmap},
    {"hashmap_percpu", hashmap_percpu},
    {"hashmap_sizes", hashmap_sizes},
    {"hashmap_walk", hashmap_walk},
    {"hashmap_zero_seed", test_hashmap_zero_seed},
    {"arraymap", arraymap},
    {"arraymap_percpu", arraymap_percpu},
    {"arraymap_percpu_many_keys", test_arraymap_percpu_many_keys},
    {"map_large", test_map_large},
    {"map_parallel", map_parallel},
    {"map_stress", test_map_stress},
    {"map_rdonly", test_map_rdonly},
    {"map_wronly", test_map_wronly},
    {"queuemap", queuemap},
    {"stackmap", stackmap},
    {"map_in_map", test_map_in_map},
    {"array_map_batch_ops", test_array_map_batch_ops},
    {"htab_map_batch_ops", test_htab_map_batch_ops},
    {"lpm_trie_map_batch_ops", test_lpm_trie_map_batch_ops},
    {"map_in_map_batch_ops_array", test_map_in_map_batch_ops_array},
    {"map_in_map_batch_ops_hash", test_map_in_map_batch_ops_hash},
};

int main(int count, char** arguments) {
    if (count != 3) return 2;
    srand(1);
    map_opts.map_flags = strcmp(arguments[2], "preallocated") ? BPF_F_NO_PREALLOC : 0;
    for (size_t i = 0; i < sizeof subtests / sizeof subtests[0]; ++i) {
        if (strcmp(arguments[1], subtests[i].name)) continue;
        subtests[i].run();
        return 0;
    }
    return 2;
}
