// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What is known of one word (a register, or the lower half of one) taken by itself: its bits, and the
// interval it lies in, read as an unsigned and as a signed number. A Scalar (range.h) is two of these.
//
// The three views describe one set, and tighten() lets each profit from the others. Think of the words
// as a circle that is cut in two halves by the signed numbers' sign:
//
//          0 ............ max | min ............ -1       signed
//          0 ...... 0x7f..f   | 0x80..0 ..... 0xff..f     unsigned
//          '-- not negative --'--- negative ----'
//
// Within each half both orders agree, so whatever set of words the bounds allow is at most one
// interval per half: a Piece. Pieces are cut to the unsigned bounds, the signed bounds and the nearest
// members of the tnum, and the bounds are read off them again. That is the best that bounds can say
// about the bits and each other; it needs no loop.
//
// An Arc is an interval that may pass through the end of the circle. It is what addition gives before
// anybody asks whether it overflowed, and what a truncation leaves of an interval.
#pragma once

#include "kernel/bpf/tnum.h"

namespace barebpf {

template <class T>
constexpr T least(T a, T b) {
    return b < a ? b : a;
}
template <class T>
constexpr T greatest(T a, T b) {
    return a < b ? b : a;
}

// The words first, first + 1, ... first + length, modulo 2^width. length = all ones: every word.
template <class U>
struct Arc {
    U first;
    U length;

    constexpr U last() const { return U(first + length); }
    constexpr bool is_everything() const { return length == kMaxOf<U>; }

    // Every sum, and every difference, of a word of each.
    static constexpr Arc sum(const Arc& a, const Arc& b) {
        const U together = U(a.length + b.length);
        if (together < a.length) return {U(0), kMaxOf<U>};
        return {U(a.first + b.first), together};
    }
    static constexpr Arc difference(const Arc& a, const Arc& b) {
        return sum(a, {U(0 - b.last()), b.length});
    }
};

// lo > hi: empty. Both in the same half of the circle.
template <class U>
struct Piece {
    U lo, hi;

    static constexpr Piece none() { return {U(1), U(0)}; }
    constexpr bool empty() const { return lo > hi; }
    constexpr bool operator==(const Piece&) const = default;
    constexpr void keep_members(const BasicTnum<U>& tnum) {
        if (!empty() && !(tnum.round_up(lo) && tnum.round_down(hi))) *this = none();
    }
    // Keeps what lies between two words whose low half is on the arc.
    constexpr void keep_low_half_on(const Arc<HalfOf<U>>& arc) {
        using H = HalfOf<U>;
        if (empty()) return;
        const H above_lo = H(H(lo) - arc.first), above_hi = H(H(hi) - arc.first);
        const U up = above_lo <= arc.length ? U(0) : U(H(0 - above_lo));
        const U down = above_hi <= arc.length ? U(0) : U(H(above_hi - arc.length));
        if (up > U(kMaxOf<U> - lo) || down > hi) {
            *this = none();
            return;
        }
        lo = U(lo + up);
        hi = U(hi - down);
    }
};

template <class U>
struct Slice {
    using S = SignedOf<U>;

    BasicTnum<U> var;
    U umin, umax;
    S smin, smax;

    static constexpr Slice unknown() { return of_tnum(BasicTnum<U>::unknown()); }
    // The bounds are left open: tighten() makes them fit.
    static constexpr Slice of_tnum(const BasicTnum<U>& tnum) {
        return {tnum, U(0), kMaxOf<U>, kSignedMinOf<U>, kSignedMaxOf<U>};
    }
    static constexpr Slice constant(U word) {
        return {BasicTnum<U>::constant(word), word, word, S(word), S(word)};
    }
    constexpr bool is_const() const { return var.is_const(); }
    constexpr bool operator==(const Slice&) const = default;

    constexpr Arc<U> unsigned_arc() const { return {umin, U(umax - umin)}; }
    constexpr Arc<U> signed_arc() const { return {U(smin), U(U(smax) - U(smin))}; }

    // Each cuts the slice down; contradictory bounds are allowed until tighten() finds them.
    constexpr void keep_unsigned(U min, U max) {
        umin = greatest(umin, min);
        umax = least(umax, max);
    }
    constexpr void keep_signed(S min, S max) {
        smin = greatest(smin, min);
        smax = least(smax, max);
    }
    constexpr void keep_arc(const Arc<U>& arc) {
        if (arc.first <= arc.last()) keep_unsigned(arc.first, arc.last());
        if (S(arc.first) <= S(arc.last())) keep_signed(S(arc.first), S(arc.last()));
    }

    constexpr Piece<U> non_negative() const {
        if (smax < 0) return Piece<U>::none();
        return {greatest(umin, U(greatest(smin, S(0)))), least(umax, U(smax))};
    }
    constexpr Piece<U> negative() const {
        if (smin >= 0) return Piece<U>::none();
        return {greatest(umin, U(smin)), least(umax, U(least(smax, S(-1))))};
    }

    // Makes bits and bounds agree; false if no word fits them. `narrow` may cut each piece further, and
    // says whether it did; then members are looked for again, and so on, but not for ever.
    template <class Narrow>
    constexpr bool tighten(Narrow narrow) {
        Piece<U> above = non_negative(), below = negative();
        Piece<U>* const pieces[] = {&above, &below};
        for (Piece<U>* piece : pieces) {
            piece->keep_members(var);
            for (int turn = 0; turn < 4 && narrow(*piece); ++turn) piece->keep_members(var);
        }
        if (above.empty() && below.empty()) return false;
        umin = above.empty() ? below.lo : above.lo;
        umax = below.empty() ? above.hi : below.hi;
        smin = S(below.empty() ? above.lo : below.lo);
        smax = S(above.empty() ? below.hi : above.hi);
        const BasicTnum<U> common = BasicTnum<U>::range(umin, umax);
        if (!var.overlaps(common)) return false;
        var = var.intersect(common);
        return true;
    }
    constexpr bool tighten() {
        return tighten([](Piece<U>&) { return false; });
    }

    // Every member of `other` is in this one, as far as either's own bounds can tell.
    constexpr bool includes(const Slice& other) const {
        return umin <= other.umin && other.umax <= umax && smin <= other.smin &&
               other.smax <= smax && other.var.subset_of(var);
    }
    constexpr Slice join(const Slice& other) const {
        return {var.join(other.var), least(umin, other.umin), greatest(umax, other.umax),
                least(smin, other.smin), greatest(smax, other.smax)};
    }
    constexpr void meet(const Slice& other) {
        var = var.intersect(other.var);
        keep_unsigned(other.umin, other.umax);
        keep_signed(other.smin, other.smax);
    }
};

}  // namespace barebpf
