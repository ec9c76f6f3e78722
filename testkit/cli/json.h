// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// JSON to be written: values in a tree, members in the order they were put in. A library that also reads
// JSON is larger than this whole command, and took most of the time to compile it.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace barebpf::cli {

class Json {
public:
    using Array = std::vector<Json>;
    using Object = std::vector<std::pair<std::string, Json>>;

    Json() : value_(nullptr) {}
    Json(std::nullptr_t) : value_(nullptr) {}
    Json(bool value) : value_(value) {}
    Json(double value) : value_(value) {}
    Json(const char* value) : value_(std::string(value)) {}
    Json(std::string value) : value_(std::move(value)) {}
    template <std::signed_integral T>
    Json(T value) : value_(int64_t{value}) {}
    template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>) Json(T value) : value_(uint64_t{value}) {}
    // Pairs of a string and a value are the members of an object; everything else is an array.
    Json(std::initializer_list<Json> values);

    static Json array() { return Json(Array()); }
    static Json object() { return Json(Object()); }

    bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_); }
    bool is_string() const { return std::holds_alternative<std::string>(value_); }
    bool is_array() const { return std::holds_alternative<Array>(value_); }
    bool is_object() const { return std::holds_alternative<Object>(value_); }
    bool is_number() const;
    bool is_integer() const {
        return std::holds_alternative<int64_t>(value_) || std::holds_alternative<uint64_t>(value_);
    }
    bool is_primitive() const { return !is_array() && !is_object(); }

    const std::string& text() const { return std::get<std::string>(value_); }
    const Array& elements() const { return std::get<Array>(value_); }
    const Object& members() const { return std::get<Object>(value_); }

    // Of an array.
    void push_back(Json value) { std::get<Array>(value_).push_back(std::move(value)); }
    Json& back() { return std::get<Array>(value_).back(); }
    // Of an object: the member of that name, made if there is none.
    Json& operator[](const std::string& name);
    void update(const Json& other);
    // Of an integer: wraps as a counter of 64 bits does. False: one of them is none.
    bool add(const Json& other);

    bool operator==(const Json& other) const { return value_ == other.value_; }

    // indent 0: on one line. Bytes that are not UTF-8 become U+FFFD.
    std::string dump(int indent = 0) const;

private:
    explicit Json(Array array) : value_(std::move(array)) {}
    explicit Json(Object object) : value_(std::move(object)) {}
    void write(std::string* out, int indent, int depth) const;

    std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string, Array, Object>
        value_;
};

}  // namespace barebpf::cli
