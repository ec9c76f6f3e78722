// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Null backend: the caller's memory.
#pragma once

#include "kernel/lib/types.h"

extern "C" {
bool host_copy_from_user(void* to, barebpf::u64 from, size_t size);
bool host_copy_to_user(barebpf::u64 to, const void* from, size_t size);
bool host_read_nofault(void* to, barebpf::u64 from, size_t size);
}

namespace barebpf::backend {

struct UserCopy {
    static bool from_user(void* to, u64 from, size_t size) {
        return host_copy_from_user(to, from, size);
    }
    static bool to_user(u64 to, const void* from, size_t size) {
        return host_copy_to_user(to, from, size);
    }
    static bool read_nofault(void* to, u64 from, size_t size) {
        return host_read_nofault(to, from, size);
    }
};

}  // namespace barebpf::backend
