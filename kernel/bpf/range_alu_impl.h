// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Transfer functions of the ALU instructions, once for every width: each takes what is known of its
// operand words as Slices and returns what is known of the result word. Bounds are left as the
// operation gives them; whoever puts the slices together syncs.
#pragma once

#include "kernel/bpf/range_impl.h"
#include "uapi/linux/bpf.h"

namespace barebpf {

// The instruction itself, on words. off: as in the instruction.
template <class U>
constexpr U evaluate_division(bool is_mod, bool is_signed, U x, U y) {
    using S = SignedOf<U>;
    if (y == 0) return is_mod ? x : U(0);
    if (!is_signed) return is_mod ? U(x % y) : U(x / y);
    if (y == kMaxOf<U>) return is_mod ? U(0) : U(0 - x);  // -1, which the machine may trap on
    return is_mod ? U(S(x) % S(y)) : U(S(x) / S(y));
}

template <class U>
constexpr U evaluate(u8 op, U x, U y, s16 off) {
    using S = SignedOf<U>;
    const unsigned amount = unsigned(y & (kBitsOf<U> - 1));
    switch (op) {
        case BPF_ADD:
            return U(x + y);
        case BPF_SUB:
            return U(x - y);
        case BPF_MUL:
            return U(u64(x) * u64(y));
        case BPF_DIV:
            return evaluate_division(false, off != 0, x, y);
        case BPF_MOD:
            return evaluate_division(true, off != 0, x, y);
        case BPF_OR:
            return U(x | y);
        case BPF_AND:
            return U(x & y);
        case BPF_XOR:
            return U(x ^ y);
        case BPF_NEG:
            return U(0 - x);
        case BPF_LSH:
            return U(x << amount);
        case BPF_RSH:
            return U(x >> amount);
        default:
            return U(S(x) >> amount);  // BPF_ARSH
    }
}

// A class only so that the functions share the names of types.
template <class U>
struct SliceAlu {
    using S = SignedOf<U>;
    using W = Slice<U>;
    static constexpr unsigned kBits = kBitsOf<U>;

    static W add(const W& a, const W& b) {
        W result = W::of_tnum(a.var + b.var);
        result.keep_arc(Arc<U>::sum(a.unsigned_arc(), b.unsigned_arc()));
        result.keep_arc(Arc<U>::sum(a.signed_arc(), b.signed_arc()));
        return result;
    }

    static W subtract(const W& a, const W& b) {
        W result = W::of_tnum(a.var - b.var);
        result.keep_arc(Arc<U>::difference(a.unsigned_arc(), b.unsigned_arc()));
        result.keep_arc(Arc<U>::difference(a.signed_arc(), b.signed_arc()));
        return result;
    }

    static constexpr bool product(U x, U y, U& result) {
        if constexpr (kBits == 64) return !__builtin_mul_overflow(x, y, &result);
        result = U(u64(x) * u64(y));
        return u64(result) == u64(x) * u64(y);
    }
    static constexpr bool product(S x, S y, S& result) {
        if constexpr (kBits == 64) return !__builtin_mul_overflow(x, y, &result);
        result = S(s64(x) * s64(y));
        return s64(result) == s64(x) * s64(y);
    }

    // A product over an interval is largest and smallest in its corners, unless one of them wraps.
    static W multiply(const W& a, const W& b) {
        W result = W::of_tnum(a.var * b.var);
        U lowest, highest;
        if (product(a.umax, b.umax, highest) && product(a.umin, b.umin, lowest)) {
            result.keep_unsigned(lowest, highest);
        }
        S c[4];
        if (product(a.smin, b.smin, c[0]) && product(a.smin, b.smax, c[1]) &&
            product(a.smax, b.smin, c[2]) && product(a.smax, b.smax, c[3])) {
            result.keep_signed(least(least(c[0], c[1]), least(c[2], c[3])),
                               greatest(greatest(c[0], c[1]), greatest(c[2], c[3])));
        }
        return result;
    }

    static W divide(const W& a, const W& b) {
        W result = W::unknown();
        if (b.umin == 0) {  // x / 0 = 0, and no quotient is above x
            result.keep_unsigned(U(0), a.umax);
            return result;
        }
        if (b.is_const() && is_power_of_two(b.var.value)) {
            result.var = a.var.rshift(trailing_zeros(u64(b.var.value)));
        }
        result.keep_unsigned(U(a.umin / b.umax), U(a.umax / b.umin));
        return result;
    }

    static W remainder(const W& a, const W& b) {
        if (a.umax < b.umin) return a;
        W result = W::unknown();
        result.keep_unsigned(U(0), a.umax);
        if (b.umin == 0) return result;  // x % 0 = x
        if (b.is_const() && is_power_of_two(b.var.value)) {
            result.var = a.var & BasicTnum<U>::constant(U(b.var.value - 1));
        }
        result.keep_unsigned(U(0), U(b.umax - 1));
        return result;
    }

