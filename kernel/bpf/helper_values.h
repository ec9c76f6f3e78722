// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What every helper does with its full registers.
#pragma once

#include "kernel/lib/result.h"

namespace barebpf {

template <class T>
T* as_pointer(u64 value) {
    return reinterpret_cast<T*>(value);
}

// -errno, as a program sees it.
inline u64 failed(Errno error) {
    return u64(-to_int(error));
}

}  // namespace barebpf
