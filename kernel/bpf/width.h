// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Word widths for the verifier's scalar domain, which is written once for every width: 64-bit
// registers, their 32-bit halves, and the 8 and 4-bit words on which tests try every value there is.
//
// The algorithms may only use what all of these words have: conversions to and from int, and the
// arithmetic that C++ promotes to int for words narrower than int. So every result is converted back
// (`U(a + b)`), and nothing may rely on a word being as wide as its arithmetic.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf {

// Signed: the signed word of the same width. Half: the unsigned word of half the width.
template <class Unsigned>
struct Width;

template <>
struct Width<u64> {
    using Signed = s64;
    using Half = u32;
    static constexpr unsigned kBits = 64;
};

template <>
struct Width<u32> {
    using Signed = s32;
    using Half = u16;
    static constexpr unsigned kBits = 32;
};

template <class U>
using SignedOf = typename Width<U>::Signed;
template <class U>
using HalfOf = typename Width<U>::Half;

template <class U>
inline constexpr unsigned kBitsOf = Width<U>::kBits;
template <class U>
inline constexpr U kMaxOf = U(~U(0));
template <class U>
inline constexpr U kSignBitOf = U(U(1) << (Width<U>::kBits - 1));
template <class U>
inline constexpr SignedOf<U> kSignedMinOf = SignedOf<U>(kSignBitOf<U>);
template <class U>
inline constexpr SignedOf<U> kSignedMaxOf = SignedOf<U>(U(~kSignBitOf<U>));

// Bits up to and including the highest one: 0 for 0, 3 for 5.
constexpr unsigned bit_length(u64 value) {
    return value ? 64 - static_cast<unsigned>(__builtin_clzll(value)) : 0;
}

// Zeros below the lowest one; 64 for 0.
constexpr unsigned trailing_zeros(u64 value) {
    return value ? static_cast<unsigned>(__builtin_ctzll(value)) : 64;
}

// In words alone: the compiler's builtin may become a call of its run-time library.
constexpr unsigned count_ones(u64 value) {
    value -= value >> 1 & 0x5555555555555555;
    value = (value & 0x3333333333333333) + (value >> 2 & 0x3333333333333333);
    value = (value + (value >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return static_cast<unsigned>(value * 0x0101010101010101 >> 56);
}

// The lowest `bits` bits set; any number from 0 to the width.
template <class U>
constexpr U low_bits(unsigned bits) {
    return bits >= kBitsOf<U> ? kMaxOf<U> : U((u64{1} << bits) - 1);
}

// Reads the lowest `bits` bits (1 to the width) as a signed number.
template <class U>
constexpr U sign_extend_word(U value, unsigned bits) {
    const unsigned shift = kBitsOf<U> - bits;
    return U(SignedOf<U>(U(value << shift)) >> shift);
}

}  // namespace barebpf
