// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: clocks.
#pragma once

#include "kernel/lib/types.h"

extern "C" {
barebpf::u64 host_clock_monotonic_ns();
barebpf::u64 host_clock_boottime_ns();
barebpf::u64 host_clock_monotonic_coarse_ns();
barebpf::u64 host_clock_tai_ns();
barebpf::u64 host_clock_jiffies64();
}

namespace barebpf::backend {

struct Clock {
    static u64 monotonic_ns() { return host_clock_monotonic_ns(); }
    static u64 boottime_ns() { return host_clock_boottime_ns(); }
    static u64 monotonic_coarse_ns() { return host_clock_monotonic_coarse_ns(); }
    static u64 tai_ns() { return host_clock_tai_ns(); }
    static u64 jiffies64() { return host_clock_jiffies64(); }
};

}  // namespace barebpf::backend
