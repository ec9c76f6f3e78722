// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Bodies of BasicScalar's members, for the files that instantiate them: range.cc for 64 bits, and
// tests for widths of their own.
#pragma once

#include "kernel/bpf/range.h"

namespace barebpf {

// Whatever interval of words is shorter than the lower half's circle leaves an arc on it.
template <class U>
constexpr void keep_low_of(const Arc<U>& arc, Slice<HalfOf<U>>& low) {
    using H = HalfOf<U>;
    if (arc.length < U(kMaxOf<H>)) low.keep_arc({H(arc.first), H(arc.length)});
}

// The whole learns from the lower half, then the lower half from the whole; if that told it something,
// again. Few scalars need more than two rounds; the limit is for the time, not for the result, which
// is sound after each.
template <class U>
bool BasicScalar<U>::sync() {
    if (var_off.is_const()) {
        const U word = var_off.value;
        if (!contains(word)) return false;
        *this = constant(word);
        return true;
    }
    constexpr int kRounds = 5;
    Slice<U> whole = all();
    Slice<H> half = low();
    for (int round = 0; round < kRounds; ++round) {
        if (!half.tighten()) return false;
        whole.var = whole.var.with_low(half.var);
        const auto cut = [&half](Piece<U>& piece) {
            const Piece<U> before = piece;
            piece.keep_low_half_on(half.unsigned_arc());
            piece.keep_low_half_on(half.signed_arc());
            return !(piece == before);
        };
        if (!whole.tighten(cut)) return false;
        const Slice<H> before = half;
        half.var = whole.var.low();
        keep_low_of<U>(whole.unsigned_arc(), half);
        keep_low_of<U>(whole.signed_arc(), half);
        if (half == before) break;
    }
    set_all(whole);
    set_low(half);
    return true;
}

template <class U>
BasicScalar<U> BasicScalar<U>::of_slices(const Slice<U>& all, const Slice<H>& low) {
    BasicScalar made = join_halves(all, low);
    if (made.is_unknown() && low.var.is_unknown()) return made;
    if (!all.var.low().overlaps(low.var)) return unknown();
    made.var_off = all.var.with_low(all.var.low().intersect(low.var));
    return made.sync() ? made : unknown();
}

template <class U>
BasicScalar<U> BasicScalar<U>::of_low(const Slice<H>& low) {
    const Slice<U> all{BasicTnum<U>::constant(U(0)).with_low(low.var), U(low.umin), U(low.umax),
                       S(U(low.umin)), S(U(low.umax))};
    return of_slices(all, low);
}

template <class U>
BasicScalar<U> BasicScalar<U>::unsigned_range(U min, U max) {
    Slice<U> all = Slice<U>::unknown();
    all.keep_unsigned(min, max);
    return of_slices(all, Slice<H>::unknown());
}

template <class U>
BasicScalar<U> BasicScalar<U>::signed_range(S min, S max) {
    Slice<U> all = Slice<U>::unknown();
    all.keep_signed(min, max);
    return of_slices(all, Slice<H>::unknown());
}

template <class U>
BasicScalar<U> BasicScalar<U>::of_tnum(const BasicTnum<U>& tnum) {
    return of_slices(Slice<U>::of_tnum(tnum), Slice<H>::unknown());
}

template <class U>
bool BasicScalar<U>::includes(const BasicScalar& other) const {
    return all().includes(other.all()) && low().includes(other.low());
}

template <class U>
BasicScalar<U> BasicScalar<U>::join(const BasicScalar& other) const {
    return of_slices(all().join(other.all()), low().join(other.low()));
}

// What an interval of words leaves of their lowest `bits` bits. Nothing is learned from one that is
// longer than these bits can tell apart, or that passes the point where the narrow numbers wrap.
template <class U>
Slice<U> zero_extend_slice(const Slice<U>& slice, unsigned bits) {
    const U ones = low_bits<U>(bits);
    Slice<U> result = Slice<U>::of_tnum(slice.var.zero_extend(bits));
    const Arc<U> arcs[] = {slice.unsigned_arc(), slice.signed_arc()};
    for (const Arc<U>& arc : arcs) {
        const U first = U(arc.first & ones), last = U(arc.last() & ones);
        if (arc.length <= ones && first <= last) result.keep_unsigned(first, last);
    }
    return result;
}

template <class U>
Slice<U> sign_extend_slice(const Slice<U>& slice, unsigned bits) {
    using S = SignedOf<U>;
    const U highest = U(low_bits<U>(bits) >> 1);
    Slice<U> result = Slice<U>::of_tnum(slice.var.sign_extend(bits));
    result.keep_signed(S(U(~highest)), S(highest));
    const Arc<U> arcs[] = {slice.unsigned_arc(), slice.signed_arc()};
    for (const Arc<U>& arc : arcs) {
        const S first = S(sign_extend_word(arc.first, bits));
        const S last = S(sign_extend_word(arc.last(), bits));
        if (arc.length <= low_bits<U>(bits) && first <= last) result.keep_signed(first, last);
    }
    return result;
}

template <class U>
BasicScalar<U> BasicScalar<U>::zero_extend(unsigned bits) const {
    if (bits >= kBitsOf<U> || umax <= low_bits<U>(bits)) return *this;
    if (bits > kBitsOf<H>) return of_slices(zero_extend_slice(all(), bits), low());
    return of_low(bits == kBitsOf<H> ? low() : zero_extend_slice(low(), bits));
}

template <class U>
BasicScalar<U> BasicScalar<U>::sign_extend(unsigned bits) const {
    if (bits >= kBitsOf<U>) return *this;
    if (bits > kBitsOf<H>) return of_slices(sign_extend_slice(all(), bits), low());
    const Slice<H> half = bits == kBitsOf<H> ? low() : sign_extend_slice(low(), bits);
    Slice<U> whole = sign_extend_slice(all(), bits);
    whole.keep_signed(S(half.smin), S(half.smax));
    return of_slices(whole, half);
}

template <class U>
BasicScalar<U> BasicScalar<U>::sign_extend_half(unsigned bits) const {
    return of_low(bits >= kBitsOf<H> ? low() : sign_extend_slice(low(), bits));
}

}  // namespace barebpf
