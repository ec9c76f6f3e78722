// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The heavy half of a fence: membarrier(2) makes each CPU that runs a thread of this process execute a whole one, so that
// the light half need only keep the compiler from exchanging accesses. A kernel that cannot (before 4.14, or forbidden)
// leaves both whole.
#include <errno.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testkit/user/internal.h"

namespace barebpf::backend {

bool whole_fences = true;

namespace {

long membarrier(int command) {
    const int saved_errno = errno;
    const long result = syscall(SYS_membarrier, command, 0, 0);
    errno = saved_errno;
    return result;
}

bool promised() {
    return membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0 &&
           membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0;
}

__attribute__((constructor(101))) void register_at_start() {
    whole_fences = !promised();
}

}  // namespace

void heavy_fence() {
    fence(Order::SeqCst);
    if (whole_fences || membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0) return;
    // A child of fork(), alone as yet: the promise was its parent's.
    if (!promised()) host::panic("membarrier(2) works no longer");
}

}  // namespace barebpf::backend
