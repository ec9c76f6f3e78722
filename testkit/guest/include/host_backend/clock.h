// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: everything is told from the machine's one monotonic clock (testkit/guest/services.cc).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

struct Clock {
    static u64 monotonic_ns();
    static u64 boottime_ns();
    static u64 monotonic_coarse_ns();
    static u64 tai_ns();
    static u64 jiffies64();
};

}  // namespace barebpf::backend
