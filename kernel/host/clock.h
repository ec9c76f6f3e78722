// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Host contract: time. Context: any, NMI included.
#pragma once

#include <host_backend/clock.h>

#include "kernel/lib/concepts.h"
#include "kernel/lib/types.h"

namespace barebpf::host {

template <class C>
concept IsClock = requires {
    { C::monotonic_ns() } -> SameAs<u64>;         // since boot, not counting suspend
    { C::boottime_ns() } -> SameAs<u64>;          // since boot, counting suspend
    { C::monotonic_coarse_ns() } -> SameAs<u64>;  // the last tick's value
    { C::tai_ns() } -> SameAs<u64>;
    { C::jiffies64() } -> SameAs<u64>;
};
static_assert(IsClock<backend::Clock>);

using Clock = backend::Clock;

}  // namespace barebpf::host
