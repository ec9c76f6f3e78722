// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// syscall(): bpf(2) is answered here, every other number goes to the kernel - by way of the
// interposed function where there is one for it.
#include "kernel/barebpf.h"
#include "testkit/preload/interpose.h"
#include "testkit/preload/observe.h"
#include "testkit/preload/world.h"
#include "testkit/user/user.h"

namespace barebpf::preload {

constinit Observer observer;

namespace {

// A failed command. What fork() inherited is not in any table of ours: the library took it for a
// bad descriptor.
NOINLINE long explain(long result) {
    return user::take_inherited_use() ? refuse_inherited() : result;
}

ALWAYS_INLINE long answer_bpf(u32 command, u64 attr, u32 size) {
    if (UNLIKELY(!world_is_ready())) {
        if (long error = make_world(); error < 0) return error;
    }
    const int saved_errno = errno;
    const long result = bpf_syscall(command, attr, size);
    if (UNLIKELY(observer)) observer(command, attr, size, result);
    errno = saved_errno;
    return LIKELY(result >= 0) ? result : explain(result);
}

template <class T>
T* pointer(long value) {
    return reinterpret_cast<T*>(value);
}

NOINLINE long other_syscall(long number, long a, long b, long c, long d, long e, long f) {
    const int fd = static_cast<int>(a);
    switch (number) {
        case SYS_close:
            return barebpf_close(fd);
        case SYS_close_range:
            return barebpf_close_range(static_cast<unsigned>(a), static_cast<unsigned>(b),
                                       static_cast<int>(c));
        case SYS_perf_event_open:
            return with_errno(open_perf_event(a, static_cast<int>(b), static_cast<int>(c),
                                              static_cast<int>(d), e));
        case SYS_ioctl:
            return barebpf_ioctl(fd, static_cast<unsigned long>(b), c);
        case SYS_epoll_ctl:
            return barebpf_epoll_ctl(fd, static_cast<int>(b), static_cast<int>(c),
                                     pointer<epoll_event>(d));
        case SYS_dup:
            return barebpf_dup(fd);
#if defined(SYS_dup2)
        case SYS_epoll_wait:
            return barebpf_epoll_wait(fd, pointer<epoll_event>(b), static_cast<int>(c),
                                      static_cast<int>(d));
        case SYS_poll:
            return barebpf_poll(pointer<pollfd>(a), static_cast<nfds_t>(b), static_cast<int>(c));
        case SYS_select:
            return barebpf_select(fd, pointer<fd_set>(b), pointer<fd_set>(c), pointer<fd_set>(d),
                                  pointer<timeval>(e));
        case SYS_dup2:
            return barebpf_dup2(fd, static_cast<int>(b));
        case SYS_readlink:
            return barebpf_readlink(pointer<char>(a), pointer<char>(b), static_cast<size_t>(c));
#endif
        case SYS_dup3:
            return barebpf_dup3(fd, static_cast<int>(b), static_cast<int>(c));
        case SYS_fcntl:
            return barebpf_fcntl(fd, static_cast<int>(b), c);
        case SYS_readlinkat:
            return barebpf_readlinkat(fd, pointer<char>(b), pointer<char>(c),
                                      static_cast<size_t>(d));
        case SYS_mmap:
            return word(barebpf_mmap(pointer<void>(a), static_cast<size_t>(b), static_cast<int>(c),
                                     static_cast<int>(d), static_cast<int>(e), f));
        case SYS_munmap:
            return barebpf_munmap(pointer<void>(a), static_cast<size_t>(b));
        case SYS_mremap:
            return word(barebpf_mremap(pointer<void>(a), static_cast<size_t>(b),
                                       static_cast<size_t>(c), static_cast<int>(d),
                                       pointer<void>(e)));
        case SYS_mprotect:
            return barebpf_mprotect(pointer<void>(a), static_cast<size_t>(b), static_cast<int>(c));
        default:
            return with_errno(raw_syscall(number, a, b, c, d, e, f));
    }
}

}  // namespace

}  // namespace barebpf::preload

extern "C" long barebpf_syscall(long number, long a, long b, long c, long d, long e, long f) {
    using namespace barebpf::preload;  // NOLINT: this is its outer face
    if (LIKELY(number == SYS_bpf)) {
        return with_errno(answer_bpf(static_cast<barebpf::u32>(a), static_cast<barebpf::u64>(b),
                                     static_cast<barebpf::u32>(c)));
    }
    return other_syscall(number, a, b, c, d, e, f);
}