    static W signed_divide(const W& a, const W& b) {
        if (b.is_const() && b.var.value == kMaxOf<U>) return subtract(W::constant(U(0)), a);
        W result = W::unknown();
        if (b.smin > 0) {
            result.keep_signed(S(a.smin / (a.smin < 0 ? b.smin : b.smax)),
                               S(a.smax / (a.smax < 0 ? b.smax : b.smin)));
        } else if (b.smax < -1) {
            result.keep_signed(S(a.smax / (a.smax < 0 ? b.smin : b.smax)),
                               S(a.smin / (a.smin < 0 ? b.smax : b.smin)));
        } else if (a.smin != kSignedMinOf<U>) {  // no quotient is farther from 0 than x
            const S farthest = greatest(negate(a.smin), a.smax);
            result.keep_signed(negate(farthest), farthest);
        }
        return result;
    }

    // The sign is x's, and |x % y| is at most |x| and below |y|. Magnitudes are kept as negative
    // numbers, which have room for all of them.
    static W signed_remainder(const W& a, const W& b) {
        W result = W::unknown();
        result.keep_signed(least(a.smin, S(0)), greatest(a.smax, S(0)));
        if (b.smin <= 0 && b.smax >= 0) return result;  // x % 0 = x
        const S nearest_to_0 = b.smin > 0 ? negate(b.smin) : b.smax;
        if (a.smin > nearest_to_0 && a.smax < negate(nearest_to_0)) return a;
        const S farthest = b.smin > 0 ? negate(b.smax) : b.smin;
        result.keep_signed(S(farthest + 1), negate(S(farthest + 1)));
        return result;
    }

    struct SignedBounds {
        S min, max;
    };

    // Of two numbers at least -2^k the conjunction is at least -2^k. If one has no sign bit, neither
    // has the result, and the result is no larger than that one.
    static constexpr SignedBounds and_bounds(SignedBounds a, SignedBounds b) {
        const S lowest = least(a.min, b.min);
        const bool positive = a.min >= 0 || b.min >= 0;
        const S min = positive ? S(0) : S(U(~low_bits<U>(bit_length(u64(U(~U(lowest)))))));
        if (a.min >= 0 && b.min >= 0) return {min, least(a.max, b.max)};
        if (a.min >= 0) return {min, a.max};
        if (b.min >= 0) return {min, b.max};
        if (a.max < 0 && b.max < 0) return {min, least(a.max, b.max)};
        return {min, greatest(a.max, b.max)};
    }

    static W bit_and(const W& a, const W& b) {
        W result = W::of_tnum(a.var & b.var);
        result.keep_unsigned(U(0), least(a.umax, b.umax));
        const SignedBounds bounds = and_bounds({a.smin, a.smax}, {b.smin, b.smax});
        result.keep_signed(bounds.min, bounds.max);
        return result;
    }

    // x | y = ~(~x & ~y), and ~ turns an interval round.
    static W bit_or(const W& a, const W& b) {
        W result = W::of_tnum(a.var | b.var);
        result.keep_unsigned(greatest(a.umin, b.umin), sum_or_max(a.umax, b.umax));
        const SignedBounds bounds = and_bounds({S(~a.smax), S(~a.smin)}, {S(~b.smax), S(~b.smin)});
        result.keep_signed(S(~bounds.max), S(~bounds.min));
        return result;
    }

    // Numbers in [-2^k, 2^k) repeat their sign from bit k up, and so does their difference.
    static W bit_xor(const W& a, const W& b) {
        W result = W::of_tnum(a.var ^ b.var);
        result.keep_unsigned(U(0), sum_or_max(a.umax, b.umax));
        const U bits = U((without_sign(a.smin) | without_sign(a.smax)) |
                         (without_sign(b.smin) | without_sign(b.smax)));
        const U highest = low_bits<U>(bit_length(u64(bits)));
        result.keep_signed(S(U(~highest)), S(highest));
        return result;
    }

    // The amounts that a shift by `b` can have.
    struct Amount {
        unsigned min, max;
    };
    static constexpr Amount amount(const W& b) {
        const U ones = U(kBits - 1);
        if (b.umax <= ones) return {unsigned(b.umin), unsigned(b.umax)};
        return {unsigned(b.var.value & ones), unsigned(b.var.max() & ones)};
    }

