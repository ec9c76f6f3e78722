// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/preload/real.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace barebpf::preload {

namespace {
__thread bool looking_up __attribute__((tls_model("initial-exec")));
}  // namespace

void* look_up_next(const char* name) {
    if (looking_up) return nullptr;
    const int saved_errno = errno;
    looking_up = true;
    void* found = dlsym(RTLD_NEXT, name);
    looking_up = false;
    errno = saved_errno;
    return found;
}

}  // namespace barebpf::preload

using barebpf::preload::raw_syscall;
using barebpf::preload::with_errno;
using barebpf::preload::word;

// Where the library's own calls arrive (--wrap). Their types fit every caller: the calling
// convention passes a variadic argument like any other.
extern "C" {

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f) {
    return with_errno(raw_syscall(number, a, b, c, d, e, f));
}

int __wrap_close(int fd) {
    return static_cast<int>(with_errno(raw_syscall(SYS_close, fd)));
}

int __wrap_fcntl(int fd, int command, long argument) {
    return static_cast<int>(with_errno(raw_syscall(SYS_fcntl, fd, command, argument)));
}
int __wrap_fcntl64(int fd, int command, long argument) {
    return __wrap_fcntl(fd, command, argument);
}

int __wrap_open(const char* path, int flags, unsigned mode) {
    return static_cast<int>(with_errno(raw_syscall(SYS_openat, AT_FDCWD, word(path), flags, mode)));
}
int __wrap_open64(const char* path, int flags, unsigned mode) {
    return __wrap_open(path, flags, mode);
}

void* __wrap_mmap(void* address, size_t length, int prot, int flags, int fd, off_t offset) {
    return reinterpret_cast<void*>(with_errno(
        raw_syscall(SYS_mmap, word(address), static_cast<long>(length), prot, flags, fd, offset)));
}
void* __wrap_mmap64(void* address, size_t length, int prot, int flags, int fd, off_t offset) {
    return __wrap_mmap(address, length, prot, flags, fd, offset);
}

int __wrap_munmap(void* address, size_t length) {
    return static_cast<int>(
        with_errno(raw_syscall(SYS_munmap, word(address), static_cast<long>(length))));
}

int __wrap_mprotect(void* address, size_t length, int prot) {
    return static_cast<int>(
        with_errno(raw_syscall(SYS_mprotect, word(address), static_cast<long>(length), prot)));
}

}  // extern "C"
