// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Maps by the system call alone; ids; errno; pointers that lead nowhere. */
#include "client.h" /* first: it asks for what Linux has beyond C */

#include <pthread.h>
#include <sys/mman.h>

static void check_elements(int fd) {
    __u32 key = 3, next = 0;
    __u64 value = 7;
    errno = 1234; /* a success leaves it alone */
    CHECK(update(fd, &key, &value) == 0);
    CHECK(errno == 1234);
    value = 0;
    CHECK(lookup(fd, &key, &value) == 0 && value == 7);
    CHECK(map_element(BPF_MAP_GET_NEXT_KEY, fd, NULL, &next, 0) == 0);
    CHECK_ERROR(EEXIST, map_element(BPF_MAP_UPDATE_ELEM, fd, &key, &value, BPF_NOEXIST));
}

static void check_hash(void) {
    int fd = create_map(BPF_MAP_TYPE_HASH, 4, 8, 16, 0);
    __u32 key = 9;
    __u64 value = 1;
    CHECK(fd > 2);
    CHECK_ERROR(ENOENT, lookup(fd, &key, &value));
    check_elements(fd);
    CHECK_ERROR(ENOENT, map_element(BPF_MAP_DELETE_ELEM, fd, &key, NULL, 0));
    key = 3;
    CHECK(map_element(BPF_MAP_DELETE_ELEM, fd, &key, NULL, 0) == 0);
    CHECK_ERROR(ENOENT, map_element(BPF_MAP_GET_NEXT_KEY, fd, NULL, &key, 0));
    CHECK(close(fd) == 0);
    CHECK_ERROR(EBADF, lookup(fd, &key, &value));
}

static void check_ids(void) {
    int fd = create_array(0);
    __u32 id = id_of(fd);
    union bpf_attr attr = {.start_id = id - 1};
    CHECK(bpf(BPF_MAP_GET_NEXT_ID, &attr) == 0 && attr.next_id == id);
    attr = (union bpf_attr){.map_id = id};
    int again = (int)bpf(BPF_MAP_GET_FD_BY_ID, &attr);
    CHECK(again > 2 && again != fd);
    __u32 key = 0;
    __u64 value = 99;
    CHECK(update(fd, &key, &value) == 0);
    CHECK(first_value(again) == 99);
    close(fd);
    CHECK(first_value(again) == 99);
    close(again);
    /* The last descriptor is closed: the id is gone when close() returns. */
    CHECK_ERROR(ENOENT, bpf(BPF_MAP_GET_FD_BY_ID, &attr));
}

static void check_bad_arguments(int fd) {
    char* hole = mmap(NULL, 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    __u32 key = 0;
    __u64 value = 0;
    CHECK_ERROR(EFAULT, syscall(__NR_bpf, BPF_MAP_CREATE, NULL, 72));
    CHECK_ERROR(EFAULT, syscall(__NR_bpf, BPF_MAP_CREATE, hole, 72));
    CHECK_ERROR(EFAULT, syscall(__NR_bpf, BPF_MAP_CREATE, ~0ul - 8, 72));
    CHECK_ERROR(EFAULT, lookup(fd, hole, &value));
    CHECK_ERROR(EFAULT, lookup(fd, &key, hole));
    CHECK_ERROR(EFAULT, update(fd, (void*)0x1234, &value));
    CHECK_ERROR(EINVAL, syscall(__NR_bpf, 9999, &value, 8));
    CHECK_ERROR(EINVAL, syscall(__NR_bpf, -1, &value, 8));
    CHECK_ERROR(EBADF, lookup(-1, &key, &value));
    CHECK_ERROR(EINVAL, lookup(0, &key, &value)); /* open, but no map */
    munmap(hole, 8192);
}

/* Other numbers reach the kernel with all their arguments. */
static void check_other_calls(void) {
    CHECK(syscall(SYS_getpid) == getpid());
    CHECK_ERROR(EBADF, syscall(SYS_read, -1, NULL, 0));
    int ends[2];
    CHECK(syscall(SYS_pipe2, ends, O_CLOEXEC) == 0);
    CHECK(syscall(SYS_close, ends[0]) == 0);
    CHECK(syscall(SYS_close, ends[1]) == 0);
    char* page =
        (char*)syscall(SYS_mmap, NULL, 4096ul, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0ul);
    CHECK(page != MAP_FAILED && page[0] == 0);
    CHECK(syscall(SYS_munmap, page, 4096ul) == 0);
}

static void* hammer(void* argument) {
    const int shared = *(int*)argument;
    for (int i = 0; i < 2000; ++i) {
        __u32 key = (__u32)i % 16;
        __u64 value = 5;
        if (update(shared, &key, &value) || lookup(shared, &key, &value) || value != 5)
            return "map";
        if (i % 8) continue;
        int own = create_array(0);
        if (own < 0 || first_value(own) != 0) return "create";
        int copy = dup(own);
        if (close(own) || first_value(copy) != 0 || close(copy)) return "dup";
    }
    return NULL;
}

static void check_threads(void) {
    int shared = create_array(0);
    pthread_t threads[4];
    for (int i = 0; i < 4; ++i) CHECK(pthread_create(&threads[i], NULL, hammer, &shared) == 0);
    for (int i = 0; i < 4; ++i) {
        void* failed = NULL;
        pthread_join(threads[i], &failed);
        if (failed) fprintf(stderr, "thread: %s\n", (char*)failed);
        CHECK(!failed);
    }
    close(shared);
}

int main(void) {
    int fd = create_array(0);
    CHECK(fd > 2);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    check_elements(fd);
    check_bad_arguments(fd);
    close(fd);
    check_hash();
    check_ids();
    check_other_calls();
    check_threads();
    return finish();
}
