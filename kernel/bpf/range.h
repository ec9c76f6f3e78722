// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Scalars: what the verifier knows of a number in a register or stack slot.
//
//     var_off               each bit of the 64: 0, 1 or unknown (tnum.h)
//     umin..umax            the value as an unsigned 64-bit number
//     smin..smax            the value as a signed 64-bit number
//     u32_min..u32_max      its lower half as an unsigned 32-bit number
//     s32_min..s32_max      its lower half as a signed 32-bit number
//
// Meaning. A Scalar stands for the set of 64-bit values that satisfy all five views at once. Smaller
// sets are lower in the lattice; unknown() is the top; there is no bottom, the functions that can meet
// a contradiction return false instead.
//
// Invariants, which every function here expects and keeps, and sync() establishes:
//   - min <= max in each view, and var_off.value & var_off.mask == 0;
//   - the views agree: the bounds of a word are members of its tnum, the signed and the unsigned
//     bounds say the same where they can, and the halves and the whole bound each other;
//   - so a constant is seen in all views: var_off.is_const() exactly if umin == umax.
// Who writes fields directly (helper return values, packet sizes) calls sync() after that.
//
// Soundness. For every value x in a and y in b:
//   - sync() removes no value of the set it is given;
//   - alu(op, a, b, ...) contains what the instruction computes from x and y;
//   - assume(op, is32, holds, a, b) keeps x in a and y in b if the comparison of x with y has the
//     outcome `holds`; it returns false only if no such x and y exist;
//   - branch_taken() answers Always or Never only if that is so for all x and y;
//   - a.includes(b) implies that every value of b is in a; join() contains both.
// A result may be larger than necessary, never smaller. A path on which a scalar turns out to be empty
// cannot run; alu() on operands that nobody has found to be empty yet may return anything well-formed.
//
// Precision is at least that of Linux 6.1's verifier, mostly more: bounds are rounded to members of
// the tnum, sums use both views at once, multiplication, division, remainder and the bitwise
// operations keep signed bounds.
//
// None of this allocates, blocks or touches anything but its arguments; any context will do.
//
// The domain is a template over the word. The verifier uses Scalar, on u64; tests also instantiate it
// on 8 bits with halves of 4, where all values can be enumerated. "32" in names means "the lower half".
#pragma once

#include "kernel/bpf/range_slice.h"

namespace barebpf {

template <class U>
struct BasicScalar {
    using S = SignedOf<U>;
    using H = HalfOf<U>;
    using SH = SignedOf<H>;

    BasicTnum<U> var_off;
    S smin, smax;
    U umin, umax;
    SH s32_min, s32_max;
    H u32_min, u32_max;

    static constexpr BasicScalar unknown() {
        return join_halves(Slice<U>::unknown(), Slice<H>::unknown());
    }
    static constexpr BasicScalar constant(U word) {
        return join_halves(Slice<U>::constant(word), Slice<H>::constant(H(word)));
    }
    // min <= max.
    static BasicScalar unsigned_range(U min, U max);
    static BasicScalar signed_range(S min, S max);
    static BasicScalar of_tnum(const BasicTnum<U>& tnum);

    constexpr bool is_const() const { return var_off.is_const(); }
    // Of a constant.
    constexpr U value() const { return var_off.value; }
    constexpr bool is_unknown() const { return *this == unknown(); }
    constexpr bool contains(U word) const {
        return var_off.contains(word) && umin <= word && word <= umax && smin <= S(word) &&
               S(word) <= smax && u32_min <= H(word) && H(word) <= u32_max &&
               s32_min <= SH(H(word)) && SH(H(word)) <= s32_max;
    }
    constexpr bool operator==(const BasicScalar&) const = default;

    // Lets each view learn from the others. False: they contradict each other, no value is left, and
    // the fields mean nothing.
    [[nodiscard]] bool sync();

    // For pruning: each value of `other` is in this one. False may just mean that it is hard to see.
    bool includes(const BasicScalar& other) const;
    BasicScalar join(const BasicScalar& other) const;

    // The lowest `bits` bits (1 to the width), as a narrow load or move gives them.
    BasicScalar zero_extend(unsigned bits) const;
    BasicScalar sign_extend(unsigned bits) const;
    // The same, of a 32-bit instruction: sign-extended to 32 bits, then zero-extended.
    BasicScalar sign_extend_half(unsigned bits) const;

