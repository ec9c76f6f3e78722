// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: a sequence that the seed determines (argument seed=N), or the machine's (testkit/guest/services.cc).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

struct Random {
    static u64 u64_value();
};

}  // namespace barebpf::backend
