// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// perf_event_open(2) for PERF_COUNT_SW_BPF_OUTPUT: the event is an object of the library, because its
// programs write to it. Every other event is the kernel's.
#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/ioctl.h>

#include "kernel/barebpf.h"
#include "kernel/bpf/perf_event.h"
#include "testkit/preload/interpose.h"
#include "testkit/preload/world.h"
#include "testkit/user/user.h"

namespace barebpf::preload {
namespace {

Next<int(int, unsigned long, long)> next_ioctl("ioctl");

// The part of the caller's struct that has always been there, and whether it asks for one of ours.
bool read_attr(long address, perf_event_attr* attr) {
    host::Cpu::Entry inside;
    if (inside.nested()) return false;
    const host::UserAddress from{static_cast<u64>(address)};
    return host::copy_from_user(attr, from, PERF_ATTR_SIZE_VER0).ok() &&
           attr->type == PERF_TYPE_SOFTWARE && attr->config == PERF_COUNT_SW_BPF_OUTPUT;
}

long create_event(const perf_event_attr& attr, int cpu, long flags) {
    host::Cpu::Entry inside;
    if (inside.nested()) return -EBUSY;
    const Result<int> fd = perf_event_create({
        .cpu = static_cast<u32>(cpu),
        .sample_type = attr.sample_type,
        .wakeup = attr.watermark ? attr.wakeup_watermark : attr.wakeup_events,
        .by_watermark = attr.watermark != 0,
        .enabled = !attr.disabled,
    });
    if (!fd.ok()) return -to_int(fd.error());
    // The library's descriptors are close-on-exec; an event's is if it is asked for.
    if (!(flags & PERF_FLAG_FD_CLOEXEC)) raw_syscall(SYS_fcntl, fd.value(), F_SETFD, 0);
    return fd.value();
}

}  // namespace

long open_perf_event(long address, int pid, int cpu, int group, long flags) {
    perf_event_attr attr;
    memset(&attr, 0, sizeof(attr));
    // An event of one thread follows it from CPU to CPU: not built, the kernel's answer will do.
    const bool of_a_cpu = pid == -1 && cpu >= 0;
    if (of_a_cpu && (has_world() || make_world() == 0) && read_attr(address, &attr)) {
        return create_event(attr, cpu, flags);
    }
    return raw_syscall(SYS_perf_event_open, address, pid, cpu, group, flags);
}

}  // namespace barebpf::preload

using namespace barebpf;           // NOLINT: the rest is its outer face
using namespace barebpf::preload;  // NOLINT

extern "C" int barebpf_ioctl(int fd, unsigned long request, long argument) {
    if (has_world() && machine::fd_is_ours(fd)) {
        host::Cpu::Entry inside;
        if (inside.nested()) return static_cast<int>(with_errno(-EBUSY));
        const auto done =
            perf_event_ioctl(fd, static_cast<u32>(request), static_cast<u64>(argument));
        if (done.ok()) return static_cast<int>(done.value());
        // Not an event: what any of Linux's objects answers to an ioctl that it does not know.
        const long error = done.error() == Errno::BadF ? ENOTTY : to_int(done.error());
        return static_cast<int>(with_errno(-error));
    }
    auto* next = next_ioctl.get();
    return next ? next(fd, request, argument)
                : static_cast<int>(
                      with_errno(raw_syscall(SYS_ioctl, fd, static_cast<long>(request), argument)));
}
