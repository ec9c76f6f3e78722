// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: random bits.
#pragma once

#include "kernel/lib/types.h"

extern "C" barebpf::u64 host_random_u64();

namespace barebpf::backend {

struct Random {
    static u64 u64_value() { return host_random_u64(); }
};

}  // namespace barebpf::backend
