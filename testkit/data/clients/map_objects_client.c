// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * An ordinary libbpf program with a skeleton: what libbpf's own functions for maps, bpf_map__*, make of
 * map_objects.bpf.c before and after its maps are made. Exit status: 0, 1 if something differs from
 * what Linux does, 77 if bpf(2) is not permitted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

#include "map_objects.skel.h"

static int failures;

#define EXPECT(condition)                                                                   \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            fprintf(stderr, "map_objects_client.c:%d: not so: %s\n", __LINE__, #condition); \
            ++failures;                                                                     \
        }                                                                                   \
    } while (0)

static struct bpf_map_info info_of(const struct bpf_map* map) {
    struct bpf_map_info info = {0};
    unsigned size = sizeof(info);
    EXPECT(bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &size) == 0);
    return info;
}

/* -- before the load -- */

enum { kEntries = 100, kConstants = 4 };

static const unsigned constants[kConstants] = {11, 12, 13, 14},
                      variables[kConstants] = {15, 16, 17, 18};

/* The map that the object is to use instead of its own. */
static int make_shared(void) {
    return bpf_map_create(BPF_MAP_TYPE_HASH, "from_elsewhere", 4, 8, 4, NULL);
}

static void set_up(struct map_objects* skeleton, int shared, int inner) {
    EXPECT(bpf_map__set_max_entries(skeleton->maps.numbers, kEntries) == 0);
    EXPECT(bpf_map__set_type(skeleton->maps.percpu, BPF_MAP_TYPE_LRU_PERCPU_HASH) == 0);
    EXPECT(bpf_map__set_map_flags(skeleton->maps.queue, BPF_F_RDONLY_PROG) == 0);
    EXPECT(bpf_map__set_value_size(skeleton->maps.queue, 8) == 0);
    EXPECT(bpf_map__reuse_fd(skeleton->maps.shared, shared) == 0);
    EXPECT(bpf_map__set_inner_map_fd(skeleton->maps.outer, inner) == 0);
    EXPECT(bpf_map__autocreate(skeleton->maps.unwanted));
    EXPECT(bpf_map__set_autocreate(skeleton->maps.unwanted, false) == 0);

    size_t size = 0;
    const unsigned* initial = bpf_map__initial_value(skeleton->maps.rodata, &size);
    EXPECT(initial && size == sizeof(constants) && initial[3] == 4);
    EXPECT(bpf_map__set_initial_value(skeleton->maps.rodata, constants, sizeof(constants)) == 0);
    EXPECT(bpf_map__set_initial_value(skeleton->maps.rodata, constants, 4) == -EINVAL);
    EXPECT(bpf_map__set_initial_value(skeleton->maps.data, variables, sizeof(variables)) == 0);
}

static void check_loaded(struct map_objects* skeleton, int shared) {
    EXPECT(info_of(skeleton->maps.numbers).max_entries == kEntries);
    EXPECT(strcmp(info_of(skeleton->maps.numbers).name, "numbers") == 0);
    EXPECT(info_of(skeleton->maps.percpu).type == BPF_MAP_TYPE_LRU_PERCPU_HASH);
    EXPECT(info_of(skeleton->maps.queue).value_size == 8);
    EXPECT(info_of(skeleton->maps.queue).map_flags == BPF_F_RDONLY_PROG);
    EXPECT(info_of(skeleton->maps.outer).type == BPF_MAP_TYPE_ARRAY_OF_MAPS);
    EXPECT(bpf_map__fd(skeleton->maps.unwanted) < 0);

    struct bpf_map_info mine = {0};
    unsigned size = sizeof(mine);
    EXPECT(bpf_obj_get_info_by_fd(shared, &mine, &size) == 0);
    EXPECT(info_of(skeleton->maps.shared).id == mine.id);
    /* What is made cannot be changed any more. */
    EXPECT(bpf_map__set_max_entries(skeleton->maps.numbers, 5) == -EBUSY);
    EXPECT(bpf_map__set_autocreate(skeleton->maps.numbers, false) == -EBUSY);
    EXPECT(bpf_map__set_initial_value(skeleton->maps.data, constants, sizeof(constants)) ==
           -EINVAL);
}