    static W left_shift(const W& a, Amount by) {
        W result = W::of_tnum(a.var.lshift(by.min));
        if (by.min != by.max) {  // all that stays known: the zeros that every shift brings in
            const unsigned zeros = trailing_zeros(u64(result.var.max()));
            result.var = {U(0), U(~low_bits<U>(zeros < kBits ? zeros : kBits))};
        }
        if (U(U(a.umax << by.max) >> by.max) == a.umax) {
            result.keep_unsigned(U(a.umin << by.min), U(a.umax << by.max));
        }
        const S lowest = S(U(U(a.smin) << by.max)), highest = S(U(U(a.smax) << by.max));
        if (S(lowest >> by.max) == a.smin && S(highest >> by.max) == a.smax) {
            result.keep_signed(a.smin < 0 ? lowest : S(U(U(a.smin) << by.min)),
                               a.smax < 0 ? S(U(U(a.smax) << by.min)) : highest);
        }
        return result;
    }

    static W right_shift(const W& a, Amount by) {
        W result = by.min == by.max ? W::of_tnum(a.var.rshift(by.min)) : W::unknown();
        result.keep_unsigned(U(a.umin >> by.max), U(a.umax >> by.min));
        return result;
    }

    static W arithmetic_right_shift(const W& a, Amount by) {
        W result = by.min == by.max ? W::of_tnum(a.var.arshift(by.min)) : W::unknown();
        result.keep_signed(S(a.smin >> (a.smin < 0 ? by.min : by.max)),
                           S(a.smax >> (a.smax < 0 ? by.max : by.min)));
        return result;
    }

    static W apply(u8 op, const W& a, const W& b, s16 off) {
        if (a.is_const() && b.is_const()) {
            return W::constant(evaluate(op, a.var.value, b.var.value, off));
        }
        switch (op) {
            case BPF_ADD:
                return add(a, b);
            case BPF_SUB:
                return subtract(a, b);
            case BPF_MUL:
                return multiply(a, b);
            case BPF_DIV:
                return off ? signed_divide(a, b) : divide(a, b);
            case BPF_MOD:
                return off ? signed_remainder(a, b) : remainder(a, b);
            case BPF_OR:
                return bit_or(a, b);
            case BPF_AND:
                return bit_and(a, b);
            case BPF_XOR:
                return bit_xor(a, b);
            case BPF_NEG:
                return subtract(W::constant(U(0)), a);
            case BPF_LSH:
                return left_shift(a, amount(b));
            case BPF_RSH:
                return right_shift(a, amount(b));
            case BPF_ARSH:
                return arithmetic_right_shift(a, amount(b));
            default:
                return W::unknown();
        }
    }

private:
    static constexpr S negate(S number) { return S(U(0 - U(number))); }
    static constexpr bool is_power_of_two(U word) { return word != 0 && U(word & (word - 1)) == 0; }
    static constexpr U sum_or_max(U x, U y) { return U(x + y) < x ? kMaxOf<U> : U(x + y); }
    static constexpr U without_sign(S number) { return number < 0 ? U(~U(number)) : U(number); }
};

// What a 64-bit instruction tells of the lower half by itself: of sums, products and bitwise
// operations the lower half depends on the operands' lower halves only, likewise of a known left
// shift. For the rest, the whole result tells what there is.
template <class U>
Slice<HalfOf<U>> low_half_result(u8 op, const BasicScalar<U>& dst, const BasicScalar<U>& src) {
    using H = HalfOf<U>;
    switch (op) {
        case BPF_ADD:
        case BPF_SUB:
        case BPF_MUL:
        case BPF_OR:
        case BPF_AND:
        case BPF_XOR:
        case BPF_NEG:
            return SliceAlu<H>::apply(op, dst.low(), src.low(), 0);
        case BPF_LSH: {
            const auto by = SliceAlu<U>::amount(src.all());
            if (by.min >= kBitsOf<H>) return Slice<H>::constant(H(0));
            if (by.max >= kBitsOf<H>) return Slice<H>::unknown();
            return SliceAlu<H>::left_shift(dst.low(), {by.min, by.max});
        }
        default:
            return Slice<H>::unknown();
    }
}

template <class U>
BasicScalar<U> alu(u8 op, const BasicScalar<U>& dst, const BasicScalar<U>& src, bool is64,
                   s16 off) {
    using H = HalfOf<U>;
    using Domain = BasicScalar<U>;
    if ((op & 0xf) != 0 || op > BPF_ARSH) return Domain::unknown();
    if (op == BPF_MOV) {
        if (off) {
            const unsigned bits = static_cast<unsigned>(off);
            return is64 ? src.sign_extend(bits) : src.sign_extend_half(bits);
        }
        return is64 ? src : src.zero_extend(kBitsOf<H>);
    }
    const Domain operand = op == BPF_NEG ? Domain::constant(U(0)) : src;
    if (!is64) return Domain::of_low(SliceAlu<H>::apply(op, dst.low(), operand.low(), off));
    const Slice<U> whole = SliceAlu<U>::apply(op, dst.all(), operand.all(), off);
    if (whole.is_const()) return Domain::constant(whole.var.value);
    return Domain::of_slices(whole, low_half_result(op, dst, operand));
}

}  // namespace barebpf
