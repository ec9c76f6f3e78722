// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a look-up of an IPv4 prefix costs in native code, by how much memory it reaches: the prefixes and keys of
 * bench/compare's rows, and
 *
 *     value       the value of a prefix picked at random, with nothing before it
 *     DIR-24-8    one word of a table of 2^24 (64 MiB, or 67 bytes for each of a million prefixes), then the value
 *
 * and with a function that is not inlined and its pointer compared with null, as BPF programs call what is not written out for them:
 *
 *     called      DIR-24-8
 *     apart       nodes as in kernel/bpf/lpm_wide.h, found by the first 16 bits; values stand together, 8 bytes each
 *     beside      the same, but each value stands in its prefix's 24 bytes
 *     short       as apart, with entries of 16 bits: numbers within a range of leaves that the node knows. What a node like
 *                 that would cost; here each key gets some value of that range, not its prefix's
 *
 * Prints nanoseconds a look-up, the median of kRounds. Memory is in huge pages. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "lpm_prefixes.h"

#if defined(__x86_64__)
#define LOOK_UP __attribute__((noinline, target("popcnt,bmi2")))
#else
#define LOOK_UP __attribute__((noinline))
#endif

enum {
    kRounds = 9,
    kStride = 24, /* of keys, and of values behind their prefixes: as in the maps */
    kNodeStep = 64,
    kShortRange = 16384 /* leaves */
};

struct node {
    uint32_t header
        [4]; /* of which a look-up needs nothing but, for short entries, where their range begins */
    uint8_t
        upto[8]; /* runs that end up to the end of each word of ends, but for the last run of all */
    uint32_t ends[8]; /* a bit where a run ends */
    uint32_t cover;
    uint32_t runs;
    union {
        uint32_t entries[256];
        uint16_t shorts[256];
    };
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
static uint64_t* values; /* [number] */
static uint8_t* nodes;
static size_t nodes_size;
static struct node** places; /* [first 16 bits] */

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

LOOK_UP static uint64_t* look_up(const uint8_t* key) {
    uint32_t length;
    memcpy(&length, key, 4);
    if (length != 32) return NULL;
    const uint32_t number = find(key);
    return number ? leaf_value(number) : NULL;
}

static void add_node(uint32_t block, uint32_t prefixes, int shorts) {
    const uint32_t* numbers = table + block * 256;
    struct node node = {{0}, {0}, {0}, 0, 0, {{0}}};
    node.header[0] = prefixes > kShortRange ? lpm_random() % (prefixes - kShortRange) : 0;
    for (uint32_t slot = 0; slot < 256; ++slot) {
        if (slot == 255 || numbers[slot] != numbers[slot + 1]) {
            const uint32_t range = prefixes < kShortRange ? prefixes : kShortRange;
            if (shorts) node.shorts[node.runs] = numbers[slot] ? 1 + lpm_random() % range : 0;
            if (!shorts) node.entries[node.runs] = numbers[slot];
            ++node.runs;
            if (slot < 255) node.ends[slot / 32] |= 1u << slot % 32;
        }
        node.upto[slot / 32] = node.runs;
    }
    if (node.runs == 1 && !numbers[0]) return;
    --node.upto[7];
    const size_t bytes =
        __builtin_offsetof(struct node, entries) + node.runs * (shorts ? 2 : 4) + kNodeStep - 1;
    places[block] = (struct node*)(nodes + nodes_size);
    memcpy(places[block], &node, bytes / kNodeStep * kNodeStep);
    nodes_size += bytes / kNodeStep * kNodeStep;
}

static void add_nodes(uint32_t prefixes, int shorts) {
    nodes_size = kNodeStep; /* the first is that of blocks without any */
    for (uint32_t block = 0; block < 1 << 16; ++block) {
        places[block] = (struct node*)nodes;
        add_node(block, prefixes, shorts);
    }
}

/* The run that a value of the third byte is in. */
static inline uint32_t run_of(const struct node* node, uint32_t slot) {
    return node->upto[slot / 32] - __builtin_popcount(node->ends[slot / 32] >> slot % 32);
}

static inline const struct node* node_of(const uint8_t* key) {
    uint16_t block;
    memcpy(&block, key + 4, 2);
    const struct node* node = places[__builtin_bswap16(block)];
    __builtin_prefetch((const uint8_t*)node + 64);
    return node;
}

static inline uint32_t entry_of(const uint8_t* key) {
    uint32_t length;
    memcpy(&length, key, 4);
    if (length != 32) return 0;
    const struct node* node = node_of(key);
    __builtin_prefetch((const uint8_t*)node + 128);
    return node->entries[run_of(node, key[6])];
}
LOOK_UP static uint64_t* look_up_beside(const uint8_t* key) {
    const uint32_t number = entry_of(key);
    return number ? leaf_value(number) : NULL;
}
LOOK_UP static uint64_t* look_up_apart(const uint8_t* key) {
    const uint32_t number = entry_of(key);
    return number ? values + number : NULL;
}
LOOK_UP static uint64_t* look_up_short(const uint8_t* key) {
    uint32_t length;
    memcpy(&length, key, 4);
    if (length != 32) return NULL;
    const struct node* node = node_of(key);
    const uint32_t number = node->shorts[run_of(node, key[6])];
    return number ? values + node->header[0] + number : NULL;
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
static inline uint64_t call_each(uint64_t* (*function)(const uint8_t*)) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < kLpmKeys; ++i) {
        const uint64_t* value = function(keys + (size_t)(i & (kLpmKeys - 1)) * kStride);
        if (value) sum += *value;
    }
    return sum;
}
static uint64_t call(void) {
    return call_each(look_up);
}
static uint64_t call_apart(void) {
    return call_each(look_up_apart);
}
static uint64_t call_beside(void) {
    return call_each(look_up_beside);
}
static uint64_t call_short(void) {
    return call_each(look_up_short);
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
    values = zeroed(((size_t)1000000 + 1) * sizeof *values);
    nodes = zeroed((size_t)1 << 26);
    places = zeroed(sizeof *places << 16);
    printf("%-10s %8s %9s %8s %8s %8s %8s\n", "prefixes", "value", "DIR-24-8", "called", "beside",
           "apart", "short");
    for (int i = 0; i < 3; ++i) {
        table = zeroed(sizeof *table << 24);
        leaves = zeroed((size_t)(sizes[i] + 1) * kStride);
        fill(sizes[i]);
        printf("%-10u %8.1f %9.1f %8.1f", sizes[i], measure(read_values), measure(read_table),
               measure(call));
        add_nodes(sizes[i], 0);
        printf(" %8.1f %8.1f", measure(call_beside), measure(call_apart));
        add_nodes(sizes[i], 1);
        printf(" %8.1f\n", measure(call_short));
    }
}
