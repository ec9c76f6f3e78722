// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Construction in place without <new>, which not every freestanding tool chain carries.
//
//     T* object = construct_at<T>(memory, arguments...);
#pragma once

#include "kernel/lib/types.h"

namespace barebpf {
struct PlaceTag {};
}  // namespace barebpf

constexpr void* operator new(size_t, void* where, barebpf::PlaceTag) noexcept {
    return where;
}
constexpr void operator delete(void*, void*, barebpf::PlaceTag) noexcept {}

namespace barebpf {

template <class T>
constexpr T&& move(T& value) {
    return static_cast<T&&>(value);
}

template <class T, class... Args>
T* construct_at(void* where, Args&&... args) {
    return new (where, PlaceTag{}) T(static_cast<Args&&>(args)...);
}

}  // namespace barebpf
