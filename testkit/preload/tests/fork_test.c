// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Children: an empty world of their own, a loud refusal of what they inherited, and nothing that they do
 * changes the parent's. Only barebpf behaves so; a kernel's world is one.
 */
#include "client.h" /* first: it asks for what Linux has beyond C */

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>

static int map_with(__u64 value) {
    int fd = create_map(BPF_MAP_TYPE_ARRAY, 4, 8, 512, BPF_F_MMAPABLE);
    __u32 key = 0;
    CHECK(fd > 2 && update(fd, &key, &value) == 0);
    return fd;
}

static int exit_status(pid_t child) {
    int status = -1;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return status;
}

/* In the child: bpf(2) on what it inherited. */
static void use_inherited(int fd) {
    __u32 key = 0;
    __u64 value = 0;
    CHECK_ERROR(EOPNOTSUPP, lookup(fd, &key, &value));
    CHECK_ERROR(EOPNOTSUPP, update(fd, &key, &value));
    CHECK_ERROR(EOPNOTSUPP, mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0));
    int copy = dup(fd);
    CHECK_ERROR(EOPNOTSUPP, lookup(copy, &key, &value));
    CHECK(close(copy) == 0);
    CHECK_ERROR(EBADF, lookup(copy, &key, &value));
}

static void use_own(int inherited) {
    union bpf_attr attr = {.start_id = 0};
    CHECK_ERROR(ENOENT, bpf(BPF_MAP_GET_NEXT_ID, &attr));
    CHECK(close(inherited) == 0);
    int fd = map_with(5); /* takes the number */
    CHECK(fd == inherited && first_value(fd) == 5 && id_of(fd) == 1);
    volatile __u64* values = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(values != MAP_FAILED && values[0] == 5);
    values[0] = 6;
    CHECK(first_value(fd) == 6);
    close(fd);
}

static pid_t plain_fork(void) {
    return fork();
}
static pid_t bare_fork(void) {
    return _Fork(); /* no fork handlers */
}
static pid_t kernel_fork(void) {
    return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void check_fork(pid_t (*fork_somehow)(void)) {
    int fd = map_with(11), ends[2];
    volatile __u64* shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(pipe2(ends, O_CLOEXEC) == 0);
    pid_t child = fork_somehow();
    if (child == 0) {
        int real_stderr = dup(2);
        dup2(ends[1], 2);
        __u32 key = 0;
        __u64 value = 0;
        int refused = lookup(fd, &key, &value) == -1 && errno == EOPNOTSUPP;
        lookup(fd, &key, &value);
        dup2(real_stderr, 2);
        CHECK(refused);
        use_inherited(fd);
        CHECK(shared[0] == 11); /* shared memory stays shared, as the kernel's does */
        shared[1] = 22;
        use_own(fd);
        _exit(finish());
    }
    CHECK(exit_status(child) == 0);
    /* One line, however often it was refused. */
    char line[512] = "";
    close(ends[1]);
    ssize_t length = read(ends[0], line, sizeof(line) - 1);
    CHECK(length > 0 && strchr(line, '\n') == line + length - 1);
    CHECK(!strncmp(line, "barebpf: error: ", 16) && strstr(line, "fork"));
    close(ends[0]);
    CHECK(first_value(fd) == 11 && shared[1] == 22);
    munmap((void*)shared, 4096);
    close(fd);
}

/* Its grandchild inherits from it, too. */
static void check_generations(void) {
    int fd = map_with(1);
    pid_t child = fork();
    if (child == 0) {
        int own = map_with(2);
        pid_t grandchild = fork();
        if (grandchild == 0) {
            use_inherited(own);
            use_inherited(fd);
            _exit(finish());
        }
        CHECK(exit_status(grandchild) == 0);
        CHECK(first_value(own) == 2);
        _exit(finish());
    }
    CHECK(exit_status(child) == 0);
    close(fd);
}

/* A child of vfork() has the parent's memory and descriptors of its own. */
static void check_vfork(void) {
    int fd = map_with(3);
    int* kept = malloc(sizeof(int)); /* not in a register */
    *kept = fd;
    pid_t child = vfork();
    if (child == 0) {
        close(*kept);
        dup2(2, *kept);
        close_range(3, ~0u, 0);
        _exit(0);
    }
    CHECK(exit_status(child) == 0);
    CHECK(first_value(*kept) == 3);
    int fresh = map_with(4);
    CHECK(first_value(fresh) == 4);
    close(fresh);
    close(*kept);
    free(kept);
}

/* A program started from here has its own world, and no descriptor of ours. */
static void check_exec(const char* self) {
    int fd = map_with(6);
    char number[16];
    snprintf(number, sizeof(number), "%d", fd);
    char* arguments[] = {(char*)self, number, NULL};
    pid_t child;
    CHECK(posix_spawn(&child, self, NULL, NULL, arguments, environ) == 0);
    CHECK(exit_status(child) == 0);
    close(fd);
}

static int after_exec(int fd) {
    CHECK_ERROR(EBADF, fcntl(fd, F_GETFD));
    CHECK(first_value(fd) == ~0ull && errno == EBADF);
    int own = map_with(7);
    CHECK(first_value(own) == 7 && id_of(own) == 1);
    return finish();
}

static volatile int stop;

static void* keep_busy(void* nothing) {
    (void)nothing;
    while (!stop) {
        int fd = map_with(8);
        for (int i = 0; i < 20; ++i) first_value(fd);
        close(fd);
    }
    return NULL;
}

/* Other threads are in the middle of the library, its locks taken, when the process forks. */
static void check_fork_among_threads(void) {
    pthread_t threads[3];
    for (int i = 0; i < 3; ++i) CHECK(pthread_create(&threads[i], NULL, keep_busy, NULL) == 0);
    for (int i = 0; i < 100; ++i) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20); /* better dead than stuck */
            int fd = map_with(9);
            CHECK(first_value(fd) == 9 && id_of(fd) == 1);
            close(fd);
            _exit(finish());
        }
        CHECK(exit_status(child) == 0);
    }
    stop = 1;
    for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
}

/* QEMU 7.2's user mode takes the advice and does nothing, so that only fork()'s own handlers notice a child. Nor can a
 * program that it emulates start another, which the kernel would have to know. */
static int emulated(void) {
    char* page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    if (madvise(page, 4096, MADV_WIPEONFORK)) return 0;
    page[0] = 1;
    pid_t child = fork();
    if (child == 0) _exit(page[0]);
    int kept = exit_status(child);
    munmap(page, 4096);
    return kept;
}

int main(int count, char** arguments) {
    if (count == 2) return after_exec(atoi(arguments[1]));
    check_fork(plain_fork);
    check_generations();
    check_vfork();
    if (emulated()) {
        fprintf(stderr,
                "emulated: children of _Fork() and clone(2), and programs that they start, are "
                "left out\n");
    } else {
        check_fork(bare_fork);
        check_fork(kernel_fork);
        check_exec(arguments[0]);
    }
    check_fork_among_threads();
    return finish();
}
