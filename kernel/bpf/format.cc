// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/format.h"

#include "kernel/host/usercopy.h"

namespace barebpf {
namespace {

enum class Conversion : u8 {
    Signed,
    Unsigned,
    HexLower,
    HexUpper,
    Character,
    String,
    Pointer,     // hidden behind a hash, as %p has to be
    RawPointer,  // %px
    Symbol,      // %ps %pS %pB: the address, for want of a symbol table
    Ipv4,
    Ipv6,
    Ipv6Short,
};

struct Specifier {
    Conversion conversion;
    u8 bytes = 4;  // width of an integer argument
    u16 width = 0;
    bool zero_padded = false;
    bool left = false;
    bool plus = false;
    bool space = false;
};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}
bool is_printable(char c) {
    return c >= ' ' && c <= '~';
}
bool ends_plain_pointer(char c) {
    const bool alphanumeric = is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return c == '\0' || is_space(c) || (is_printable(c) && !alphanumeric);
}

// Reads the specifier behind a '%'; returns the character after it, or null.
class Parser {
public:
    explicit Parser(const char* at) : at_(at) {}

    const char* parse(Specifier* out) {
        flags(out);
        if (*at_ == 'p') return ++at_, pointer(out);
        if (*at_ == 's') return simple(out, Conversion::String);
        if (*at_ == 'c') return simple(out, Conversion::Character);
        if (*at_ == 'l') out->bytes = 8, ++at_;
        if (out->bytes == 8 && *at_ == 'l') ++at_;
        switch (*at_) {
            case 'd':
            case 'i':
                return simple(out, Conversion::Signed);
            case 'u':
                return simple(out, Conversion::Unsigned);
            case 'x':
                return simple(out, Conversion::HexLower);
            case 'X':
                return simple(out, Conversion::HexUpper);
            default:
                return nullptr;
        }
    }

private:
    void flags(Specifier* out) {
        for (;; ++at_) {
            if (*at_ == '0') {
                out->zero_padded = true;
            } else if (*at_ == '+') {
                out->plus = true;
            } else if (*at_ == '-') {
                out->left = true;
            } else if (*at_ == ' ') {
                out->space = true;
            } else {
                break;
            }
        }
        for (; is_digit(*at_); ++at_) {
            if (out->width < 1000) out->width = u16(out->width * 10 + (*at_ - '0'));
        }
    }
    const char* simple(Specifier* out, Conversion conversion) {
        out->conversion = conversion;
        return at_ + 1;
    }
    const char* pointer(Specifier* out) {
        out->bytes = 8;
        const char kind = *at_;
        if ((kind == 'k' || kind == 'u') && at_[1] == 's') {
            ++at_;
            return simple(out, Conversion::String);
        }
        if (kind == 'x') return simple(out, Conversion::RawPointer);
        if (kind == 'K') return simple(out, Conversion::Pointer);
        if (kind == 's' || kind == 'S' || kind == 'B') return simple(out, Conversion::Symbol);
        if (kind == 'i' || kind == 'I') {
            ++at_;
            if (*at_ == '4') return simple(out, Conversion::Ipv4);
            if (*at_ != '6') return nullptr;
            return simple(out, kind == 'i' ? Conversion::Ipv6 : Conversion::Ipv6Short);
        }
        if (!ends_plain_pointer(kind)) return nullptr;
        out->conversion = Conversion::Pointer;
        return at_;
    }

