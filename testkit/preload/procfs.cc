// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What /proc shows of a descriptor of ours: its name behind fd/N, its lines in fdinfo/N.
//
// The kernel sees an event counter there. The name is answered here; fdinfo is the kernel's own
// file up to the lines that every descriptor has, followed by the object's, in a memfd.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kernel/lib/text.h"
#include "testkit/preload/interpose.h"
#include "testkit/preload/world.h"
#include "testkit/user/user.h"

namespace barebpf::preload {

namespace {

using Open = int(const char*, int, unsigned);
using OpenAt = int(int, const char*, int, unsigned);
Next<FILE*(const char*, const char*)> next_fopen("fopen");
Next<Open> next_open("open");
Next<OpenAt> next_openat("openat");

// Reads the caller's path, which may point anywhere: a fault ends it like its NUL.
class PathReader {
public:
    explicit PathReader(const char* path) : at_(reinterpret_cast<u64>(path)) {}

    char peek() const {
        char c = 0;
        return backend::UserCopy::read_nofault(&c, at_, 1) ? c : '\0';
    }
    bool skip(const char* text) {
        const u64 start = at_;
        for (; *text; ++text, ++at_) {
            if (peek() == *text) continue;
            at_ = start;
            return false;
        }
        return true;
    }
    // -1: no number here.
    int number() {
        s64 value = -1;
        for (char c = peek(); c >= '0' && c <= '9' && value < 100'000'000; ++at_, c = peek())
            value = (value < 0 ? 0 : value * 10) + (c - '0');
        return static_cast<int>(value);
    }

private:
    u64 at_;
};

// N of /proc/self/FOLDER/N, by whichever name of this process, if it is one of ours; else -1.
int our_fd_of(const char* path, const char* folder) {
    if (!has_world()) return -1;
    PathReader reader(path);
    if (!reader.skip("/proc/")) return -1;
    if (!reader.skip("self/") && !reader.skip("thread-self/") &&
        (reader.number() != getpid() || !reader.skip("/")))
        return -1;
    if (!reader.skip(folder) || !reader.skip("/")) return -1;
    const int fd = reader.number();
    return fd >= 0 && reader.peek() == '\0' && machine::fd_is_ours(fd) ? fd : -1;
}

long read_name(int fd, char* out, size_t size) {
    if (!size) return -EINVAL;
    host::Cpu::Entry inside;  // the name stays while we are in
    const char* name = machine::fd_name(fd);
    if (!name) return -ENOENT;
    const size_t length = strlen(name) < size ? strlen(name) : size;
    if (!backend::UserCopy::to_user(reinterpret_cast<u64>(out), name, length)) return -EFAULT;
    return static_cast<long>(length);
}

// ── fdinfo ────────────────────────────────────────────────────────────────────────────────────

constexpr size_t kMaxInfo = 4096;

// The kernel's file; 0: unreadable.
size_t read_kernel_info(int fd, char* out, size_t size) {
    char path[48];
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    const long file = raw_syscall(SYS_openat, AT_FDCWD, word(path), O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) return 0;
    size_t used = 0;
    long got = 0;
    while (used < size && (got = raw_syscall(SYS_read, file, word(out + used),
                                             static_cast<long>(size - used))) > 0)
        used += static_cast<size_t>(got);
    raw_syscall(SYS_close, file);
    return used;
}

// The lines that every descriptor has. Ours never block, which an object of the kernel's does not
// say of itself.
void print_common_lines(TextBuffer* out, const char* text, size_t size) {
    while (size) {
        const void* newline = memchr(text, '\n', size);
        const size_t line =
            newline ? static_cast<size_t>(static_cast<const char*>(newline) - text) + 1 : size;
        if (!strncmp(text, "flags:", 6)) {
            char octal[24];
            const unsigned long nonblock = O_NONBLOCK;
            const unsigned long flags = strtoul(text + 6, nullptr, 8) & ~nonblock;
            snprintf(octal, sizeof(octal), "0%lo", flags);
            out->print("flags:\t", octal, '\n');
        } else if (!strncmp(text, "pos:", 4) || !strncmp(text, "mnt_id:", 7) ||
                   !strncmp(text, "ino:", 4)) {
            out->append(text, line);
        }
        text += line;
        size -= line;
    }
}

// A file with the lines of one of ours, at its start; or -errno.
long open_info(int fd, bool close_on_exec) {
    char kernel[kMaxInfo];
    char text[kMaxInfo];
    TextBuffer out(text);
    const size_t size = read_kernel_info(fd, kernel, sizeof(kernel) - 1);
    kernel[size] = '\0';
    print_common_lines(&out, kernel, size);
    if (!machine::fd_info(fd, &out)) return -ENOENT;
    const long file =
        raw_syscall(SYS_memfd_create, word("fdinfo"), close_on_exec ? MFD_CLOEXEC : 0);
    if (file < 0) return file;
    const auto length = static_cast<long>(out.length());
    if (raw_syscall(SYS_pwrite64, file, word(text), length, 0) == length) return file;
    raw_syscall(SYS_close, file);
    return -ENOMEM;
}

int open_at(int folder, const char* path, int flags, unsigned mode) {
    if (!(flags & (O_PATH | O_DIRECTORY)) && (flags & O_ACCMODE) == O_RDONLY) {
        if (const int fd = our_fd_of(path, "fdinfo"); fd >= 0)
            return static_cast<int>(with_errno(open_info(fd, flags & O_CLOEXEC)));
    }
    if (folder == AT_FDCWD) {
        if (auto* next = next_open.get()) return next(path, flags, mode);
    } else if (auto* next = next_openat.get()) {
        return next(folder, path, flags, mode);
    }
    return static_cast<int>(with_errno(raw_syscall(SYS_openat, folder, word(path), flags, mode)));
}

FILE* open_stream(const char* path, const char* mode) {
    if (mode[0] == 'r' && !strchr(mode, '+')) {
        if (const int fd = our_fd_of(path, "fdinfo"); fd >= 0) {
            const long file = with_errno(open_info(fd, strchr(mode, 'e')));
            if (file < 0) return nullptr;
            FILE* stream = fdopen(static_cast<int>(file), mode);
            if (!stream) raw_syscall(SYS_close, file);
            return stream;
        }
    }
    if (auto* next = next_fopen.get()) return next(path, mode);
    errno = ENOSYS;
    return nullptr;
}

}  // namespace

}  // namespace barebpf::preload

