// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Fixed-width integers under the names that every kernel engineer reads without thinking.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace barebpf {

using u8 = uint8_t;
using u16 = uint16_t;
using u32 = uint32_t;
using u64 = uint64_t;
using s8 = int8_t;
using s16 = int16_t;
using s32 = int32_t;
using s64 = int64_t;

}  // namespace barebpf
