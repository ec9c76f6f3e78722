// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/data/isa_cases.h"

namespace barebpf::testdata {
namespace {

constexpr const char* kFieldNames[] = {"case",   "about",  "asm",   "code",
                                       "memory", "result", "error", "memory_after"};
constexpr const char* kFaultNames[] = {"", "decode", "flow", "operand"};
constexpr u32 kMaxRepeat = 100000;

Text slice(Text text, u32 from, u32 to) {
    return {text.data + from, to - from};
}

Text trim(Text text) {
    u32 from = 0;
    while (from < text.size && text.data[from] == ' ') ++from;
    return slice(text, from, text.size);
}

// Where `c` is first, or the size.
u32 find(Text text, char c) {
    u32 at = 0;
    while (at < text.size && text.data[at] != c) ++at;
    return at;
}

int digit_of(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

// A decimal count from 1 to kMaxRepeat, or 0 if the text is none.
u32 count_of(Text text) {
    u32 count = 0;
    for (u32 i = 0; i < text.size; ++i) {
        int digit = digit_of(text.data[i]);
        if (digit < 0 || digit > 9 || count > kMaxRepeat) return 0;
        count = count * 10 + static_cast<u32>(digit);
    }
    return count <= kMaxRepeat ? count : 0;
}

bool is_name(Text text) {
    for (u32 i = 0; i < text.size; ++i) {
        char c = text.data[i];
        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '_') return false;
    }
    return text.size > 0;
}

constexpr u32 bit(u32 number) {
    return 1u << number;
}

}  // namespace

bool Text::equals(const char* other) const {
    for (u32 i = 0; i < size; ++i) {
        if (other[i] == '\0' || other[i] != data[i]) return false;
    }
    return other[size] == '\0';
}

bool IsaReader::next_line() {
    if (at_ >= size_) return false;
    line_at_ = at_;
    line_ = slice({text_, size_}, at_, size_);
    line_.size = find(line_, '\n');
    at_ += line_.size;
    if (at_ < size_) ++at_;
    ++line_number_;
    return true;
}

void IsaReader::unread_line() {
    at_ = line_at_;
    --line_number_;
}

Errno IsaReader::fail(Errno error, const char* why) {
    error_line_ = line_number_;
    error_text_ = why;
    at_ = size_;
    return error;
}

Result<bool> IsaReader::next(IsaCase* out) {
    while (next_line()) {
        if (line_.size == 0 || line_.data[0] == '#') continue;
        unread_line();
        TRY(read_record(out));
        return true;
    }
    return false;
}

// Reads fields up to the empty line that ends a record.
Result<void> IsaReader::read_record(IsaCase* out) {
    *out = IsaCase{};
    u32 fields = 0;
    while (next_line() && line_.size > 0) {
        if (line_.data[0] == '#') continue;
        Text value;
        Field field = TRY(split_field(&value));
        u32 number = static_cast<u32>(field);
        if (fields == 0 && field != Field::Case) {
            return fail(Errno::Inval, "a record starts with case:");
        }
        if (fields >= bit(number)) return fail(Errno::Inval, "field twice or out of order");
        fields |= bit(number);
        TRY(read_field(field, value, out));
    }
    return check_record(fields, out);
}

Result<IsaReader::Field> IsaReader::split_field(Text* value) {
    u32 colon = find(line_, ':');
    if (colon == line_.size) return fail(Errno::Inval, "not a field");
    Text key = slice(line_, 0, colon);
    for (u32 i = 0; i < sizeof(kFieldNames) / sizeof(kFieldNames[0]); ++i) {
        if (!key.equals(kFieldNames[i])) continue;
        *value = trim(slice(line_, colon + 1, line_.size));
        return static_cast<Field>(i);
    }
    return fail(Errno::Inval, "unknown field");
}

Result<void> IsaReader::read_field(Field field, Text value, IsaCase* out) {
    switch (field) {
        case Field::Case:
            return read_name(value, out);
        case Field::About:
            out->about = value;
            return {};
        case Field::Result:
            return read_result(value, out);
        case Field::Error:
            return read_error(value, out);
        default:
            return read_lines(field, value, out);
    }
}

// The fields whose value goes on in indented lines.
Result<void> IsaReader::read_lines(Field field, Text value, IsaCase* out) {
    bool is_asm = field == Field::Asm, is_code = field == Field::Code;
    u8* to = is_code ? buffers_.code : buffers_.memory;
    if (field == Field::MemoryAfter) to += buffers_.memory_size;
    u32 room = is_code ? buffers_.code_size : buffers_.memory_size;
    u32 used = 0, start = at_, end = at_;
    if (is_asm && value.size) return fail(Errno::Inval, "asm starts on a line of its own");
    if (!is_asm) TRY(read_bytes(value, to, room, &used));
    while (next_line()) {
        if (line_.size == 0 || line_.data[0] != ' ') {
            unread_line();
            break;
        }
        end = at_;
        if (!is_asm) TRY(read_bytes(line_, to, room, &used));
    }
    if (is_asm) {
        out->asm_text = slice({text_, size_}, start, end);
    } else if (is_code) {
        out->code = {to, used};
    } else {
        (field == Field::Memory ? out->memory : out->memory_after) = {to, used};
    }
    return {};
}

// Tokens parted by spaces.
Result<void> IsaReader::read_bytes(Text value, u8* to, u32 room, u32* used) {
    for (Text rest = trim(value); rest.size > 0;) {
        u32 end = find(rest, ' ');
        TRY(read_token(slice(rest, 0, end), to, room, used));
        rest = trim(slice(rest, end, rest.size));
    }
    return {};
}

// Pairs of hex digits, and *N to say them N times.
Result<void> IsaReader::read_token(Text token, u8* to, u32 room, u32* used) {
    u32 star = find(token, '*'), bytes = star / 2, count = 1;
    if (star == 0 || star % 2) return fail(Errno::Inval, "hex digits come in pairs");
    if (star < token.size) count = count_of(slice(token, star + 1, token.size));
    if (count == 0) return fail(Errno::Inval, "bad count after *");
    if (u64{bytes} * count > room - *used) return fail(Errno::NoSpc, "larger than the buffer");
    u8* first = to + *used;
    for (u32 i = 0; i < bytes; ++i) {
        int high = digit_of(token.data[2 * i]), low = digit_of(token.data[2 * i + 1]);
        if (high < 0 || low < 0) return fail(Errno::Inval, "not a hex digit");
        first[i] = static_cast<u8>(high << 4 | low);
    }
    for (u32 i = bytes; i < bytes * count; ++i) first[i] = first[i - bytes];
    *used += bytes * count;
    return {};
}

Result<void> IsaReader::read_name(Text value, IsaCase* out) {
    if (!is_name(value)) return fail(Errno::Inval, "a name has a-z, 0-9 and _");
    out->name = value;
    out->line = line_number_;
    return {};
}

Result<void> IsaReader::read_result(Text value, IsaCase* out) {
    if (value.size == 0 || value.size > 16) return fail(Errno::Inval, "not a 64-bit hex number");
    for (u32 i = 0; i < value.size; ++i) {
        int digit = digit_of(value.data[i]);
        if (digit < 0) return fail(Errno::Inval, "not a 64-bit hex number");
        out->result = out->result << 4 | static_cast<u64>(digit);
    }
    return {};
}

Result<void> IsaReader::read_error(Text value, IsaCase* out) {
    Text stage = slice(value, 0, find(value, ' '));
    for (u8 i = 1; i < sizeof(kFaultNames) / sizeof(kFaultNames[0]); ++i) {
        if (stage.equals(kFaultNames[i])) out->fault = static_cast<IsaFault>(i);
    }
    if (out->fault == IsaFault::None) return fail(Errno::Inval, "not decode, flow or operand");
    out->reason = trim(slice(value, stage.size, value.size));
    if (out->reason.size == 0) return fail(Errno::Inval, "an error has a reason");
    return {};
}

Result<void> IsaReader::check_record(u32 fields, IsaCase* out) {
    auto has = [fields](Field field) { return (fields >> static_cast<u32>(field) & 1) != 0; };
    if (has(Field::Result) == has(Field::Error)) {
        return fail(Errno::Inval, "a record has either result: or error:");
    }
    if (out->code.size == 0 || out->code.size % 8) {
        return fail(Errno::Inval, "code is whole instructions, at least one");
    }
    if (!has(Field::MemoryAfter)) {
        out->memory_after = out->memory;
    } else if (has(Field::Error) || out->memory_after.size != out->memory.size) {
        return fail(Errno::Inval, "memory_after goes with a memory of its size");
    }
    return {};
}

bool next_asm_line(Text* rest, Text* line, u32* count) {
    if (rest->size == 0) return false;
    u32 end = find(*rest, '\n');
    *line = trim(slice(*rest, 0, end));
    *rest = slice(*rest, end < rest->size ? end + 1 : end, rest->size);
    *count = 1;
    u32 space = find(*line, ' ');
    u32 repeat = count_of(slice(*line, 0, space));
    if (repeat && space + 3 <= line->size && line->data[space + 1] == 'x') {
        *count = repeat;
        *line = trim(slice(*line, space + 2, line->size));
    }
    return true;
}

}  // namespace barebpf::testdata
