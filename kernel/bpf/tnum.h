// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Tristate numbers: what the verifier knows of a value bit by bit.
//
//     value  1 0 0 1        Each bit is known 0 (value 0, mask 0), known 1 (value 1, mask 0) or
//     mask   0 0 1 0        unknown (value 0, mask 1). This one is {1001, 1011}.
//            ---------
//            1 0 x 1
//
// Lattice. A tnum stands for the set { x : (x & ~mask) == value }. `subset_of` is set inclusion, the
// top is unknown(), and there is no bottom: a contradiction is found with `overlaps` before
// `intersect`.
//
// Invariant: (value & mask) == 0. Every function expects it and keeps it.
//
// Soundness: for x in a and y in b, the word operation x op y (modulo 2^width) is in `a op b`. Add,
// subtract, negate, the bitwise operations, shifts by a constant, join and intersect are also exact:
// no smaller tnum would do. Multiply is not. The algorithms for addition and subtraction are those of
// Vishwanathan, Shachnai, Narayana and Nagarakatte, "Sound, Precise, and Fast Abstract Interpretation
// with Tristate Numbers" (CGO 2022), in a form that compares the smallest with the largest sum.
//
// No function loops but multiply, none allocates, and all may be used in any context.
#pragma once

#include "kernel/bpf/width.h"
#include "kernel/lib/text.h"

namespace barebpf {

template <class U>
struct BasicTnum {
    using S = SignedOf<U>;
    using Low = BasicTnum<HalfOf<U>>;

    U value;
    U mask;

    static constexpr BasicTnum constant(U value) { return {value, U(0)}; }
    static constexpr BasicTnum unknown() { return {U(0), kMaxOf<U>}; }
    // The smallest tnum with all of [min, max], unsigned, min <= max: the bits above the highest one
    // in which the two differ are common to all values between them.
    static constexpr BasicTnum range(U min, U max) {
        const U varying = low_bits<U>(bit_length(u64(U(min ^ max))));
        return {U(min & ~varying), varying};
    }

    constexpr bool is_const() const { return mask == 0; }
    constexpr bool equals_const(U constant) const { return is_const() && value == constant; }
    constexpr bool is_unknown() const { return mask == kMaxOf<U>; }
    // The smallest and the largest member, as unsigned numbers.
    constexpr U min() const { return value; }
    constexpr U max() const { return U(value | mask); }
    constexpr bool contains(U word) const { return U(word & ~mask) == value; }
    constexpr bool subset_of(const BasicTnum& other) const {
        return U(mask & ~other.mask) == 0 && other.contains(value);
    }
    constexpr bool overlaps(const BasicTnum& other) const {
        return U((value ^ other.value) & ~mask & ~other.mask) == 0;
    }
    // Every member is a multiple of `size`, a power of two.
    constexpr bool is_aligned(U size) const { return U(max() & (size - 1)) == 0; }
    constexpr bool operator==(const BasicTnum&) const = default;

    // Members of both; only where they overlap.
    constexpr BasicTnum intersect(const BasicTnum& other) const {
        const U unknown_bits = U(mask & other.mask);
        return {U((value | other.value) & ~unknown_bits), unknown_bits};
    }
    // The smallest tnum with all members of either.
    constexpr BasicTnum join(const BasicTnum& other) const {
        const U unknown_bits = U((value ^ other.value) | mask | other.mask);
        return {U(value & ~unknown_bits), unknown_bits};
    }

    constexpr BasicTnum operator~() const { return {U(~(value | mask)), mask}; }
    constexpr BasicTnum operator&(const BasicTnum& other) const {
        const U ones = U(value & other.value);
        return {ones, U(max() & other.max() & ~ones)};
    }
    constexpr BasicTnum operator|(const BasicTnum& other) const {
        const U ones = U(value | other.value);
        return {ones, U((mask | other.mask) & ~ones)};
    }
    constexpr BasicTnum operator^(const BasicTnum& other) const {
        const U unknown_bits = U(mask | other.mask);
        return {U((value ^ other.value) & ~unknown_bits), unknown_bits};
    }
    // A carry into a bit is known if the smallest and the largest sum have the same one.
    constexpr BasicTnum operator+(const BasicTnum& other) const {
        return between(U(value + other.value), U(max() + other.max()), other);
    }
    constexpr BasicTnum operator-(const BasicTnum& other) const {
        return between(U(value - other.max()), U(max() - other.value), other);
    }
    constexpr BasicTnum operator-() const { return constant(U(0)) - *this; }
    constexpr BasicTnum operator*(const BasicTnum& other) const;

    // Shift amounts are below the width.
    constexpr BasicTnum lshift(unsigned amount) const {
        return {U(value << amount), U(mask << amount)};
    }
    constexpr BasicTnum rshift(unsigned amount) const {
        return {U(value >> amount), U(mask >> amount)};
    }
    constexpr BasicTnum arshift(unsigned amount) const {
        return {U(S(value) >> amount), U(S(mask) >> amount)};
    }
    // The lowest `bits` bits (1 to the width), zero or sign-extended.
    constexpr BasicTnum zero_extend(unsigned bits) const {
        return {U(value & low_bits<U>(bits)), U(mask & low_bits<U>(bits))};
    }
    constexpr BasicTnum sign_extend(unsigned bits) const {
        return {sign_extend_word(value, bits), sign_extend_word(mask, bits)};
    }

