// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/lib/text.h"

namespace barebpf {
namespace {

constexpr size_t kMaxDigits = 20;  // of 2^64 - 1 in decimal

// Digits are made from the right; the number's text ends where `digits` ends.
class Digits {
public:
    Digits(u64 value, u64 base, u8 min_digits) {
        do {
            push("0123456789abcdef"[value % base]);
            value /= base;
        } while (value);
        while (size() < min_digits) push('0');
    }
    const char* data() const { return first_; }
    size_t size() const { return static_cast<size_t>(digits_ + kMaxDigits - first_); }

private:
    void push(char c) { *--first_ = c; }

    char digits_[kMaxDigits];
    char* first_ = digits_ + kMaxDigits;
};

u64 magnitude(s64 value) {
    return value < 0 ? 0 - static_cast<u64>(value) : static_cast<u64>(value);
}

}  // namespace

void TextBuffer::append(const char* bytes, size_t count) {
    const size_t kept = length();
    const size_t room = size_ > needed_ ? size_ - 1 - kept : 0;
    const size_t fits = count < room ? count : room;
    if (fits) {
        __builtin_memcpy(data_ + kept, bytes, fits);
        data_[kept + fits] = '\0';
    }
    needed_ += count;
}

void TextBuffer::append(const char* text) {
    if (!text) text = "(null)";
    size_t count = 0;
    while (text[count]) ++count;
    append(text, count);
}

void TextBuffer::append_repeated(char c, size_t count) {
    while (count--) append(c);
}

void TextBuffer::pad_to(size_t column) {
    if (needed_ < column) append_repeated(' ', column - needed_);
}

void TextBuffer::append_decimal(u64 value) {
    const Digits digits(value, 10, 1);
    append(digits.data(), digits.size());
}

void TextBuffer::append_decimal(s64 value) {
    if (value < 0) append('-');
    append_decimal(magnitude(value));
}

void TextBuffer::append_hex(u64 value, u8 min_digits) {
    const Digits digits(value, 16, min_digits < 16 ? min_digits : 16);
    append(digits.data(), digits.size());
}

void append_to(TextBuffer& out, Column number) {
    const Digits digits(magnitude(number.value), 10, 1);
    const size_t used = digits.size() + (number.value < 0);
    if (used < number.width) out.append_repeated(' ', number.width - used);
    out.append_decimal(number.value);
}

}  // namespace barebpf
