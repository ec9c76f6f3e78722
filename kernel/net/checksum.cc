// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/net/checksum.h"

namespace barebpf {
namespace {

u64 load64(const u8* bytes) {
    u64 value;
    __builtin_memcpy(&value, bytes, sizeof value);
    return value;
}

// The up to 7 bytes at the end as a word with zeros behind them.
u64 load_tail(const u8* bytes, size_t size) {
    u64 value = 0;
    __builtin_memcpy(&value, bytes, size);
    return value;
}

// 64-bit words add up like 16-bit ones, because 65,535 divides 2^64 - 1; only the carries have to come
// back in.
u64 add_with_carry(u64 a, u64 b) {
    const u64 sum = a + b;
    return sum + (sum < a);
}

}  // namespace

u32 csum_partial(const void* data, size_t size, u32 sum) {
    const u8* bytes = static_cast<const u8*>(data);
    // Two lanes, so that one addition need not wait for the carry of the other.
    u64 even = sum;
    u64 odd = 0;
    for (; size >= 16; size -= 16, bytes += 16) {
        even = add_with_carry(even, load64(bytes));
        odd = add_with_carry(odd, load64(bytes + 8));
    }
    if (size >= 8) {
        odd = add_with_carry(odd, load64(bytes));
        bytes += 8;
        size -= 8;
    }
    const u64 total = add_with_carry(add_with_carry(even, odd), load_tail(bytes, size));
    return csum_add(static_cast<u32>(total), static_cast<u32>(total >> 32));
}

}  // namespace barebpf