    // The low half as a word of its own, replaced, and cleared.
    constexpr Low low() const { return {HalfOf<U>(value), HalfOf<U>(mask)}; }
    constexpr BasicTnum with_low(const Low& half) const {
        const BasicTnum high = clear_low();
        return {U(high.value | U(half.value)), U(high.mask | U(half.mask))};
    }
    constexpr BasicTnum clear_low() const {
        const U high = U(~low_bits<U>(kBitsOf<U> / 2));
        return {U(value & high), U(mask & high)};
    }

    // Moves `word` up (down) to the nearest member, unsigned; false if there is none that way.
    constexpr bool round_up(U& word) const;
    constexpr bool round_down(U& word) const {
        U flipped = U(~word);
        if (!(~*this).round_up(flipped)) return false;
        word = U(~flipped);
        return true;
    }

private:
    constexpr BasicTnum between(U lowest, U highest, const BasicTnum& other) const {
        const U unknown_bits = U((lowest ^ highest) | mask | other.mask);
        return {U(lowest & ~unknown_bits), unknown_bits};
    }
    static constexpr BasicTnum long_multiply(BasicTnum a, BasicTnum b);
};

// Let p be the highest known bit in which `word` differs. If the tnum has a one there, the answer
// keeps the word above p and takes the smallest bits from p down. If it has a zero, a higher unknown
// bit must become one first: a carry sent up from p through all bits that cannot change finds it.
template <class U>
constexpr bool BasicTnum<U>::round_up(U& word) const {
    const U differs = U((word ^ value) & ~mask);
    if (differs == 0) return true;
    const U below = low_bits<U>(bit_length(u64(differs)));  // p and everything under it
    const U at = U(below ^ (below >> 1));
    if (value & at) {
        word = U((word & ~below) | (value & below));
        return true;
    }
    const U carried = U((word | ~mask | below) + 1);
    if (carried == 0) return false;
    word = U((carried & mask & ~below) | value);
    return true;
}

// School multiplication over a's bits: a one adds b, an unknown bit adds b or nothing. Stops when all
// the bits that b can still change are unknown.
template <class U>
constexpr BasicTnum<U> BasicTnum<U>::long_multiply(BasicTnum a, BasicTnum b) {
    BasicTnum sum = constant(U(0));
    while (a.max() != 0) {
        const unsigned skip = trailing_zeros(u64(a.max()));
        b = b.lshift(skip);
        a = a.rshift(skip);
        sum = (a.mask & 1) ? sum.join(sum + b) : sum + b;
        a = {U(a.value & ~U(1)), U(a.mask & ~U(1))};
        const U lowest_of_b = U(b.max() & (0 - u64(b.max())));
        if (U(sum.mask | U(lowest_of_b - 1)) == kMaxOf<U>) break;
    }
    return sum;
}

// Both orders of the factors are sound, and each loses bits that the other keeps. The one over fewer
// bits is always taken, the other only if it is short too.
template <class U>
constexpr BasicTnum<U> BasicTnum<U>::operator*(const BasicTnum& other) const {
    constexpr unsigned kShort = 8;
    if (is_const() && other.is_const()) return constant(U(u64(value) * u64(other.value)));
    const unsigned count = count_ones(u64(max())), other_count = count_ones(u64(other.max()));
    const BasicTnum& few = count <= other_count ? *this : other;
    const BasicTnum& many = count <= other_count ? other : *this;
    const BasicTnum product = long_multiply(few, many);
    if (count > kShort || other_count > kShort) return product;
    return product.intersect(long_multiply(many, few));
}

using Tnum = BasicTnum<u64>;
using Tnum32 = BasicTnum<u32>;

// The low `bytes` (1, 2, 4 or 8), zero-extended, as a load of that size gives them.
constexpr Tnum tnum_cast(const Tnum& a, unsigned bytes) {
    return a.zero_extend(bytes * 8);
}

// Arithmetic shift of the low `insn_bitness` bits (32 or 64); a 32-bit result is zero-extended.
constexpr Tnum tnum_arshift(const Tnum& a, unsigned min_shift, unsigned insn_bitness) {
    if (insn_bitness == 64) return a.arshift(min_shift);
    return Tnum::constant(0).with_low(a.low().arshift(min_shift));
}

// The low `bits` (16, 32 or 64) with their bytes in the opposite order, zero-extended.
constexpr Tnum tnum_byte_swap(const Tnum& a, unsigned bits) {
    return Tnum{__builtin_bswap64(a.value), __builtin_bswap64(a.mask)}.rshift(64 - bits);
}

// As the verifier's log shows it: (0x10; 0xf).
void append_to(TextBuffer& out, const Tnum& tnum);

}  // namespace barebpf
