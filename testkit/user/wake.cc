// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Wait queues over eventfd: see include/host_backend/wake.h.
//
// A wake-up writes the counter only when no earlier one is in it. Ordering: who wakes has made the
// object ready before it exchanges signalled_ (acq_rel); who drains empties the counter, clears
// signalled_ (acq_rel) and only then asks the object what is ready. So a wake-up that finds
// signalled_ set, and does not write, is seen by the poll() that follows the drain; one that finds
// it clear writes after the counter was emptied.
#include <host_backend/wake.h>

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "testkit/user/internal.h"

namespace barebpf::backend {

int WaitQueue::descriptor() {
    s32 event = event_.load(Order::Acquire);
    if (event) return event - 1;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (fd < 0) return -errno;
    fd = user::hide_descriptor(fd);
    if (event_.compare_exchange(event, fd + 1, Order::AcqRel, Order::Acquire)) return fd;
    user::close_hidden(fd);
    return event - 1;
}

void WaitQueue::wake_all() {
    s32 event = event_.load(Order::Acquire);
    if (!event || signalled_.exchange(1, Order::AcqRel)) return;
    const int saved_errno = errno;
    const u64 one = 1;
    // Fails only when the counter is full: readable all the same.
    if (write(event - 1, &one, sizeof(one)) < 0) errno = saved_errno;
    errno = saved_errno;
}

void WaitQueue::drain() {
    s32 event = event_.load(Order::Acquire);
    if (!event) return;
    u64 count;
    const int saved_errno = errno;
    if (read(event - 1, &count, sizeof(count)) < 0) errno = saved_errno;
    signalled_.exchange(0, Order::AcqRel);
}

void WaitQueue::close() {
    s32 event = event_.exchange(0, Order::AcqRel);
    if (event) user::close_hidden(event - 1);
    signalled_.store(0, Order::Relaxed);
}

}  // namespace barebpf::backend
