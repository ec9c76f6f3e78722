// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Mapped arrays: shared memory with bpf(2), and what Linux forbids of such mappings. */
#include "client.h" /* first: it asks for what Linux has beyond C */

#include <sys/mman.h>

#define PAGE 4096

/* An array of 8 pages of 8-byte values. */
static int mappable(void) {
    int fd = create_map(BPF_MAP_TYPE_ARRAY, 4, 8, 8 * PAGE / 8, BPF_F_MMAPABLE);
    CHECK(fd > 2);
    return fd;
}

static volatile __u64* map_pages(int fd, int pages, int prot) {
    void* at = mmap(NULL, (size_t)pages * PAGE, prot, MAP_SHARED, fd, 0);
    CHECK(at != MAP_FAILED);
    return at;
}

static __u64 value_at(int fd, __u32 key) {
    __u64 value = 0;
    return lookup(fd, &key, &value) ? ~0ull : value;
}

static int exists(__u32 id) {
    union bpf_attr attr = {.map_id = id};
    int fd = (int)bpf(BPF_MAP_GET_FD_BY_ID, &attr);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static void check_shared(void) {
    int fd = mappable();
    __u32 id = id_of(fd);
    volatile __u64* values = map_pages(fd, 8, PROT_READ | PROT_WRITE);
    values[5] = 55;
    CHECK(value_at(fd, 5) == 55);
    __u32 key = 4000;
    __u64 value = 77;
    CHECK(update(fd, &key, &value) == 0 && values[4000] == 77);
    /* The mapping keeps the map, until its last page is unmapped. */
    CHECK(close(fd) == 0);
    CHECK(exists(id));
    CHECK(munmap((void*)values, 4 * PAGE) == 0);
    CHECK(values[4000] == 77 && exists(id));
    CHECK(munmap((char*)values + 4 * PAGE, 4 * PAGE) == 0);
    CHECK(!exists(id));
}

static void check_refusals(void) {
    int fd = mappable(), plain = create_array(0), hash = create_map(BPF_MAP_TYPE_HASH, 4, 8, 16, 0);
    CHECK_ERROR(EINVAL, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, plain, 0));
    CHECK_ERROR(524 /* ENOTSUPP */, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, hash, 0));
    CHECK_ERROR(EINVAL, mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0));
    CHECK_ERROR(EINVAL, mmap(NULL, 0, PROT_READ, MAP_SHARED, fd, 0));
    CHECK_ERROR(EINVAL, mmap(NULL, 9 * PAGE, PROT_READ, MAP_SHARED, fd, 0));
    CHECK_ERROR(EINVAL, mmap(NULL, 8 * PAGE, PROT_READ, MAP_SHARED, fd, PAGE));
    void* high = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 7 * PAGE);
    CHECK(high != MAP_FAILED && munmap(high, PAGE) == 0);
    close(fd);
    close(plain);
    close(hash);
}

static void check_protection(void) {
    int fd = mappable();
    volatile __u64* values = map_pages(fd, 1, PROT_READ);
    CHECK_ERROR(EACCES, mprotect((void*)values, PAGE, PROT_READ | PROT_WRITE));
    CHECK_ERROR(EACCES, mprotect((void*)values, PAGE, PROT_READ | PROT_EXEC));
    CHECK(mprotect((void*)values, PAGE, PROT_NONE) == 0);
    CHECK(mprotect((void*)values, PAGE, PROT_READ) == 0);
    munmap((void*)values, PAGE);

    volatile __u64* writable = map_pages(fd, 1, PROT_READ | PROT_WRITE);
    union bpf_attr attr = {.map_fd = (__u32)fd};
    CHECK_ERROR(EBUSY, bpf(BPF_MAP_FREEZE, &attr)); /* somebody may write */
    CHECK(mprotect((void*)writable, PAGE, PROT_READ) == 0);
    CHECK(mprotect((void*)writable, PAGE, PROT_READ | PROT_WRITE) == 0);
    writable[0] = 1;
    munmap((void*)writable, PAGE);
    CHECK(bpf(BPF_MAP_FREEZE, &attr) == 0);
    CHECK_ERROR(EPERM, mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    values = map_pages(fd, 1, PROT_READ);
    CHECK(values[0] == 1);
    CHECK_ERROR(EACCES, mprotect((void*)values, PAGE, PROT_READ | PROT_WRITE));
    munmap((void*)values, PAGE);
    close(fd);
}

static void check_moves(void) {
    int fd = mappable();
    __u32 id = id_of(fd);
    volatile __u64* values = map_pages(fd, 4, PROT_READ | PROT_WRITE);
    values[0] = 10;
    close(fd);
    CHECK_ERROR(EFAULT, mremap((void*)values, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE));
    char* room = mmap(NULL, 4 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void* at = mremap((void*)values, 4 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, room);
    CHECK(at == room && *(volatile __u64*)at == 10);
    CHECK(exists(id));
    /* Something else on top of it is the end of it. */
    CHECK(mmap(room, 4 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == room);
    CHECK(room[0] == 0 && !exists(id));
    munmap(room, 4 * PAGE);
}

int main(void) {
    check_shared();
    check_refusals();
    check_protection();
    check_moves();
    return finish();
}
