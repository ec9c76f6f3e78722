// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The least that a look-up of an IPv4 prefix costs, in native code: the prefixes and keys of bench/compare's rows, and
 *
 *     value       the value of a prefix picked at random, with nothing before it
 *     DIR-24-8    one word of a table of 2^24 (64 MiB, or 67 bytes for each of a million prefixes), then the value
 *     called      the same as a BPF program has to do it: the key from an array of maps' layout, a function that is not
 *                 inlined, its pointer compared with null
 *
 * Prints nanoseconds a look-up, the median of kRounds. Memory is in huge pages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "lpm_prefixes.h"

enum {
    kRounds = 9,
    kStride = 24 /* of keys, and of values behind their prefixes: as in the maps */
};

static void* zeroed(size_t size) {
    const size_t huge = 2 << 20;
    char* memory =
        mmap(NULL, size + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) exit(1);
    memory += -(uintptr_t)memory & (huge - 1);
    madvise(memory, size, MADV_HUGEPAGE);
    return memset(memory, 0, size);
}

static uint32_t* table;  /* [first 24 bits]: number of the longest prefix, 0: none */
static uint8_t* leaves;  /* kStride bytes each, the value last */
static uint8_t* keys;    /* kStride bytes each */
static uint32_t* picked; /* the prefix of each key */

static uint32_t address_of(const struct lpm_key* key) {
    return (uint32_t)key->data[0] << 24 | key->data[1] << 16 | key->data[2] << 8 | key->data[3];
}

static int by_length(const void* a, const void* b) {
    return (int)((const struct lpm_key*)a)->length - (int)((const struct lpm_key*)b)->length;
}

static void fill(uint32_t prefixes) {
    struct lpm_key* all = malloc(prefixes * sizeof *all);
    lpm_start_prefixes();
    for (uint32_t i = 0; i < prefixes; ++i) all[i] = lpm_prefix4();
    lpm_start_keys();
    for (uint32_t i = 0; i < kLpmKeys; ++i) {
        struct lpm_key key = lpm_below(all[lpm_random() % prefixes], 32);
        key.length = 32;
        memcpy(keys + (size_t)i * kStride, &key, sizeof key);
    }
    /* Longer ones over shorter ones; numbers in no order of addresses. */
    qsort(all, prefixes, sizeof *all, by_length);
    for (uint32_t i = 0; i < prefixes; ++i) {
        const uint32_t number = (uint32_t)(i * 2654435761ull % prefixes) + 1;
        const uint32_t first = (address_of(&all[i]) & ~0u << (32 - all[i].length)) >> 8;
        for (uint32_t at = first; at < first + (1u << (24 - all[i].length)); ++at)
            table[at] = number;
    }
    for (uint32_t i = 0; i < kLpmKeys; ++i)
        picked[i] = table[address_of((struct lpm_key*)(keys + (size_t)i * kStride)) >> 8];
    free(all);
}

static inline uint64_t* leaf_value(uint32_t number) {
    return (uint64_t*)(leaves + (size_t)number * kStride + kStride - 8);
}
static inline uint32_t find(const uint8_t* key) {
    uint32_t address;
    memcpy(&address, key + 4, 4);
    return table[__builtin_bswap32(address) >> 8];
}

__attribute__((noinline)) static uint64_t* look_up(const uint8_t* key) {
    uint32_t length;
    memcpy(&length, key, 4);
    if (length != 32) return NULL;
    const uint32_t number = find(key);
    return number ? leaf_value(number) : NULL;
}

static uint64_t read_values(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < kLpmKeys; ++i) sum += *leaf_value(picked[i]);
    return sum;
}
static uint64_t read_table(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < kLpmKeys; ++i) sum += *leaf_value(find(keys + (size_t)i * kStride));
    return sum;
}
static uint64_t call(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < kLpmKeys; ++i) {
        const uint64_t* value = look_up(keys + (size_t)(i & (kLpmKeys - 1)) * kStride);
        if (value) sum += *value;
    }
    return sum;
}

static int by_time(const void* a, const void* b) {
    const double x = *(const double*)a, y = *(const double*)b;
    return (x > y) - (x < y);
}

static double measure(uint64_t (*loop)(void)) {
    static volatile uint64_t sink;
    double times[kRounds];
    for (int round = -1; round < kRounds; ++round) { /* the first one warms the caches */
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        sink = loop();
        clock_gettime(CLOCK_MONOTONIC, &end);
        const double spent = (end.tv_sec - begin.tv_sec) * 1e9 + (end.tv_nsec - begin.tv_nsec);
        if (round >= 0) times[round] = spent / kLpmKeys;
    }
    (void)sink;
    qsort(times, kRounds, sizeof *times, by_time);
    return times[kRounds / 2];
}

int main(void) {
    static const uint32_t sizes[] = {10000, 100000, 1000000};
    picked = zeroed(kLpmKeys * sizeof *picked);
    keys = zeroed((size_t)kLpmKeys * kStride);
    printf("%-10s %8s %9s %8s\n", "prefixes", "value", "DIR-24-8", "called");
    for (int i = 0; i < 3; ++i) {
        table = zeroed(sizeof *table << 24);
        leaves = zeroed((size_t)(sizes[i] + 1) * kStride);
        fill(sizes[i]);
        printf("%-10u %8.1f %9.1f %8.1f\n", sizes[i], measure(read_values), measure(read_table),
               measure(call));
    }
}
