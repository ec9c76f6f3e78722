// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * A library to preload after libbarebpf.so: its constructor, which runs before everybody else's, loads a map and
 * a program and leaves them open. So an unmodified bpftool, which makes nothing that outlives a command
 * without a pin, finds something to show.
 */
#include "client.h" /* first: it asks for what Linux has beyond C */

static void fill(int fd) {
    for (__u32 key = 0; key < 4; ++key) {
        __u64 value = 0x1000 + key;
        CHECK(update(fd, &key, &value) == 0);
    }
}

static void plant_maps(void) {
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY,
                           .key_size = 4,
                           .value_size = 8,
                           .max_entries = 4,
                           .map_name = "planted"};
    int fd = (int)bpf(BPF_MAP_CREATE, &attr);
    CHECK(fd >= 0);
    fill(fd);
    attr.map_type = BPF_MAP_TYPE_HASH;
    strcpy(attr.map_name, "planted_hash");
    fd = (int)bpf(BPF_MAP_CREATE, &attr);
    CHECK(fd >= 0);
    fill(fd);
}

static void plant_more_maps(void) {
    union bpf_attr attr = {.map_type = BPF_MAP_TYPE_PERCPU_ARRAY,
                           .key_size = 4,
                           .value_size = 8,
                           .max_entries = 2,
                           .map_name = "planted_percpu"};
    int fd = (int)bpf(BPF_MAP_CREATE, &attr);
    __u32 key = 1;
    __u64 values[64]; /* CPUs have no more here */
    for (unsigned cpu = 0; cpu < 64; ++cpu) values[cpu] = 100 + cpu;
    CHECK(fd >= 0 && update(fd, &key, values) == 0);

    int inner = create_array(0);
    union bpf_attr outer = {.map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
                            .key_size = 4,
                            .value_size = 4,
                            .max_entries = 2,
                            .inner_map_fd = (__u32)inner,
                            .map_name = "planted_outer"};
    fd = (int)bpf(BPF_MAP_CREATE, &outer);
    CHECK(fd >= 0 && update(fd, &key, &inner) == 0);
}

static void plant_program(void) {
    static const struct bpf_insn insns[] = {
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = 7},
        {.code = BPF_JMP | BPF_EXIT},
    };
    union bpf_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
                           .insns = (__u64)(unsigned long)insns,
                           .insn_cnt = 2,
                           .license = (__u64)(unsigned long)"GPL",
                           .prog_name = "planted_prog"};
    CHECK(bpf(BPF_PROG_LOAD, &attr) >= 0);
}

__attribute__((constructor)) static void plant(void) {
    plant_maps();
    plant_more_maps();
    plant_program();
    if (failures) _exit(1);
}
