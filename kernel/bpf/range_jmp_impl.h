// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a conditional jump tells of the two numbers it compares, once for every width.
//
// The eleven conditions and their opposites are eight relations once operands may be swapped: x < y is
// y > x, and that x > y fails is y >= x. One function says when a relation cannot hold; a jump is never
// taken if its relation cannot, and always if the opposite one cannot.
#pragma once

#include "kernel/bpf/range_impl.h"
#include "uapi/linux/bpf.h"

namespace barebpf {

enum class Relation : u8 {
    Equal,
    NotEqual,
    Above,         // unsigned >
    AboveOrEqual,  // unsigned >=
    Greater,       // signed >
    GreaterOrEqual,
    SharesBits,  // x & y != 0
    SharesNone,
};

struct Comparison {
    Relation relation;
    bool swapped;  // relates src to dst

    constexpr Comparison opposite() const {
        switch (relation) {
            case Relation::Equal:
                return {Relation::NotEqual, swapped};
            case Relation::NotEqual:
                return {Relation::Equal, swapped};
            case Relation::Above:
                return {Relation::AboveOrEqual, !swapped};
            case Relation::AboveOrEqual:
                return {Relation::Above, !swapped};
            case Relation::Greater:
                return {Relation::GreaterOrEqual, !swapped};
            case Relation::GreaterOrEqual:
                return {Relation::Greater, !swapped};
            case Relation::SharesBits:
                return {Relation::SharesNone, swapped};
            default:
                return {Relation::SharesBits, swapped};
        }
    }
};

constexpr bool parse_comparison(u8 op, Comparison& comparison) {
    switch (op) {
        case BPF_JEQ:
            comparison = {Relation::Equal, false};
            return true;
        case BPF_JNE:
            comparison = {Relation::NotEqual, false};
            return true;
        case BPF_JGT:
            comparison = {Relation::Above, false};
            return true;
        case BPF_JGE:
            comparison = {Relation::AboveOrEqual, false};
            return true;
        case BPF_JLT:
            comparison = {Relation::Above, true};
            return true;
        case BPF_JLE:
            comparison = {Relation::AboveOrEqual, true};
            return true;
        case BPF_JSGT:
            comparison = {Relation::Greater, false};
            return true;
        case BPF_JSGE:
            comparison = {Relation::GreaterOrEqual, false};
            return true;
        case BPF_JSLT:
            comparison = {Relation::Greater, true};
            return true;
        case BPF_JSLE:
            comparison = {Relation::GreaterOrEqual, true};
            return true;
        case BPF_JSET:
            comparison = {Relation::SharesBits, false};
            return true;
        default:
            return false;
    }
}

// No word of `a` stands in the relation to any word of `b`.
template <class U>
constexpr bool impossible(Relation relation, const Slice<U>& a, const Slice<U>& b) {
    switch (relation) {
        case Relation::Equal:
            return a.umax < b.umin || b.umax < a.umin || a.smax < b.smin || b.smax < a.smin ||
                   !a.var.overlaps(b.var);
        case Relation::NotEqual:
            return a.is_const() && b.is_const() && a.var == b.var;
        case Relation::Above:
            return a.umax <= b.umin;
        case Relation::AboveOrEqual:
            return a.umax < b.umin;
        case Relation::Greater:
            return a.smax <= b.smin;
        case Relation::GreaterOrEqual:
            return a.smax < b.smin;
        case Relation::SharesBits:
            return U(a.var.max() & b.var.max()) == 0;
        default:
            return U(a.var.value & b.var.value) != 0;
    }
}

template <class U>
constexpr void exclude(Slice<U>& slice, U word) {
    using S = SignedOf<U>;
    if (slice.umin == word && word != kMaxOf<U>) slice.umin = U(word + 1);
    if (slice.umax == word && word != 0) slice.umax = U(word - 1);
    if (slice.smin == S(word) && S(word) != kSignedMaxOf<U>) slice.smin = S(S(word) + 1);
    if (slice.smax == S(word) && S(word) != kSignedMinOf<U>) slice.smax = S(S(word) - 1);
}

template <class U>
constexpr void require_shared_bit(Slice<U>& a, Slice<U>& b) {
    exclude(a, U(0));
    exclude(b, U(0));
    const U candidates = U(a.var.max() & b.var.max());
    if (U(candidates & (candidates - 1)) != 0) return;
    a.var = {U(a.var.value | candidates), U(a.var.mask & ~candidates)};
    b.var = {U(b.var.value | candidates), U(b.var.mask & ~candidates)};
}

// Keeps the words that can stand in a relation which is not impossible.
template <class U>
constexpr void narrow(Relation relation, Slice<U>& a, Slice<U>& b) {
    using S = SignedOf<U>;
    switch (relation) {
        case Relation::Equal:
            a.meet(b);
            b = a;
            break;
        case Relation::NotEqual:
            if (b.is_const()) exclude(a, b.var.value);
            if (a.is_const()) exclude(b, a.var.value);
            break;
        case Relation::Above:  // possible, so neither bound wraps
            a.umin = greatest(a.umin, U(b.umin + 1));
            b.umax = least(b.umax, U(a.umax - 1));
            break;
        case Relation::AboveOrEqual:
            a.umin = greatest(a.umin, b.umin);
            b.umax = least(b.umax, a.umax);
            break;
        case Relation::Greater:
            a.smin = greatest(a.smin, S(b.smin + 1));
            b.smax = least(b.smax, S(a.smax - 1));
            break;
        case Relation::GreaterOrEqual:
            a.smin = greatest(a.smin, b.smin);
            b.smax = least(b.smax, a.smax);
            break;
        case Relation::SharesBits:
            require_shared_bit(a, b);
            break;
        case Relation::SharesNone: {
            const U of_a = a.var.value;
            a.var.mask = U(a.var.mask & ~b.var.value);
            b.var.mask = U(b.var.mask & ~of_a);
            break;
        }
    }
}

template <class U>
bool cannot_hold(const Comparison& comparison, bool is32, const BasicScalar<U>& dst,
                 const BasicScalar<U>& src) {
    const BasicScalar<U>& a = comparison.swapped ? src : dst;
    const BasicScalar<U>& b = comparison.swapped ? dst : src;
    if (is32) return impossible(comparison.relation, a.low(), b.low());
    if (impossible(comparison.relation, a.all(), b.all())) return true;
    return comparison.relation == Relation::Equal && impossible(Relation::Equal, a.low(), b.low());
}

template <class U>
Taken branch_taken(u8 op, bool is32, const BasicScalar<U>& dst, const BasicScalar<U>& src) {
    Comparison comparison;
    if (!parse_comparison(op, comparison)) return Taken::Unknown;
    if (cannot_hold(comparison, is32, dst, src)) return Taken::Never;
    if (cannot_hold(comparison.opposite(), is32, dst, src)) return Taken::Always;
    return Taken::Unknown;
}

template <class U>
bool assume(u8 op, bool is32, bool holds, BasicScalar<U>& dst, BasicScalar<U>& src) {
    Comparison comparison;
    if (!parse_comparison(op, comparison)) return true;
    if (!holds) comparison = comparison.opposite();
    if (cannot_hold(comparison, is32, dst, src)) return false;
    BasicScalar<U>& a = comparison.swapped ? src : dst;
    BasicScalar<U>& b = comparison.swapped ? dst : src;
    if (!is32) {
        Slice<U> whole_a = a.all(), whole_b = b.all();
        narrow(comparison.relation, whole_a, whole_b);
        a.set_all(whole_a);
        b.set_all(whole_b);
    }
    if (is32 || comparison.relation == Relation::Equal) {
        Slice<HalfOf<U>> low_a = a.low(), low_b = b.low();
        narrow(comparison.relation, low_a, low_b);
        a.set_low(low_a);
        b.set_low(low_b);
    }
    return a.sync() && b.sync();
}

}  // namespace barebpf
