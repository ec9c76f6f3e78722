// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/output.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace barebpf::cli {

void print_json(const Json& json) {
    const std::string text = json.dump(2);
    std::printf("%s\n", text.c_str());
}

std::string grouped(uint64_t number) {
    std::string digits = std::to_string(number);
    for (size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, ",");
    return digits;
}

std::string duration_text(double nanoseconds) {
    static constexpr struct {
        double size;
        const char* name;
    } kUnits[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}};
    char text[64];
    for (const auto& unit : kUnits) {
        if (nanoseconds < unit.size) continue;
        std::snprintf(text, sizeof text, "%.3g %s", nanoseconds / unit.size, unit.name);
        return text;
    }
    std::snprintf(text, sizeof text, "%.0f ns", nanoseconds);
    return text;
}

std::string counted(uint64_t number, const std::string& noun) {
    return grouped(number) + " " + noun + (number == 1 ? "" : "s");
}

std::string hex_bytes(const uint8_t* bytes, size_t size) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(2 * size);
    for (size_t i = 0; i < size; ++i) {
        text += kDigits[bytes[i] >> 4];
        text += kDigits[bytes[i] & 15];
    }
    return text;
}

std::string errno_name(int error) {
    const char* name = strerrorname_np(error);
    return name ? name : "error " + std::to_string(error);
}

namespace {

std::string array_text(const Json::Array& array) {
    std::string text;
    for (size_t i = 0; i < array.size();) {
        size_t same = 1;
        while (i + same < array.size() && array[i + same] == array[i]) ++same;
        if (!text.empty()) text += ", ";
        text += value_text(array[i]);
        if (same > 3)
            text += " (x" + std::to_string(same) + ")";
        else
            same = 1;
        i += same;
    }
    return "[" + text + "]";
}

}  // namespace

std::string value_text(const Json& value) {
    if (value.is_array()) return array_text(value.elements());
    if (value.is_object()) {
        std::string text;
        for (const auto& [name, member] : value.members())
            text += (text.empty() ? "" : ", ") + name + ": " + value_text(member);
        return "{" + text + "}";
    }
    return value.is_string() ? value.text() : value.dump();
}

std::string Table::text(const std::string& indent) const {
    std::vector<size_t> widths;
    std::vector<bool> numbers(titles_.size(), true);
    for (const std::string& title : titles_) widths.push_back(title.size());
    for (const auto& row : rows_) {
        for (size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], value_text(row[i]).size());
            if (!row[i].is_number()) numbers[i] = false;
        }
    }
    std::string text;
    auto line = [&](auto cell) {
        std::string one = indent;
        for (size_t i = 0; i < titles_.size(); ++i) {
            const std::string shown = cell(i);
            const std::string space(widths[i] - shown.size(), ' ');
            one += (i ? "  " : "") + (numbers[i] ? space + shown : shown + space);
        }
        one.erase(one.find_last_not_of(' ') + 1);
        text += one + "\n";
    };
    if (std::any_of(titles_.begin(), titles_.end(), [](const auto& t) { return !t.empty(); }))
        line([&](size_t i) { return titles_[i]; });
    for (const auto& row : rows_) line([&](size_t i) { return value_text(row[i]); });
    return text;
}

}  // namespace barebpf::cli
