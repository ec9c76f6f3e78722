// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* run_lru_map SUBTEST common|percpu-lists hash|percpu-hash: one subtest of Linux's test_lru_map, 0 to 8. */
#define _GNU_SOURCE
#include "one_world.h"

#define main all_of_it
#include <tools/testing/selftests/bpf/test_lru_map.c>
#undef main

int main(int count, char** arguments) {
    if (count != 4) return 2;
    setbuf(stdout, NULL);
    nr_cpus = bpf_num_possible_cpus();
    const int flags = strcmp(arguments[2], "common") ? BPF_F_NO_COMMON_LRU : 0;
    const int type = strcmp(arguments[3], "hash") ? BPF_MAP_TYPE_LRU_PERCPU_HASH : BPF_MAP_TYPE_LRU_HASH;
    const unsigned int target = flags ? PERCPU_FREE_TARGET : LOCAL_FREE_TARGET;
    switch (atoi(arguments[1])) {
        case 0: test_lru_sanity0(type, flags); break;
        case 1: test_lru_sanity1(type, flags, target); break;
        case 2: test_lru_sanity2(type, flags, target); break;
        case 3: test_lru_sanity3(type, flags, target); break;
        case 4: test_lru_sanity4(type, flags, target); break;
        case 5: one_world = 1; test_lru_sanity5(type, flags); break;
        case 6: test_lru_sanity6(type, flags, target); break;
        case 7: test_lru_sanity7(type, flags); break;
        case 8: test_lru_sanity8(type, flags); break;
        default: return 2;
    }
    return 0;
}
