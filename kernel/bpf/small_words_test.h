// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// For tests: words of 8 and of 4 bits, narrow enough to try every value, so that the scalar domain's
// algorithms (which are templates over the word) can be held against the truth.
#pragma once

#include "kernel/bpf/width.h"

namespace barebpf::test {

// A 4-bit integer that, as C++'s own narrow integers do, computes as int and wraps when converted.
template <bool kIsSigned>
class Nibble {
public:
    constexpr Nibble() : bits_(0) {}
    template <class Integer>
    constexpr Nibble(Integer value) : bits_(static_cast<u8>(value & 15)) {}  // NOLINT(implicit)
    constexpr operator int() const { return kIsSigned && bits_ > 7 ? bits_ - 16 : bits_; }

private:
    u8 bits_;
};

using u4 = Nibble<false>;
using s4 = Nibble<true>;

}  // namespace barebpf::test

namespace barebpf {

template <>
struct Width<u8> {
    using Signed = s8;
    using Half = test::u4;
    static constexpr unsigned kBits = 8;
};

template <>
struct Width<test::u4> {
    using Signed = test::s4;
    using Half = test::u4;
    static constexpr unsigned kBits = 4;
};

}  // namespace barebpf
