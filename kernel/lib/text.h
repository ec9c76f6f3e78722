// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Text into memory that the caller owns: the one way in which the core writes logs, disassembly and
// fdinfo. Needs no allocation, no variadic arguments and no host; works in any context.
//
//     char line[64];
//     TextBuffer out(line);
//     out.print("R", 3, "=", hex(value), " off=", offset);
//
// Too little room truncates: what fits is kept, the text stays NUL-terminated, and needed() goes on
// counting, so that a caller can tell how large the buffer should have been. A buffer of size 0
// (with or without memory) only counts.
//
// print() takes any mix of: C strings, Bytes, char, bool (0 or 1), every integer type (decimal),
// and the wrappers hex(), HexDigits, Column below. A type of yours joins in by a function `void
// append_to(TextBuffer&, const YourType&)` in its own namespace.
#pragma once

#include "kernel/lib/annotations.h"
#include "kernel/lib/types.h"

namespace barebpf {

// 0x1f: prefix, lower case, no leading zeros.
struct Hex {
    u64 value;
};
constexpr Hex hex(u64 value) {
    return {value};
}

// 001f: no prefix, lower case, at least `digits` digits (16 at most).
struct HexDigits {
    u64 value;
    u8 digits;
};

// A signed decimal number, right-aligned with spaces in at least `width` characters.
struct Column {
    s64 value;
    u8 width;
};

// Text that has a length instead of a NUL.
struct Bytes {
    const char* data;
    size_t size;
};

class TextBuffer {
public:
    constexpr TextBuffer(char* data, size_t size) : data_(data), size_(size), needed_(0) {
        terminate();
    }
    template <size_t N>
    constexpr explicit TextBuffer(char (&array)[N]) : TextBuffer(array, N) {}

    // The text so far. NUL-terminated, and "" if there is no room for anything.
    constexpr const char* c_str() const { return size_ ? data_ : ""; }
    // Characters kept, without the NUL.
    constexpr size_t length() const { return needed_ < size_ ? needed_ : size_ ? size_ - 1 : 0; }
    // Characters that were to be written, without the NUL.
    constexpr size_t needed() const { return needed_; }
    constexpr bool truncated() const { return needed_ >= size_; }
    constexpr bool empty() const { return needed_ == 0; }

    constexpr void clear() {
        needed_ = 0;
        terminate();
    }

    constexpr void append(char c) {
        if (LIKELY(needed_ + 1 < size_)) {
            data_[needed_] = c;
            data_[needed_ + 1] = '\0';
        }
        ++needed_;
    }
    void append(const char* bytes, size_t count);
    // A null pointer reads "(null)".
    void append(const char* text);
    void append_repeated(char c, size_t count);
    // Spaces until the text is `column` characters long; none if it already is.
    void pad_to(size_t column);

    void append_decimal(u64 value);
    void append_decimal(s64 value);
    void append_hex(u64 value, u8 min_digits = 1);

    // Each argument in turn; see the top of the file.
    template <class... Parts>
    TextBuffer& print(const Parts&... parts) {
        (append_to(*this, parts), ...);
        return *this;
    }

private:
    constexpr void terminate() {
        if (size_) data_[0] = '\0';
    }

    char* data_;
    size_t size_;
    size_t needed_;
};

inline void append_to(TextBuffer& out, const char* text) {
    out.append(text);
}
inline void append_to(TextBuffer& out, Bytes text) {
    out.append(text.data, text.size);
}
inline void append_to(TextBuffer& out, char c) {
    out.append(c);
}
inline void append_to(TextBuffer& out, bool value) {
    out.append(value ? '1' : '0');
}
inline void append_to(TextBuffer& out, unsigned long long value) {
    out.append_decimal(static_cast<u64>(value));
}
inline void append_to(TextBuffer& out, unsigned long value) {
    out.append_decimal(static_cast<u64>(value));
}
inline void append_to(TextBuffer& out, unsigned value) {
    out.append_decimal(static_cast<u64>(value));
}
inline void append_to(TextBuffer& out, unsigned short value) {
    out.append_decimal(static_cast<u64>(value));
}
inline void append_to(TextBuffer& out, unsigned char value) {
    out.append_decimal(static_cast<u64>(value));
}
inline void append_to(TextBuffer& out, long long value) {
    out.append_decimal(static_cast<s64>(value));
}
inline void append_to(TextBuffer& out, long value) {
    out.append_decimal(static_cast<s64>(value));
}
inline void append_to(TextBuffer& out, int value) {
    out.append_decimal(static_cast<s64>(value));
}
inline void append_to(TextBuffer& out, short value) {
    out.append_decimal(static_cast<s64>(value));
}
inline void append_to(TextBuffer& out, signed char value) {
    out.append_decimal(static_cast<s64>(value));
}
inline void append_to(TextBuffer& out, Hex number) {
    out.append("0x", 2);
    out.append_hex(number.value);
}
inline void append_to(TextBuffer& out, HexDigits number) {
    out.append_hex(number.value, number.digits);
}
void append_to(TextBuffer& out, Column number);

}  // namespace barebpf
