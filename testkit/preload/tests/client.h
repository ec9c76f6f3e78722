// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What the clients here share: bpf(2) as an outside program calls it, and a check that tells where. */
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int failures;

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: not so: %s (errno: %s)\n", __FILE__, __LINE__, #condition, \
                    strerror(errno));                                                          \
            ++failures;                                                                        \
        }                                                                                      \
    } while (0)

/* The call fails, and with this error. */
#define CHECK_ERROR(error, call)   \
    do {                           \
        errno = 0;                 \
        CHECK((long)(call) == -1); \
        CHECK(errno == (error));   \
    } while (0)

static inline long bpf(int command, union bpf_attr* attr) {
    return syscall(__NR_bpf, command, attr, sizeof(*attr));
}

static inline int create_map(__u32 type, __u32 key_size, __u32 value_size, __u32 entries,
                             __u32 flags) {
    union bpf_attr attr = {.map_type = type,
                           .key_size = key_size,
                           .value_size = value_size,
                           .max_entries = entries,
                           .map_flags = flags};
    return (int)bpf(BPF_MAP_CREATE, &attr);
}

static inline int create_array(__u32 flags) {
    return create_map(BPF_MAP_TYPE_ARRAY, 4, 8, 16, flags);
}

static inline long map_element(int command, int fd, const void* key, void* value, __u64 flags) {
    union bpf_attr attr = {.map_fd = (__u32)fd,
                           .key = (__u64)(unsigned long)key,
                           .value = (__u64)(unsigned long)value,
                           .flags = flags};
    return bpf(command, &attr);
}

static inline long lookup(int fd, const void* key, void* value) {
    return map_element(BPF_MAP_LOOKUP_ELEM, fd, key, value, 0);
}
static inline long update(int fd, const void* key, void* value) {
    return map_element(BPF_MAP_UPDATE_ELEM, fd, key, value, BPF_ANY);
}

/* Element 0 of an array of create_array(); ~0 if it cannot be read. */
static inline __u64 first_value(int fd) {
    __u32 key = 0;
    __u64 value = 0;
    return lookup(fd, &key, &value) ? ~0ull : value;
}

static inline __u32 id_of(int fd) {
    struct bpf_map_info info = {0};
    union bpf_attr attr = {.info = {(__u32)fd, sizeof(info), (__u64)(unsigned long)&info}};
    return bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) ? 0 : info.id;
}

static inline int finish(void) {
    return failures ? 1 : 0;
}
