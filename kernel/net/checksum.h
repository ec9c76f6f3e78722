// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The Internet checksum: ones'-complement sums (RFC 1071, RFC 1624).
//
// A sum is a 32-bit value of which only the residue modulo 65,535 means anything: 16-bit words of the
// packet added up in the byte order of the machine, carries from bit 31 put back at bit 0. A checksum is a
// sum folded to 16 bits and complemented, as it stands in a header. Zero has two forms, 0 and all ones;
// each function here keeps to the form that plain end-around-carry arithmetic gives, because programs see
// it.
//
// Context: any.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf {

constexpr u32 csum_add(u32 a, u32 b) {
    const u32 sum = a + b;
    return sum + (sum < a);
}
constexpr u32 csum_sub(u32 a, u32 b) {
    return csum_add(a, ~b);
}

// A sum of 16 bits.
constexpr u16 csum_fold_sum(u32 sum) {
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<u16>(sum);
}
// A checksum.
constexpr u16 csum_fold(u32 sum) {
    return static_cast<u16>(~csum_fold_sum(sum));
}

// sum plus the bytes, the first of them at an even offset; an odd last byte is padded with zero. Never
// zero when sum or any byte is not.
u32 csum_partial(const void* data, size_t size, u32 sum);

// The sum of a block that starts at an odd offset of the whole has its bytes the other way round.
constexpr u32 csum_shift(u32 sum, u32 offset) {
    return offset & 1 ? sum << 24 | sum >> 8 : sum;
}

// A header's checksum after a field of it went from `from` to `to`, or after the sum of what it covers
// changed by diff (RFC 1624).
constexpr u16 csum_replace_by_diff(u16 check, u32 diff) {
    return csum_fold(csum_add(diff, ~u32{check}));
}
constexpr u16 csum_replace32(u16 check, u32 from, u32 to) {
    return csum_fold(csum_add(csum_sub(~u32{check}, from), to));
}
constexpr u16 csum_replace16(u16 check, u16 from, u16 to) {
    const auto add = [](u16 a, u16 b) {
        const u16 sum = static_cast<u16>(a + b);
        return static_cast<u16>(sum + (sum < a));
    };
    const u16 without = add(static_cast<u16>(~check), static_cast<u16>(~from));
    return static_cast<u16>(~add(without, to));
}

}  // namespace barebpf