/* -- elements -- */

static void check_elements(const struct bpf_map* map) {
    unsigned key = 3, next = 0;
    unsigned long long value = 30;
    EXPECT(bpf_map__lookup_elem(map, &key, 4, &value, 8, 0) == -ENOENT);
    EXPECT(bpf_map__get_next_key(map, NULL, &next, 4) == -ENOENT);
    EXPECT(bpf_map__update_elem(map, &key, 4, &value, 8, BPF_EXIST) == -ENOENT);
    EXPECT(bpf_map__update_elem(map, &key, 4, &value, 8, BPF_NOEXIST) == 0);
    EXPECT(bpf_map__update_elem(map, &key, 4, &value, 8, BPF_NOEXIST) == -EEXIST);
    value = 0;
    EXPECT(bpf_map__lookup_elem(map, &key, 4, &value, 8, 0) == 0 && value == 30);
    EXPECT(bpf_map__lookup_elem(map, &key, 4, &value, 4, 0) == -EINVAL); /* libbpf knows sizes */
    EXPECT(bpf_map__lookup_elem(map, &key, 4, &value, 8, 1) == -EINVAL);
    EXPECT(bpf_map__get_next_key(map, NULL, &next, 4) == 0 && next == 3);
    EXPECT(bpf_map__get_next_key(map, &key, &next, 4) == -ENOENT);
    EXPECT(bpf_map__delete_elem(map, &key, 4, 0) == 0);
    EXPECT(bpf_map__delete_elem(map, &key, 4, 0) == -ENOENT);
    value = 40;
    EXPECT(bpf_map__update_elem(map, &key, 4, &value, 8, BPF_ANY) == 0);
    value = 0;
    EXPECT(bpf_map__lookup_and_delete_elem(map, &key, 4, &value, 8, 0) == 0 && value == 40);
    EXPECT(bpf_map__lookup_and_delete_elem(map, &key, 4, &value, 8, 0) == -ENOENT);
}

/* As many as were asked for before the load, each once. */
static void check_all_keys(const struct bpf_map* map) {
    unsigned long long value = 1;
    for (unsigned key = 0; key < kEntries; ++key)
        EXPECT(bpf_map__update_elem(map, &key, 4, &value, 8, BPF_ANY) == 0);
    unsigned beyond = kEntries, key = 0, count = 0;
    EXPECT(bpf_map__update_elem(map, &beyond, 4, &value, 8, BPF_ANY) == -E2BIG);
    char seen[kEntries] = {0};
    const unsigned* previous = NULL;
    while (count <= kEntries && bpf_map__get_next_key(map, previous, &key, 4) == 0) {
        EXPECT(key < kEntries && !seen[key]);
        if (key < kEntries) seen[key] = 1;
        previous = &key;
        ++count;
    }
    EXPECT(count == kEntries);
}

/* A value of eight bytes for each CPU that there could be. */
static void check_percpu(const struct bpf_map* map) {
    static unsigned long long values[1024], found[1024];
    unsigned key = 5, cpus = (unsigned)libbpf_num_possible_cpus();
    EXPECT(cpus > 0 && cpus <= 1024);
    for (unsigned cpu = 0; cpu < cpus; ++cpu) values[cpu] = 50 + cpu;
    EXPECT(bpf_map__update_elem(map, &key, 4, values, 8, BPF_ANY) == -EINVAL);
    EXPECT(bpf_map__update_elem(map, &key, 4, values, 8 * cpus, BPF_ANY) == 0);
    EXPECT(bpf_map__lookup_elem(map, &key, 4, found, 8 * cpus, 0) == 0);
    EXPECT(memcmp(values, found, 8 * cpus) == 0);
}

