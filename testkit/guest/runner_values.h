// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Values as a failed expectation prints them, and the text that a test adds with <<.
#pragma once

#include <string>
#include <type_traits>

#include "kernel/lib/types.h"

namespace testing::internal {

std::string decimal(barebpf::u64 number, bool negative);
std::string hexadecimal(barebpf::u64 number);
std::string quoted(const char* text, size_t length);
std::string bytes_of(const void* object, size_t size);

template <class T>
std::string number_text(T value) {
    using barebpf::u64;
    bool negative = false;
    if constexpr (std::is_signed_v<T>) negative = value < 0;
    return decimal(negative ? u64{0} - static_cast<u64>(value) : static_cast<u64>(value), negative);
}

template <class T>
concept Iterable = requires(const T& container) {
    container.begin();
    container.end();
};
template <class T>
concept Paired = requires(const T& pair) {
    pair.first;
    pair.second;
};
template <class T>
concept IsText = std::is_convertible_v<const T&, const char*>;

template <class T>
std::string show(const T& value);

template <class T>
std::string show_list(const T& container) {
    std::string text = "{";
    size_t count = 0;
    for (const auto& element : container) {
        if (++count > 32) return text + " ... }";
        text += (count > 1 ? ", " : " ") + show(element);
    }
    return text + " }";
}

// For messages about wrong values: strings in quotes, large numbers in hexadecimal too, containers by their
// elements, and bytes where nothing better is known.
template <class T>
std::string show(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
        return value ? "true" : "false";
    } else if constexpr (std::is_same_v<T, std::nullptr_t>) {
        return "null";
    } else if constexpr (std::is_enum_v<T>) {
        return number_text(static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (std::is_integral_v<T>) {
        const auto bits = static_cast<barebpf::u64>(value);
        return number_text(value) + (bits > 99 ? " (" + hexadecimal(bits) + ")" : "");
    } else if constexpr (std::is_same_v<T, std::string>) {
        return quoted(value.data(), value.size());
    } else if constexpr (IsText<T>) {
        const char* text = value;
        return text ? quoted(text, __builtin_strlen(text)) : "null";
    } else if constexpr (std::is_pointer_v<T>) {
        return value ? hexadecimal(reinterpret_cast<barebpf::u64>(value)) : "null";
    } else if constexpr (Iterable<T>) {
        return show_list(value);
    } else if constexpr (Paired<T>) {
        return "(" + show(value.first) + ", " + show(value.second) + ")";
    } else {
        return bytes_of(&value, sizeof value);
    }
}

}  // namespace testing::internal

namespace testing {

// What is said with << behind an expectation: text as it is, everything else as show() writes it, but numbers
// in decimal only.
class Message {
public:
    template <class T>
    Message& operator<<(const T& value) {
        if constexpr (std::is_same_v<T, std::string>) {
            text_ += value;
        } else if constexpr (internal::IsText<T>) {
            const char* text = value;
            text_ += text ? text : "(null)";
        } else if constexpr (std::is_same_v<T, char>) {
            text_ += value;
        } else if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
            text_ += internal::number_text(value);
        } else {
            text_ += internal::show(value);
        }
        return *this;
    }
    const std::string& text() const { return text_; }

private:
    std::string text_;
};

template <class T>
std::string PrintToString(const T& value) {
    return internal::show(value);
}

}  // namespace testing
