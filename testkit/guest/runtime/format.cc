// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// snprintf() for integers (d i u x X o c p), strings and %%, with the flags '-', '0', '#', '+' and ' ', width,
// precision and the length modifiers hh h l ll j z t. Anything else ends the run: a test would print nonsense.
//
// Context: any.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "testkit/guest/arch.h"

namespace {

struct Sink {
    char* to;
    size_t size;
    size_t length = 0;  // that it would need

    void put(char c) {
        if (length + 1 < size) to[length] = c;
        ++length;
    }
    void put(const char* text, size_t count) {
        for (size_t i = 0; i < count; ++i) put(text[i]);
    }
    void repeat(char c, size_t count) {
        while (count--) put(c);
    }
};

// One conversion: %[flags][width][.precision][length]letter
struct Spec {
    bool left = false, zero = false, alternative = false, plus = false, space = false;
    size_t width = 0;
    bool has_precision = false;
    size_t precision = 0;
    unsigned bytes = sizeof(int);  // of the argument
    char letter = 0;
};

bool take_flag(char c, Spec* spec) {
    switch (c) {
        case '-':
            return spec->left = true;
        case '0':
            return spec->zero = true;
        case '#':
            return spec->alternative = true;
        case '+':
            return spec->plus = true;
        case ' ':
            return spec->space = true;
        default:
            return false;
    }
}

size_t take_number(const char*& at) {
    size_t number = 0;
    for (; *at >= '0' && *at <= '9'; ++at) number = number * 10 + static_cast<size_t>(*at - '0');
    return number;
}

void take_length(const char*& at, Spec* spec) {
    for (;; ++at) {
        if (*at == 'h') {
            spec->bytes = spec->bytes == 2 ? 1 : 2;
        } else if (*at == 'l' || *at == 'j' || *at == 'z' || *at == 't') {
            spec->bytes = 8;
        } else {
            return;
        }
    }
}

// A number's prefix and digits in their field.
void put_field(Sink& out, const Spec& spec, const char* prefix, size_t prefix_size,
               const char* text, size_t size) {
    const size_t zeros = spec.has_precision && spec.precision > size ? spec.precision - size : 0;
    size_t used = prefix_size + zeros + size;
    const size_t pad = spec.width > used ? spec.width - used : 0;
    const bool zero_pad = spec.zero && !spec.left && !spec.has_precision;
    if (!spec.left && !zero_pad) out.repeat(' ', pad);
    out.put(prefix, prefix_size);
    if (zero_pad) out.repeat('0', pad);
    out.repeat('0', zeros);
    out.put(text, size);
    if (spec.left) out.repeat(' ', pad);
}

void put_number(Sink& out, const Spec& spec, uint64_t number, const char* prefix,
                size_t prefix_size) {
    const unsigned base = spec.letter == 'x' || spec.letter == 'X' || spec.letter == 'p' ? 16
                          : spec.letter == 'o'                                           ? 8
                                                                                         : 10;
    const char* digits = spec.letter == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[24];
    char* at = text + sizeof text;
    for (; number; number /= base) *--at = digits[number % base];
    if (at == text + sizeof text && !(spec.has_precision && spec.precision == 0)) *--at = '0';
    put_field(out, spec, prefix, prefix_size, at, static_cast<size_t>(text + sizeof text - at));
}

int64_t sign_extend(uint64_t number, unsigned bytes) {
    const unsigned unused = 64 - bytes * 8;
    return static_cast<int64_t>(number << unused) >> unused;
}

void put_signed(Sink& out, const Spec& spec, uint64_t argument) {
    const int64_t number = sign_extend(argument, spec.bytes);
    const uint64_t size =
        number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
    const char* prefix = number < 0 ? "-" : spec.plus ? "+" : spec.space ? " " : "";
    put_number(out, spec, size, prefix, *prefix ? 1 : 0);
}

void put_unsigned(Sink& out, const Spec& spec, uint64_t argument) {
    const unsigned unused = 64 - spec.bytes * 8;
    const uint64_t number = argument << unused >> unused;
    const bool hex =
        spec.letter == 'p' || (spec.alternative && number && (spec.letter | 32) == 'x');
    put_number(out, spec, number, spec.letter == 'X' ? "0X" : "0x", hex ? 2 : 0);
}

void put_string(Sink& out, const Spec& spec, const char* text) {
    if (!text) text = "(null)";
    size_t size = 0;
    while ((!spec.has_precision || size < spec.precision) && text[size]) ++size;
    Spec field = spec;
    field.zero = field.has_precision = false;
    put_field(out, field, "", 0, text, size);
}

}  // namespace

extern "C" {

int vsnprintf(char* to, size_t size, const char* format, va_list arguments) {
    Sink out{to, size};
    for (const char* at = format; *at; ++at) {
        if (*at != '%') {
            out.put(*at);
            continue;
        }
        Spec spec;
        for (++at; take_flag(*at, &spec);) ++at;
        if (*at == '*') {
            const int width = va_arg(arguments, int);
            spec.left |= width < 0;
            spec.width = static_cast<size_t>(width < 0 ? -width : width);
            ++at;
        } else {
            spec.width = take_number(at);
        }
        if (*at == '.') {
            ++at;
            const bool star = *at == '*';
            const int given = star ? va_arg(arguments, int) : static_cast<int>(take_number(at));
            if (star) ++at;
            spec.has_precision = given >= 0;
            spec.precision = given < 0 ? 0 : static_cast<size_t>(given);
        }
        take_length(at, &spec);
        spec.letter = *at;
        const auto number = [&] {
            return spec.bytes == 8 ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned);
        };
        switch (spec.letter) {
            case 'd':
            case 'i':
                put_signed(out, spec, number());
                break;
            case 'u':
            case 'x':
            case 'X':
            case 'o':
                put_unsigned(out, spec, number());
                break;
            case 'p':
                spec.bytes = 8;
                put_unsigned(out, spec, number());
                break;
            case 'c': {
                const char c = static_cast<char>(va_arg(arguments, int));
                spec.has_precision = spec.zero = false;
                put_field(out, spec, "", 0, &c, 1);
                break;
            }
            case 's':
                put_string(out, spec, va_arg(arguments, const char*));
                break;
            case '%':
                out.put('%');
                break;
            default:
                barebpf::guest::fail("snprintf: a conversion that the guest does not know");
        }
    }
    if (size) to[out.length < size ? out.length : size - 1] = '\0';
    return static_cast<int>(out.length);
}

int snprintf(char* to, size_t size, const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(to, size, format, arguments);
    va_end(arguments);
    return length;
}

}  // extern "C"
