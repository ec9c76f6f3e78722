// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// For tests of the scalar domain: what the instructions do to words of any width, in arithmetic wide
// enough never to wrap by itself, and random scalars that are known to hold certain words.
#pragma once

#include "kernel/bpf/range.h"
#include "kernel/bpf/width.h"
#include "uapi/linux/bpf.h"

namespace barebpf::test {

class Random {
public:
    explicit Random(u64 seed) : state_(seed * 2 + 1) {}
    u64 next() {  // xorshift64*, Vigna 2014
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return state_ * 0x2545f4914f6cdd1d;
    }
    u64 below(u64 limit) { return (next() >> 8) % limit; }
    bool chance(u64 one_in) { return below(one_in) == 0; }

    // Words near the places where something wraps or changes sign turn up often.
    template <class U>
    U word() {
        constexpr unsigned kBits = kBitsOf<U>;
        u64 made = next();
        switch (below(6)) {
            case 0:
                break;
            case 1:
                made &= (u64{1} << below(kBits)) - 1;
                break;
            case 2:
                made = ~(made & ((u64{1} << below(kBits)) - 1));
                break;
            case 3:
                made = (u64{1} << below(kBits)) - 2 + below(4);
                break;
            case 4:
                made = (u64{1} << (kBits - 1)) - 4 + below(8);
                break;
            default:
                made = (made << (kBits / 2)) + below(16) - 8;
                break;
        }
        return static_cast<U>(made);
    }

private:
    u64 state_;
};

// A word as an integer that holds it without wrapping, signed or not.
using Wide = __int128;

template <class U>
Wide wide(U word, bool is_signed) {
    const Wide value = static_cast<Wide>(static_cast<u64>(word));
    const Wide modulus = Wide{1} << kBitsOf<U>;
    return is_signed && value >= modulus / 2 ? value - modulus : value;
}

template <class U>
U narrow_word(Wide value) {
    const Wide modulus = Wide{1} << kBitsOf<U>;
    return static_cast<U>(static_cast<u64>((value % modulus + modulus) % modulus));
}

template <class U>
U concrete_word(u8 op, U x, U y, s16 off) {
    const bool is_signed = off == 1 && (op == BPF_DIV || op == BPF_MOD);
    const Wide a = wide(x, is_signed), b = wide(y, is_signed);
    const int amount = static_cast<int>(wide(y, false) % kBitsOf<U>);
    switch (op) {
        case BPF_ADD:
            return narrow_word<U>(a + b);
        case BPF_SUB:
            return narrow_word<U>(a - b);
        case BPF_MUL: {  // by halves, for the product of two 64-bit words needs 128 unsigned bits
            const Wide low = a * (b & 0xffffffff), high = a * (b >> 32) % (Wide{1} << 64);
            return narrow_word<U>(low + (high << 32) % (Wide{1} << 64));
        }
        case BPF_DIV:
            return narrow_word<U>(b == 0 ? 0 : a / b);
        case BPF_MOD:
            return narrow_word<U>(b == 0 ? a : a % b);
        case BPF_OR:
            return narrow_word<U>(a | b);
        case BPF_AND:
            return narrow_word<U>(a & b);
        case BPF_XOR:
            return narrow_word<U>(a ^ b);
        case BPF_NEG:
            return narrow_word<U>(-a);
        case BPF_LSH:
            return narrow_word<U>((a << (amount / 2)) % (Wide{1} << 64) << (amount - amount / 2));
        case BPF_RSH:
            return narrow_word<U>(a >> amount);
        case BPF_ARSH:
            return narrow_word<U>(wide(x, true) >> amount);
        default: {  // BPF_MOV
            if (off == 0) return y;
            const Wide modulus = Wide{1} << off, low = wide(y, false) % modulus;
            return narrow_word<U>(low >= modulus / 2 ? low - modulus : low);
        }
    }
}

template <class U>
U concrete_alu(u8 op, U x, U y, bool is64, s16 off) {
    using H = HalfOf<U>;
    return is64 ? concrete_word<U>(op, x, y, off)
                : static_cast<U>(static_cast<u64>(concrete_word<H>(op, H(x), H(y), off)));
}

template <class U>
bool concrete_condition(u8 op, U x, U y) {
    const Wide a = wide(x, false), b = wide(y, false);
    const Wide signed_a = wide(x, true), signed_b = wide(y, true);
    switch (op) {
        case BPF_JEQ:
            return a == b;
        case BPF_JNE:
            return a != b;
        case BPF_JGT:
            return a > b;
        case BPF_JGE:
            return a >= b;
        case BPF_JLT:
            return a < b;
        case BPF_JLE:
            return a <= b;
        case BPF_JSGT:
            return signed_a > signed_b;
        case BPF_JSGE:
            return signed_a >= signed_b;
        case BPF_JSLT:
            return signed_a < signed_b;
        case BPF_JSLE:
            return signed_a <= signed_b;
        default:
            return (a & b) != 0;  // BPF_JSET
    }
}

template <class U>
bool concrete_jump(u8 op, U x, U y, bool is32) {
    using H = HalfOf<U>;
    return is32 ? concrete_condition<H>(op, H(x), H(y)) : concrete_condition<U>(op, x, y);
}

struct AluCase {
    u8 op;
    s16 off;
};
inline constexpr AluCase kAluCases[] = {
    {BPF_ADD, 0}, {BPF_SUB, 0}, {BPF_MUL, 0}, {BPF_DIV, 0},  {BPF_DIV, 1},
    {BPF_MOD, 0}, {BPF_MOD, 1}, {BPF_OR, 0},  {BPF_AND, 0},  {BPF_XOR, 0},
    {BPF_NEG, 0}, {BPF_LSH, 0}, {BPF_RSH, 0}, {BPF_ARSH, 0}, {BPF_MOV, 0},
};
inline constexpr u8 kJumpOps[] = {BPF_JEQ,  BPF_JNE,  BPF_JGT,  BPF_JGE,  BPF_JLT, BPF_JLE,
                                  BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE, BPF_JSET};

// A scalar with both words in it, before sync(): some of its views are cut to a random interval, or
// random bits, around them.
template <class U>
BasicScalar<U> random_unsynced(Random& random, U x, U y) {
    using H = HalfOf<U>;
    const auto cut = [&random](auto& slice, auto a, auto b) {
        using W = decltype(a);
        using S = SignedOf<W>;
        const W c = random.chance(2) ? a : random.word<W>(),
                d = random.chance(2) ? b : random.word<W>();
        if (random.chance(2)) {
            slice.keep_unsigned(least(least(a, b), least(c, d)),
                                greatest(greatest(a, b), greatest(c, d)));
        }
        if (random.chance(2)) {
            slice.keep_signed(least(least(S(a), S(b)), least(S(c), S(d))),
                              greatest(greatest(S(a), S(b)), greatest(S(c), S(d))));
        }
    };
    BasicScalar<U> made = BasicScalar<U>::unknown();
    Slice<U> all = made.all();
    Slice<H> low = made.low();
    cut(all, x, y);
    cut(low, H(x), H(y));
    if (random.chance(2)) {
        const U noise = random.chance(3)   ? U(0)
                        : random.chance(2) ? random.word<U>()
                                           : U(random.word<U>() & random.word<U>());
        const U unknown = U((x ^ y) | noise);
        all.var = {U(x & ~unknown), unknown};
    }
    made.set_all(all);
    low.var = made.var_off.low();
    made.set_low(low);
    return made;
}

template <class U>
bool well_formed(const BasicScalar<U>& s) {
    return s.umin <= s.umax && s.smin <= s.smax && s.u32_min <= s.u32_max &&
           s.s32_min <= s.s32_max && U(s.var_off.value & s.var_off.mask) == 0 &&
           s.is_const() == (s.umin == s.umax);
}

}  // namespace barebpf::test
