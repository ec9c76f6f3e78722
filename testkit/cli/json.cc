// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace barebpf::cli {

namespace {

bool is_member(const Json& value) {
    return value.is_array() && value.elements().size() == 2 && value.elements()[0].is_string();
}

// Length of the UTF-8 character that begins text[at]; 0: none does.
size_t utf8_length(const std::string& text, size_t at) {
    const auto byte = [&](size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
    };
    const auto follows = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
    const unsigned first = byte(at), second = byte(at + 1);
    if (first < 0x80) return 1;
    if (first >= 0xc2 && first <= 0xdf) return follows(at + 1) ? 2 : 0;
    if (first >= 0xe0 && first <= 0xef) {
        const bool overlong = first == 0xe0 && second < 0xa0;
        const bool surrogate = first == 0xed && second > 0x9f;
        return !overlong && !surrogate && follows(at + 1) && follows(at + 2) ? 3 : 0;
    }
    if (first >= 0xf0 && first <= 0xf4) {
        const bool overlong = first == 0xf0 && second < 0x90;
        const bool beyond = first == 0xf4 && second > 0x8f;
        const bool good = follows(at + 1) && follows(at + 2) && follows(at + 3);
        return !overlong && !beyond && good ? 4 : 0;
    }
    return 0;
}

void write_text(std::string* out, const std::string& text) {
    static constexpr char kDigits[] = "0123456789abcdef";
    out->push_back('"');
    for (size_t at = 0; at < text.size();) {
        const size_t length = utf8_length(text, at);
        const auto byte = static_cast<unsigned char>(text[at]);
        if (length == 0) {
            out->append("\\ufffd");
        } else if (byte == '"' || byte == '\\') {
            out->push_back('\\');
            out->push_back(text[at]);
        } else if (byte == '\n') {
            out->append("\\n");
        } else if (byte < 0x20) {
            out->append("\\u00");
            out->push_back(kDigits[byte >> 4]);
            out->push_back(kDigits[byte & 15]);
        } else {
            out->append(text, at, length);
        }
        at += std::max<size_t>(length, 1);
    }
    out->push_back('"');
}

template <class Number>
void write_number(std::string* out, Number number) {
    char text[64];
    out->append(text, std::to_chars(text, text + sizeof text, number).ptr);
}

void new_line(std::string* out, int indent, int depth) {
    if (!indent) return;
    out->push_back('\n');
    out->append(static_cast<size_t>(indent) * static_cast<size_t>(depth), ' ');
}

}  // namespace

Json::Json(std::initializer_list<Json> values) {
    if (!std::all_of(values.begin(), values.end(), is_member)) {
        value_ = Array(values);
        return;
    }
    Object object;
    for (const Json& member : values)
        object.emplace_back(member.elements()[0].text(), member.elements()[1]);
    value_ = std::move(object);
}

bool Json::is_number() const {
    return std::holds_alternative<int64_t>(value_) || std::holds_alternative<uint64_t>(value_) ||
           std::holds_alternative<double>(value_);
}

bool Json::add(const Json& other) {
    if (!is_integer() || !other.is_integer()) return false;
    const auto bits = [](const Json& json) {
        const auto* number = std::get_if<uint64_t>(&json.value_);
        return number ? *number : static_cast<uint64_t>(std::get<int64_t>(json.value_));
    };
    const uint64_t sum = bits(*this) + bits(other);
    if (std::holds_alternative<uint64_t>(value_)) {
        value_ = sum;
    } else {
        value_ = static_cast<int64_t>(sum);
    }
    return true;
}

Json& Json::operator[](const std::string& name) {
    auto& object = std::get<Object>(value_);
    for (auto& [member, value] : object)
        if (member == name) return value;
    return object.emplace_back(name, Json()).second;
}

void Json::update(const Json& other) {
    for (const auto& [name, value] : other.members()) (*this)[name] = value;
}

void Json::write(std::string* out, int indent, int depth) const {
    if (const auto* array = std::get_if<Array>(&value_)) {
        out->push_back('[');
        for (size_t i = 0; i < array->size(); ++i) {
            if (i) out->push_back(',');
            new_line(out, indent, depth + 1);
            (*array)[i].write(out, indent, depth + 1);
        }
        if (!array->empty()) new_line(out, indent, depth);
        out->push_back(']');
    } else if (const auto* object = std::get_if<Object>(&value_)) {
        out->push_back('{');
        for (size_t i = 0; i < object->size(); ++i) {
            if (i) out->push_back(',');
            new_line(out, indent, depth + 1);
            write_text(out, (*object)[i].first);
            out->append(": ");
            (*object)[i].second.write(out, indent, depth + 1);
        }
        if (!object->empty()) new_line(out, indent, depth);
        out->push_back('}');
    } else if (const auto* text = std::get_if<std::string>(&value_)) {
        write_text(out, *text);
    } else if (const auto* truth = std::get_if<bool>(&value_)) {
        out->append(*truth ? "true" : "false");
    } else if (const auto* whole = std::get_if<int64_t>(&value_)) {
        write_number(out, *whole);
    } else if (const auto* natural = std::get_if<uint64_t>(&value_)) {
        write_number(out, *natural);
    } else if (const auto* real = std::get_if<double>(&value_); real && std::isfinite(*real)) {
        write_number(out, *real);
    } else {
        out->append("null");
    }
}

std::string Json::dump(int indent) const {
    std::string out;
    write(&out, indent, 0);
    return out;
}

}  // namespace barebpf::cli
