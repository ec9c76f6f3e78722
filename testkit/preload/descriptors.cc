// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What makes, copies and closes descriptors. The kernel does the work; the user backend's table is
// told, so that an object lives as long as its last descriptor.
//
// A number leaves the table before the kernel closes it: afterwards another thread may get the
// number for an object of its own.
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <stdlib.h>

#include "testkit/preload/interpose.h"
#include "testkit/preload/world.h"
#include "testkit/user/user.h"

namespace barebpf::preload {

namespace {

Next<int(int)> next_close("close");
Next<int(int, int, long)> next_fcntl("fcntl");

int fail(int error) {
    errno = error;
    return -1;
}

// The kernel made `to` a copy of `from`.
int copied(int from, int to) {
    if (to >= 0 && has_world() && !shares_memory_only()) user::fd_duplicated(from, to);
    return to;
}

// Cheap first: most descriptors are not ours, and a copy of them takes nobody's place.
bool concerns_us(int from, int to) {
    if (!has_world()) return false;
    return machine::fd_is_ours(from) || machine::fd_is_ours(to) || user::fd_is_inherited(from) ||
           user::fd_is_inherited(to);
}

int copy_to(int from, int to, int flags) {
    if (has_world() && user::fd_is_hidden(to)) return fail(EBUSY);
    const bool ours = concerns_us(from, to);
    const int result = static_cast<int>(with_errno(raw_syscall(SYS_dup3, from, to, flags)));
    return ours ? copied(from, result) : result;
}

void close_range_of_ours(unsigned first, unsigned last) {
    for (int fd = user::next_fd(static_cast<int>(first)); fd >= 0; fd = user::next_fd(fd + 1)) {
        if (static_cast<unsigned>(fd) > last) return;
        forget_watches_of(fd);
        user::fd_closed(fd);
    }
}

// The kernel's part, in pieces between what the library keeps for itself.
long close_range_around_hidden(unsigned first, unsigned last, int flags) {
    for (int fd = user::next_fd(static_cast<int>(first)); fd >= 0; fd = user::next_fd(fd + 1)) {
        const auto number = static_cast<unsigned>(fd);
        if (number > last) break;
        if (!user::fd_is_hidden(fd)) continue;
        if (number > first) {
            long result = raw_syscall(SYS_close_range, first, number - 1, flags);
            if (result < 0) return result;
        }
        if (number == last) return 0;
        first = number + 1;
    }
    return raw_syscall(SYS_close_range, first, last, flags);
}

}  // namespace

}  // namespace barebpf::preload

using namespace barebpf;           // NOLINT: the rest is its outer face
using namespace barebpf::preload;  // NOLINT

extern "C" {

int barebpf_close(int fd) {
    if (has_world()) {
        forget_watches_of(fd);
        if (user::fd_is_hidden(fd) && !shares_memory_only()) return fail(EBADF);
        if ((machine::fd_is_ours(fd) || user::fd_is_inherited(fd)) && !shares_memory_only()) {
            user::fd_closed(fd);
            return static_cast<int>(with_errno(raw_syscall(SYS_close, fd)));
        }
    }
    auto* next = next_close.get();  // a cancellation point, unlike the bare call
    return next ? next(fd) : static_cast<int>(with_errno(raw_syscall(SYS_close, fd)));
}

int barebpf_close_range(unsigned first, unsigned last, int flags) {
    constexpr unsigned kKnown = CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC;
    const bool good = first <= last && !(static_cast<unsigned>(flags) & ~kKnown);
    if (!good || first > INT_MAX || !has_world() || shares_memory_only())
        return static_cast<int>(with_errno(raw_syscall(SYS_close_range, first, last, flags)));
    if (!(static_cast<unsigned>(flags) & CLOSE_RANGE_CLOEXEC)) close_range_of_ours(first, last);
    return static_cast<int>(with_errno(close_range_around_hidden(first, last, flags)));
}

void barebpf_closefrom(int first) {
    // A kernel without close_range(2) is older than anything this library runs on.
    if (barebpf_close_range(first < 0 ? 0 : static_cast<unsigned>(first), ~0u, 0) != 0) abort();
}

int barebpf_dup(int fd) {
    return copied(fd, static_cast<int>(with_errno(raw_syscall(SYS_dup, fd))));
}

int barebpf_dup2(int from, int to) {
    // dup3() refuses equal numbers, dup2() only asks whether there is such a descriptor.
    if (from == to) return barebpf_fcntl(from, F_GETFD, 0) < 0 ? -1 : to;
    return copy_to(from, to, 0);
}

int barebpf_dup3(int from, int to, int flags) {
    return copy_to(from, to, flags);
}

int barebpf_fcntl(int fd, int command, long argument) {
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        return copied(fd,
                      static_cast<int>(with_errno(raw_syscall(SYS_fcntl, fd, command, argument))));
    auto* next = next_fcntl.get();
    return next ? next(fd, command, argument)
                : static_cast<int>(with_errno(raw_syscall(SYS_fcntl, fd, command, argument)));
}

int barebpf_fcntl64(int fd, int command, long argument) {
    return barebpf_fcntl(fd, command, argument);
}

}  // extern "C"
