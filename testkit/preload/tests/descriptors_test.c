// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Every way to copy and close a map's descriptor, and what /proc says of it. */
#include "client.h"

static int map_with(__u64 value) {
    int fd = create_array(0);
    __u32 key = 0;
    CHECK(fd > 2 && update(fd, &key, &value) == 0);
    return fd;
}

static int id_exists(__u32 id) {
    union bpf_attr attr = {.map_id = id};
    int fd = (int)bpf(BPF_MAP_GET_FD_BY_ID, &attr);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

static void check_copies(void) {
    int fd = map_with(11);
    __u32 id = id_of(fd);
    int copies[6] = {dup(fd),       fcntl(fd, F_DUPFD, 100),  fcntl(fd, F_DUPFD_CLOEXEC, 200),
                     dup2(fd, 300), dup3(fd, 301, O_CLOEXEC), (int)syscall(SYS_dup, fd)};
    CHECK(close(fd) == 0);
    CHECK(copies[1] == 100 && copies[2] == 200 && copies[3] == 300 && copies[4] == 301);
    CHECK(!(fcntl(copies[1], F_GETFD) & FD_CLOEXEC) && (fcntl(copies[2], F_GETFD) & FD_CLOEXEC));
    for (int i = 0; i < 6; ++i) {
        CHECK(first_value(copies[i]) == 11);
        CHECK(id_exists(id));
        CHECK(close(copies[i]) == 0);
        CHECK_ERROR(EBADF, close(copies[i]));
    }
    CHECK(!id_exists(id));
}

static void check_copies_over_others(void) {
    int first = map_with(1), second = map_with(2);
    __u32 first_id = id_of(first);
    CHECK(dup2(first, first) == first && first_value(first) == 1);
    CHECK(dup2(second, first) == first);
    CHECK(first_value(first) == 2 && !id_exists(first_id));
    int plain = open("/dev/null", O_RDONLY);
    CHECK(dup2(plain, first) == first); /* the number now means something else */
    CHECK(first_value(first) == ~0ull && errno == EINVAL);
    CHECK(dup3(second, plain, 0) == plain && first_value(plain) == 2);
    CHECK_ERROR(EBADF, dup2(999, second));
    CHECK_ERROR(EBADF, dup2(999, 999));
    CHECK_ERROR(EINVAL, dup3(second, second, 0));
    CHECK(first_value(second) == 2);
    close(first);
    close(second);
    close(plain);
}

static void check_close_range(void) {
    int fd = map_with(3);
    __u32 id = id_of(fd);
    CHECK(dup2(fd, 400) == 400 && dup2(fd, 402) == 402);
    CHECK_ERROR(EINVAL, close_range(402, 400, 0));
    CHECK_ERROR(EINVAL, close_range(400, 402, 1 << 20));
    CHECK(first_value(402) == 3);
    CHECK(close_range(400, 401, 0) == 0);
    CHECK_ERROR(EBADF, fcntl(400, F_GETFD));
    CHECK(first_value(402) == 3);
    /* All of them: what the library keeps for itself survives. */
    CHECK(close_range(3, ~0u, 0) == 0);
    CHECK_ERROR(EBADF, fcntl(402, F_GETFD));
    CHECK(!id_exists(id));
    for (int number = 3; number < 70000; ++number) close(number);
    int again = create_array(BPF_F_MMAPABLE);
    CHECK(again > 2 && first_value(again) == 0);
    closefrom(again);
    CHECK_ERROR(EBADF, fcntl(again, F_GETFD));
}

static void check_names(void) {
    int fd = create_array(0);
    char path[64], name[64];
    const char* const folders[] = {"/proc/self/fd/%d", "/proc/thread-self/fd/%d"};
    for (int i = 0; i < 3; ++i) {
        if (i < 2)
            snprintf(path, sizeof(path), folders[i], fd);
        else
            snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
        memset(name, 0, sizeof(name));
        CHECK(readlink(path, name, sizeof(name)) == 18);
        CHECK(!strcmp(name, "anon_inode:bpf-map"));
        memset(name, 0, sizeof(name));
        CHECK(readlinkat(AT_FDCWD, path, name, 10) == 10);
        CHECK(!strcmp(name, "anon_inode"));
    }
    char* const nowhere = (char*)strtoul("8", NULL, 10); /* which the compiler need not know */
    CHECK_ERROR(EFAULT, readlink(path, nowhere, 10));
    CHECK_ERROR(EFAULT, readlink(nowhere, name, sizeof(name)));
    CHECK(readlink("/proc/self/fd/0", name, sizeof(name)) > 0); /* the kernel's answer */
    CHECK_ERROR(ENOENT, readlink("/proc/self/fd/12345", name, sizeof(name)));
    close(fd);
}

static int has_line(const char* text, const char* line) {
    const char* found = strstr(text, line);
    return found && (found == text || found[-1] == '\n') && found[strlen(line)] == '\n';
}

static void check_info_text(const char* text) {
    CHECK(has_line(text, "pos:\t0"));
    CHECK(has_line(text, "flags:\t02000002"));
    CHECK(has_line(text, "map_type:\t2"));
    CHECK(has_line(text, "key_size:\t4"));
    CHECK(has_line(text, "value_size:\t8"));
    CHECK(has_line(text, "max_entries:\t16"));
    CHECK(strstr(text, "map_id:\t") != NULL);
    CHECK(strstr(text, "eventfd") == NULL);
}

static void check_fdinfo(void) {
    int fd = create_array(0);
    char path[64], text[4096] = "";
    snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", getpid(), fd);
    FILE* file = fopen(path, "re");
    CHECK(file != NULL);
    if (file) {
        CHECK(fread(text, 1, sizeof(text) - 1, file) > 0);
        fclose(file);
    }
    check_info_text(text);
    memset(text, 0, sizeof(text));
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    int raw = open(path, O_RDONLY | O_CLOEXEC);
    CHECK(raw > 2 && (fcntl(raw, F_GETFD) & FD_CLOEXEC));
    CHECK(read(raw, text, sizeof(text) - 1) > 0);
    close(raw);
    check_info_text(text);
    close(fd);
    CHECK(fopen(path, "r") == NULL && errno == ENOENT);
    file = fopen("/proc/self/fdinfo/0", "r"); /* the kernel's */
    CHECK(file != NULL && fgets(text, sizeof(text), file) && !strncmp(text, "pos:", 4));
    if (file) fclose(file);
}

int main(void) {
    check_copies();
    check_copies_over_others();
    check_names();
    check_fdinfo();
    check_close_range();
    return finish();
}
