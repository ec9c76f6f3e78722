// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The few concepts and traits that the core needs, without <concepts> and <type_traits>.
#pragma once

namespace barebpf {

namespace detail {
template <class A, class B>
inline constexpr bool kSame = false;
template <class A>
inline constexpr bool kSame<A, A> = true;
}  // namespace detail

template <class A, class B>
concept SameAs = detail::kSame<A, B>;

template <class T>
concept TriviallyCopyable = __is_trivially_copyable(T);

}  // namespace barebpf
