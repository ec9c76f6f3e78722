// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Powers of two, alignment, and eight bytes compared at once inside a 64-bit word (the core is
// compiled without vector registers).
#pragma once

#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"

namespace barebpf {

constexpr bool is_power_of_two(u64 x) {
    return x != 0 && (x & (x - 1)) == 0;
}

// The same, but the compiler does not know where it comes from: against a rewriting that costs more.
ALWAYS_INLINE u64 opaque(u64 x) {
    asm("" : "+r"(x));
    return x;
}

// The next multiple of `unit` (a power of two); wraps to 0 past the largest.
constexpr u64 align_up(u64 x, u64 unit) {
    return (x + unit - 1) & ~(unit - 1);
}

// Number of the lowest or highest set bit. x must not be 0.
constexpr u32 lowest_bit(u64 x) {
    return static_cast<u32>(__builtin_ctzll(x));
}
constexpr u32 highest_bit(u64 x) {
    return 63 - static_cast<u32>(__builtin_clzll(x));
}

// Number of set bits. The compiler's builtin would need its run-time library on machines without the
// instruction, and the core has no such library.
constexpr u32 count_bits(u64 x) {
    x -= (x >> 1) & 0x5555555555555555;
    x = (x & 0x3333333333333333) + ((x >> 2) & 0x3333333333333333);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return static_cast<u32>((x * 0x0101010101010101) >> 56);
}

// The smallest power of two >= x, for 1 <= x <= 2^63.
constexpr u64 round_up_to_power_of_two(u64 x) {
    return x <= 1 ? 1 : u64{1} << (highest_bit(x - 1) + 1);
}

// Eight bytes in one word; byte 0 is the lowest.
inline constexpr u64 kEachByte = 0x0101010101010101;

constexpr u64 repeat_byte(u8 byte) {
    return byte * kEachByte;
}

// 0x80 in each byte of the result whose byte in `word` is 0, and 0 in every other. Exact: no carry
// crosses from one byte to the next.
constexpr u64 zero_bytes(u64 word) {
    constexpr u64 kLow7 = 0x7f * kEachByte;
    return ~(((word & kLow7) + kLow7) | word | kLow7);
}
// The same for the bytes that equal `byte`.
constexpr u64 equal_bytes(u64 word, u8 byte) {
    return zero_bytes(word ^ repeat_byte(byte));
}
// Walks such a result: for (u64 m = ...; m; m = without_first_byte(m)) { u32 i = first_byte(m); }
constexpr u32 first_byte(u64 matches) {
    return lowest_bit(matches) >> 3;
}
constexpr u64 without_first_byte(u64 matches) {
    return matches & (matches - 1);
}
constexpr u64 with_byte(u64 word, u32 index, u8 byte) {
    const u32 shift = index * 8;
    return (word & ~(u64{0xff} << shift)) | (u64{byte} << shift);
}

}  // namespace barebpf