    const char* at_;
};

// A one-way mix: equal pointers look equal, and the address cannot be read off.
u64 hide_pointer(u64 address) {
    address ^= address >> 32;
    address *= 0xd6e8feb86659fd93;
    address ^= address >> 32;
    address *= 0xd6e8feb86659fd93;
    return u32(address ^ address >> 32);
}

void put_padded(TextBuffer* out, const Specifier& spec, const char* sign, Bytes body) {
    const size_t sign_length = *sign ? 1 : 0;
    const size_t used = body.size + sign_length;
    const size_t padding = spec.width > used ? spec.width - used : 0;
    const bool zeros = spec.zero_padded && !spec.left;
    if (!spec.left && !zeros) out->append_repeated(' ', padding);
    out->append(sign);
    if (zeros) out->append_repeated('0', padding);
    out->append(body.data, body.size);
    if (spec.left) out->append_repeated(' ', padding);
}

void put_integer(TextBuffer* out, const Specifier& spec, u64 argument) {
    char digits[24];
    TextBuffer text(digits);
    const char* sign = "";
    if (spec.conversion == Conversion::Signed) {
        const s64 value = spec.bytes == 8 ? s64(argument) : s64{s32(argument)};
        sign = value < 0 ? "-" : spec.plus ? "+" : spec.space ? " " : "";
        text.append_decimal(value < 0 ? u64(0) - u64(value) : u64(value));
    } else {
        const u64 value = spec.bytes == 8 ? argument : u32(argument);
        if (spec.conversion == Conversion::Unsigned) {
            text.append_decimal(value);
        } else {
            text.append_hex(value);
        }
    }
    if (spec.conversion == Conversion::HexUpper) {
        for (char* c = digits; *c; ++c) {
            if (*c >= 'a') *c = char(*c - 'a' + 'A');
        }
    }
    put_padded(out, spec, sign, {digits, text.length()});
}

void put_string(TextBuffer* out, const Specifier& spec, u64 address) {
    char text[128];
    u32 length = 0;
    // Byte by byte: the string may end right before memory that cannot be read.
    while (length < sizeof text && host::read_nofault(text + length, address + length, 1) &&
           text[length]) {
        ++length;
    }
    put_padded(out, spec, "", {text, length});
}

void put_ipv4(TextBuffer* out, const u8* bytes) {
    out->print(bytes[0], '.', bytes[1], '.', bytes[2], '.', bytes[3]);
}

// RFC 5952: the longest run of two or more zero groups, the first of equals, becomes "::".
void put_ipv6_short(TextBuffer* out, const u8* bytes) {
    auto group = [bytes](u32 i) { return u32{bytes[2 * i]} << 8 | bytes[2 * i + 1]; };
    u32 best = 8, best_length = 1;
    for (u32 i = 0; i < 8; ++i) {
        u32 end = i;
        while (end < 8 && group(end) == 0) ++end;
        if (end - i > best_length) best = i, best_length = end - i;
    }
    for (u32 i = 0; i < 8;) {
        if (i == best) {
            out->append("::");
            i += best_length;
            continue;
        }
        if (i != 0 && i != best + best_length) out->append(':');
        out->append_hex(group(i++));
    }
}

void put_address(TextBuffer* out, const Specifier& spec, u64 argument) {
    u8 bytes[16];
    const u32 size = spec.conversion == Conversion::Ipv4 ? 4 : 16;
    if (!host::read_nofault(bytes, argument, size)) {
        out->append("(fault)");
    } else if (spec.conversion == Conversion::Ipv4) {
        put_ipv4(out, bytes);
    } else if (spec.conversion == Conversion::Ipv6Short) {
        put_ipv6_short(out, bytes);
    } else {
        for (u32 i = 0; i < 16; ++i) out->print(HexDigits{bytes[i], 2});
    }
}

void put(TextBuffer* out, const Specifier& spec, u64 argument) {
    switch (spec.conversion) {
        case Conversion::Character: {
            const char c = char(argument);
            return put_padded(out, spec, "", {&c, 1});
        }
        case Conversion::String:
            return put_string(out, spec, argument);
        case Conversion::Pointer:
            return out->append_hex(hide_pointer(argument), 16);
        case Conversion::RawPointer:
            return out->append_hex(argument, 16);
        case Conversion::Symbol:
            out->print(hex(argument));
            return;
        case Conversion::Ipv4:
        case Conversion::Ipv6:
        case Conversion::Ipv6Short:
            return put_address(out, spec, argument);
        default:
            return put_integer(out, spec, argument);
    }
}

// With arguments null only checks.
Result<void> walk(TextBuffer* out, const char* format, u32 size, const u64* arguments, u32 count) {
    u32 length = 0;
    while (length < size && format[length]) ++length;
    if (length == size) return Errno::Inval;

    u32 used = 0;
    for (const char* c = format; *c;) {
        if (!is_printable(*c) && !is_space(*c)) return Errno::Inval;
        if (*c != '%' || c[1] == '%') {
            if (arguments) out->append(*c);
            c += *c == '%' ? 2 : 1;
            continue;
        }
        if (used >= count) return Errno::Inval;
        Specifier spec{};
        c = Parser(c + 1).parse(&spec);
        if (!c) return Errno::Inval;
        if (arguments) put(out, spec, arguments[used]);
        ++used;
    }
    return {};
}

}  // namespace

Result<void> check_format(const char* format, u32 size, u32 argument_count) {
    return walk(nullptr, format, size, nullptr, argument_count);
}

Result<void> format_text(TextBuffer* out, const char* format, u32 size, const u64* arguments,
                         u32 argument_count) {
    TRY(check_format(format, size, argument_count));
    const u64 none = 0;
    return walk(out, format, size, arguments ? arguments : &none, argument_count);
}

}  // namespace barebpf
