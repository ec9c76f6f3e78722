// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: getrandom(2), or a seeded sequence in tests (testkit/user/user.h).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

struct Random {
    static u64 u64_value();
};

}  // namespace barebpf::backend
