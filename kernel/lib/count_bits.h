// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The number of set bits of a word of 32 bits, in fewer steps than count_bits() of bits.h takes.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf {

constexpr u32 count_bits32(u32 x) {
    x -= (x >> 1) & 0x55555555;
    x = (x & 0x33333333) + ((x >> 2) & 0x33333333);
    return ((x + (x >> 4)) & 0x0f0f0f0f) * 0x01010101 >> 24;
}

// For words of 32 bits; shifts by `by` modulo 32. arch/bit_instructions.h may have faster ones.
struct PortableBits {
    // The first and the number of set bits of the second.
    static constexpr u64 add_count(u64 to, u64 x) { return to + count_bits32(static_cast<u32>(x)); }
    static constexpr u64 shift_right32(u32 x, u32 by) { return x >> (by & 31); }
};

}  // namespace barebpf
