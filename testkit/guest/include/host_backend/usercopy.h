// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest backend: there is one address space. A caller's address is any that can be read or written; a fault
// while copying is caught (testkit/guest/services.cc, arch::copy_nofault).
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::backend {

struct UserCopy {
    static bool from_user(void* to, u64 from, size_t size);
    static bool to_user(u64 to, const void* from, size_t size);
    static bool read_nofault(void* to, u64 from, size_t size);
};

}  // namespace barebpf::backend