    // The whole word, and its lower half as a word of its own; and putting them back, unsynced.
    constexpr Slice<U> all() const { return {var_off, umin, umax, smin, smax}; }
    constexpr Slice<H> low() const { return {var_off.low(), u32_min, u32_max, s32_min, s32_max}; }
    constexpr void set_all(const Slice<U>& slice) {
        var_off = slice.var;
        umin = slice.umin, umax = slice.umax;
        smin = slice.smin, smax = slice.smax;
    }
    constexpr void set_low(const Slice<H>& slice) {
        var_off = var_off.with_low(slice.var);
        u32_min = slice.umin, u32_max = slice.umax;
        s32_min = slice.smin, s32_max = slice.smax;
    }
    // From what is known of the whole and of its lower half; unknown() if that is a contradiction.
    static BasicScalar of_slices(const Slice<U>& all, const Slice<H>& low);
    // A word whose upper half is zero.
    static BasicScalar of_low(const Slice<H>& low);

private:
    static constexpr BasicScalar join_halves(const Slice<U>& all, const Slice<H>& low) {
        BasicScalar made{};
        made.set_all(all);
        made.u32_min = low.umin, made.u32_max = low.umax;
        made.s32_min = low.smin, made.s32_max = low.smax;
        return made;
    }
};

using Scalar = BasicScalar<u64>;

// The result of an ALU instruction. `op` is BPF_OP(code): BPF_ADD ... BPF_ARSH, BPF_MOV, BPF_NEG
// (src is ignored); `off` is the instruction's: 1 makes BPF_DIV and BPF_MOD signed, 8, 16 or 32 makes
// BPF_MOV sign-extend. is64: class BPF_ALU64; otherwise the operands are the lower halves and the
// result is zero-extended. As in RFC 9669, x / 0 is 0, x % 0 is x, the most negative number divided by
// -1 is itself with remainder 0, and shift amounts are taken modulo the width. Any other op (BPF_END
// has no src; see byte_swap and zero_extend) gives unknown().
//
// The two operands are taken to be unrelated: for `r ^= r` and `r -= r` the caller knows better.
template <class U>
BasicScalar<U> alu(u8 op, const BasicScalar<U>& dst, const BasicScalar<U>& src, bool is64,
                   s16 off = 0);

// BPF_END to the other byte order than the machine's: the low `bits` (16, 32, 64) swapped,
// zero-extended. To the machine's own order is zero_extend(bits).
Scalar byte_swap(const Scalar& scalar, unsigned bits);

enum class Taken : u8 { Never, Always, Unknown };

// The outcome of a conditional jump; `op` is BPF_OP(code): BPF_JEQ ... BPF_JSLE. is32: class
// BPF_JMP32, which compares the lower halves.
template <class U>
Taken branch_taken(u8 op, bool is32, const BasicScalar<U>& dst, const BasicScalar<U>& src);

// Narrows both operands to the values with which the condition holds (or fails to, with `holds`
// false). False: there are none, this way cannot be taken, and the operands mean nothing.
template <class U>
[[nodiscard]] bool assume(u8 op, bool is32, bool holds, BasicScalar<U>& dst, BasicScalar<U>& src);

// Both ways at once, for a caller that follows both.
struct Branch {
    bool possible;
    Scalar dst, src;
};
struct Branches {
    Branch taken, not_taken;
};
Branches refine(u8 op, bool is32, const Scalar& dst, const Scalar& src);

// As the verifier's log shows a number: 42 for a constant, otherwise `scalar(` and `)` around the
// fields, in Linux 6.1's form. `id` is the register's, 0 for none.
void print_scalar(TextBuffer& out, const Scalar& scalar, u32 id = 0);
// The fields alone, `umax=255,var_off=(0x0; 0xff)`, each that differs from what is printed anyway;
// with a comma in front of the first if `comma`. For pointers with variable offsets.
void print_scalar_fields(TextBuffer& out, const Scalar& scalar, bool comma);

extern template struct BasicScalar<u64>;
extern template Scalar alu(u8, const Scalar&, const Scalar&, bool, s16);
extern template Taken branch_taken(u8, bool, const Scalar&, const Scalar&);
extern template bool assume(u8, bool, bool, Scalar&, Scalar&);

}  // namespace barebpf
