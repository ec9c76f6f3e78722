// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * An ordinary libbpf program with a skeleton: sets constants before the load, runs globals.bpf.c and finds
 * what it changed in mapped memory. Exit status: 0, 1 if something differs from what Linux does, 77
 * if bpf(2) is not permitted.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "testkit/data/programs/globals.h"

#include "globals.skel.h" /* after its types */

static int failures;

#define EXPECT(condition)                                                               \
    do {                                                                                \
        if (!(condition)) {                                                             \
            fprintf(stderr, "globals_client.c:%d: not so: %s\n", __LINE__, #condition); \
            ++failures;                                                                 \
        }                                                                               \
    } while (0)

static unsigned run(struct globals* skeleton, unsigned length) {
    static unsigned char packet[1500];
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet, .data_size_in = length);
    EXPECT(bpf_prog_test_run_opts(bpf_program__fd(skeleton->progs.globals), &options) == 0);
    return options.retval;
}

/* What the program changes, user space sees at once, and the other way round. */
static void check_shared_memory(struct globals* skeleton) {
    EXPECT(skeleton->bss->runs == 0);
    EXPECT(skeleton->data->pair.first == 11);
    EXPECT(run(skeleton, 64) == 2); /* table[0] is 0: hidden stays even, XDP_PASS */
    EXPECT(skeleton->bss->runs == 1);
    EXPECT(skeleton->bss->total_bytes == 64);
    EXPECT(skeleton->bss->histogram[1] == 1);
    EXPECT(skeleton->data->pair.first == 11 + 7 * 5);
    EXPECT(skeleton->data->pair.second == (0x1122334455667788 ^ 64));
    EXPECT(skeleton->data_extra->extra == 6);

    skeleton->data->step = 1000;
    skeleton->bss->runs = 41;
    EXPECT(run(skeleton, 65) == 3); /* table[1] is 1: XDP_TX */
    EXPECT(skeleton->bss->runs == 42);
    EXPECT(skeleton->data->pair.first == 11 + 7 * 5 + 1000 * 5);
    EXPECT(run(skeleton, 101) == 1); /* over the limit: XDP_DROP */
}

/* Constants are frozen: nobody changes them any more. */
static void check_frozen(struct globals* skeleton) {
    unsigned key = 0;
    unsigned char value[256];
    int fd = bpf_map__fd(skeleton->maps.rodata);
    EXPECT(bpf_map_lookup_elem(fd, &key, value) == 0);
    EXPECT(bpf_map_update_elem(fd, &key, value, BPF_ANY) < 0 && errno == EPERM);
    EXPECT(bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.data), &key, value) == 0);
    EXPECT(memcmp(value, skeleton->data, sizeof(*skeleton->data)) == 0);
}

int main(void) {
    struct globals* skeleton = globals__open();
    if (!skeleton) {
        perror("globals_client: open");
        return 1;
    }
    skeleton->rodata->factor = 5;
    skeleton->rodata_limits->limit = 100;
    int error = globals__load(skeleton);
    if (error) {
        fprintf(stderr, "globals_client: load: %s\n", strerror(-error));
        return error == -EPERM ? 77 : 1;
    }
    check_shared_memory(skeleton);
    check_frozen(skeleton);
    globals__destroy(skeleton);
    return failures ? 1 : 0;
}