using namespace barebpf::preload;  // NOLINT: the rest is its outer face

extern "C" {

ssize_t barebpf_readlink(const char* path, char* out, size_t size) {
    if (const int fd = our_fd_of(path, "fd"); fd >= 0) return with_errno(read_name(fd, out, size));
    return with_errno(
        raw_syscall(SYS_readlinkat, AT_FDCWD, word(path), word(out), static_cast<long>(size)));
}

ssize_t barebpf_readlinkat(int folder, const char* path, char* out, size_t size) {
    if (const int fd = our_fd_of(path, "fd"); fd >= 0) return with_errno(read_name(fd, out, size));
    return with_errno(
        raw_syscall(SYS_readlinkat, folder, word(path), word(out), static_cast<long>(size)));
}

// What <unistd.h> and <fcntl.h> make of calls under _FORTIFY_SOURCE.
ssize_t barebpf_readlink_chk(const char* path, char* out, size_t size, size_t room)
    BAREBPF_INTERPOSE(__readlink_chk);
ssize_t barebpf_readlink_chk(const char* path, char* out, size_t size, size_t room) {
    if (size > room) abort();
    return barebpf_readlink(path, out, size);
}

ssize_t barebpf_readlinkat_chk(int folder, const char* path, char* out, size_t size, size_t room)
    BAREBPF_INTERPOSE(__readlinkat_chk);
ssize_t barebpf_readlinkat_chk(int folder, const char* path, char* out, size_t size, size_t room) {
    if (size > room) abort();
    return barebpf_readlinkat(folder, path, out, size);
}

// The names that open a file, and those that <fcntl.h> makes of calls without a mode.
#define BAREBPF_OPEN(name)                                                                  \
    int barebpf_##name(const char* path, int flags, unsigned mode) BAREBPF_INTERPOSE(name); \
    int barebpf_##name(const char* path, int flags, unsigned mode) {                        \
        return open_at(AT_FDCWD, path, flags, mode);                                        \
    }
#define BAREBPF_OPENAT(name)                                                     \
    int barebpf_##name(int folder, const char* path, int flags, unsigned mode)   \
        BAREBPF_INTERPOSE(name);                                                 \
    int barebpf_##name(int folder, const char* path, int flags, unsigned mode) { \
        return open_at(folder, path, flags, mode);                               \
    }
BAREBPF_OPEN(open)
BAREBPF_OPEN(open64)
BAREBPF_OPENAT(openat)
BAREBPF_OPENAT(openat64)

int barebpf_open_2(const char* path, int flags) BAREBPF_INTERPOSE(__open_2);
int barebpf_open_2(const char* path, int flags) {
    return open_at(AT_FDCWD, path, flags, 0);
}
int barebpf_open64_2(const char* path, int flags) BAREBPF_INTERPOSE(__open64_2);
int barebpf_open64_2(const char* path, int flags) {
    return open_at(AT_FDCWD, path, flags, 0);
}
int barebpf_openat_2(int folder, const char* path, int flags) BAREBPF_INTERPOSE(__openat_2);
int barebpf_openat_2(int folder, const char* path, int flags) {
    return open_at(folder, path, flags, 0);
}
int barebpf_openat64_2(int folder, const char* path, int flags) BAREBPF_INTERPOSE(__openat64_2);
int barebpf_openat64_2(int folder, const char* path, int flags) {
    return open_at(folder, path, flags, 0);
}

FILE* barebpf_fopen(const char* path, const char* mode) BAREBPF_INTERPOSE(fopen);
FILE* barebpf_fopen(const char* path, const char* mode) {
    return open_stream(path, mode);
}
FILE* barebpf_fopen64(const char* path, const char* mode) BAREBPF_INTERPOSE(fopen64);
FILE* barebpf_fopen64(const char* path, const char* mode) {
    return open_stream(path, mode);
}

}  // extern "C"
