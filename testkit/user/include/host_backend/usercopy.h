// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// User backend: the caller shares our address space; a fault while copying is caught
// (testkit/user/usercopy.cc).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

struct UserCopy {
    static bool from_user(void* to, u64 from, size_t size);
    static bool to_user(u64 to, const void* from, size_t size);
    static bool read_nofault(void* to, u64 from, size_t size);
};

}  // namespace barebpf::backend