static void check_queue(const struct bpf_map* map) {
    unsigned long long value = 60;
    EXPECT(bpf_map__update_elem(map, NULL, 0, &value, 8, BPF_ANY) == 0);
    value = 61;
    EXPECT(bpf_map__update_elem(map, NULL, 0, &value, 8, BPF_ANY) == 0);
    EXPECT(bpf_map__lookup_elem(map, NULL, 0, &value, 8, 0) == 0 && value == 60);
    EXPECT(bpf_map__lookup_and_delete_elem(map, NULL, 0, &value, 8, 0) == 0 && value == 60);
    EXPECT(bpf_map__lookup_and_delete_elem(map, NULL, 0, &value, 8, 0) == 0 && value == 61);
    EXPECT(bpf_map__lookup_and_delete_elem(map, NULL, 0, &value, 8, 0) == -ENOENT);
}

/* -- the others -- */

static void check_shared(const struct bpf_map* map, int shared) {
    unsigned key = 6;
    unsigned long long value = 70;
    EXPECT(bpf_map_update_elem(shared, &key, &value, BPF_ANY) == 0);
    value = 0;
    EXPECT(bpf_map__lookup_elem(map, &key, 4, &value, 8, 0) == 0 && value == 70);
}

static void check_outer(const struct bpf_map* map, const struct bpf_map* inner, int other_kind) {
    unsigned key = 1, id = 0;
    int fd = bpf_map__fd(inner);
    EXPECT(bpf_map__update_elem(map, &key, 4, &fd, 4, BPF_ANY) == 0);
    EXPECT(bpf_map__lookup_elem(map, &key, 4, &id, 4, 0) == 0 && id == info_of(inner).id);
    EXPECT(bpf_map__update_elem(map, &key, 4, &other_kind, 4, BPF_ANY) == -EINVAL);
    EXPECT(bpf_map__delete_elem(map, &key, 4, 0) == 0);
    EXPECT(bpf_map__lookup_elem(map, &key, 4, &id, 4, 0) == -ENOENT);
}

static void check_globals(struct map_objects* skeleton) {
    unsigned key = 0, found[kConstants];
    EXPECT(bpf_map__lookup_elem(skeleton->maps.rodata, &key, 4, found, sizeof(found), 0) == 0);
    EXPECT(memcmp(found, constants, sizeof(found)) == 0);
    EXPECT(bpf_map__update_elem(skeleton->maps.rodata, &key, 4, found, sizeof(found), 0) == -EPERM);
    EXPECT(bpf_map__lookup_elem(skeleton->maps.data, &key, 4, found, sizeof(found), 0) == 0);
    EXPECT(memcmp(found, variables, sizeof(found)) == 0);
    EXPECT(bpf_map__update_elem(skeleton->maps.data, &key, 4, constants, sizeof(found), 0) == 0);
    EXPECT(memcmp(skeleton->data->variables, constants, sizeof(found)) == 0);
}

int main(void) {
    int shared = make_shared();
    if (shared == -EPERM) return 77;
    struct map_objects* skeleton = map_objects__open();
    if (!skeleton || shared < 0) {
        perror("map_objects_client: open");
        return 1;
    }
    /* Alike but for the number of entries, which a hash may choose: and one that is not alike. */
    int inner = bpf_map_create(BPF_MAP_TYPE_HASH, NULL, 4, 8, 1, NULL);
    int other_kind = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, 4, 8, 1, NULL);
    set_up(skeleton, shared, inner);
    int error = map_objects__load(skeleton);
    close(inner); /* the outer map knows what it holds */
    if (error) {
        fprintf(stderr, "map_objects_client: load: %s\n", strerror(-error));
        return 1;
    }
    libbpf_set_print(NULL); /* what it refuses from here on is meant to be refused */
    check_loaded(skeleton, shared);
    check_elements(skeleton->maps.numbers);
    check_all_keys(skeleton->maps.numbers);
    check_percpu(skeleton->maps.percpu);
    check_queue(skeleton->maps.queue);
    check_shared(skeleton->maps.shared, shared);
    check_outer(skeleton->maps.outer, skeleton->maps.shared, other_kind);
    check_globals(skeleton);
    map_objects__destroy(skeleton);
    close(other_kind);
    close(shared);
    return failures ? 1 : 0;
}
