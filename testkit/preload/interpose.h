// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The interposed functions under names of ours, for syscall(2)'s sake: syscall(SYS_close, fd) must
// do what close(fd) does. Each sets errno as libc's does.
//
// Where libc's function is variadic, the ones here take the longest list of arguments: the calling
// conventions of x86-64 and arm64 pass them alike, and a surplus one is not looked at.
#pragma once

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/types.h>

#include "testkit/preload/real.h"

extern "C" {

// bpf.cc
long barebpf_syscall(long number, long a, long b, long c, long d, long e, long f)
    BAREBPF_INTERPOSE(syscall);

// descriptors.cc
int barebpf_close(int fd) BAREBPF_INTERPOSE(close);
int barebpf_close_range(unsigned first, unsigned last, int flags) BAREBPF_INTERPOSE(close_range);
void barebpf_closefrom(int first) BAREBPF_INTERPOSE(closefrom);
int barebpf_dup(int fd) BAREBPF_INTERPOSE(dup);
int barebpf_dup2(int from, int to) BAREBPF_INTERPOSE(dup2);
int barebpf_dup3(int from, int to, int flags) BAREBPF_INTERPOSE(dup3);
int barebpf_fcntl(int fd, int command, long argument) BAREBPF_INTERPOSE(fcntl);
int barebpf_fcntl64(int fd, int command, long argument) BAREBPF_INTERPOSE(fcntl64);

// memory.cc
void* barebpf_mmap(void* address, size_t length, int prot, int flags, int fd, off_t offset)
    BAREBPF_INTERPOSE(mmap);
void* barebpf_mmap64(void* address, size_t length, int prot, int flags, int fd, off_t offset)
    BAREBPF_INTERPOSE(mmap64);
int barebpf_munmap(void* address, size_t length) BAREBPF_INTERPOSE(munmap);
void* barebpf_mremap(void* address, size_t old_length, size_t length, int flags, void* wish)
    BAREBPF_INTERPOSE(mremap);
int barebpf_mprotect(void* address, size_t length, int prot) BAREBPF_INTERPOSE(mprotect);

// procfs.cc
ssize_t barebpf_readlink(const char* path, char* out, size_t size) BAREBPF_INTERPOSE(readlink);
ssize_t barebpf_readlinkat(int folder, const char* path, char* out, size_t size)
    BAREBPF_INTERPOSE(readlinkat);

// perf_event.cc
int barebpf_ioctl(int fd, unsigned long request, long argument) BAREBPF_INTERPOSE(ioctl);

// ready.cc
int barebpf_epoll_ctl(int epoll, int operation, int fd, struct epoll_event* event)
    BAREBPF_INTERPOSE(epoll_ctl);
int barebpf_epoll_wait(int epoll, struct epoll_event* events, int most, int timeout)
    BAREBPF_INTERPOSE(epoll_wait);
int barebpf_epoll_pwait(int epoll, struct epoll_event* events, int most, int timeout,
                        const sigset_t* mask) BAREBPF_INTERPOSE(epoll_pwait);

// poll.cc
int barebpf_poll(struct pollfd* fds, nfds_t count, int timeout) BAREBPF_INTERPOSE(poll);
int barebpf_poll_chk(struct pollfd* fds, nfds_t count, int timeout, size_t size)
    BAREBPF_INTERPOSE(__poll_chk);
int barebpf_ppoll(struct pollfd* fds, nfds_t count, const struct timespec* timeout,
                  const sigset_t* mask) BAREBPF_INTERPOSE(ppoll);
int barebpf_ppoll_chk(struct pollfd* fds, nfds_t count, const struct timespec* timeout,
                      const sigset_t* mask, size_t size) BAREBPF_INTERPOSE(__ppoll_chk);
int barebpf_select(int limit, fd_set* in, fd_set* out, fd_set* except, struct timeval* timeout)
    BAREBPF_INTERPOSE(select);
int barebpf_pselect(int limit, fd_set* in, fd_set* out, fd_set* except,
                    const struct timespec* timeout, const sigset_t* mask)
    BAREBPF_INTERPOSE(pselect);

}  // extern "C"

namespace barebpf::preload {

// perf_event.cc: perf_event_open(2); a descriptor, or -errno.
long open_perf_event(long attr, int pid, int cpu, int group, long flags);

// ready.cc: what of `wanted` (POLLIN, ...) holds for this descriptor of ours, and errors. To be asked once for each report:
// some kinds of readiness are over when they were told.
u32 readiness(int fd, u32 wanted);
// This descriptor is about to be closed: one of ours, or an epoll.
void forget_watches_of(int fd);
// In a child of fork(): its epolls wait for nothing of ours.
void forget_watches();

}  // namespace barebpf::preload
