// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A table of facts about one set of ABI headers: each name with its value, or size, offset and type.
//
// uapi_test_ours.cc and uapi_test_system.cc include their headers, then this file, and make a table
// from the list of names that testkit/codegen/abi_names.py found in those headers. All code is in an
// unnamed namespace and nothing is a shared template: the two files define the same structs, and what
// the linker could merge would compare a header with itself.
#pragma once

#include <stddef.h>
#include <string.h>

#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

namespace barebpf::uapi_test {

struct Fact {
    const char* owner;  // struct, union or enum; empty for macros
    const char* name;
    unsigned long long value;  // or offset, in bits for a bit-field
    unsigned long long size;   // in bits for a bit-field
    const char* type;          // mangled; "record" for a struct or union inside another
};

struct Headers {
    int version;  // of Linux: major * 256 + minor; 0 for ours
    std::vector<Fact> facts;
    std::vector<const char*> helpers;
};

Headers our_headers();
Headers system_headers();

namespace {

template <class T>
[[maybe_unused]] const char* type_name() {
    if constexpr (std::is_class_v<T> || std::is_union_v<T>) {
        return "record";
    } else {
        return typeid(T).name();
    }
}

// Which bits change when all ones are assigned.
template <class T, class Assign>
[[maybe_unused]] Fact bit_field(const char* owner, const char* name, Assign assign) {
    T object;
    unsigned char bytes[sizeof(T)];
    memset(static_cast<void*>(&object), 0, sizeof object);
    bool is_signed = assign(object, ~0ULL) < 0;
    memcpy(bytes, &object, sizeof object);

    Fact fact{owner, name, 0, 0, is_signed ? "signed bits" : "unsigned bits"};
    for (unsigned long long bit = 8 * sizeof bytes; bit-- > 0;) {
        if (!(bytes[bit / 8] >> bit % 8 & 1)) continue;
        fact.value = bit;
        ++fact.size;
    }
    return fact;
}

// One number for what a macro gives over many arguments: each single bit, and mixtures.
template <class Macro>
[[maybe_unused]] unsigned long long samples(Macro macro) {
    unsigned long long digest = 0xcbf29ce484222325;
    unsigned argument = 0;
    for (unsigned i = 0; i < 96; ++i) {
        argument = i < 32 ? 1U << i : argument * 2654435761U + i;
        digest = (digest ^ static_cast<unsigned long long>(macro(argument))) * 0x100000001b3;
    }
    return digest;
}

}  // namespace
}  // namespace barebpf::uapi_test

#define VALUE(name)                                                  \
    {"", #name, static_cast<unsigned long long>(name), sizeof(name), \
     type_name<decltype(+(name))>()},
#define ENUMERATOR(tag, name)                                          \
    {#tag, #name, static_cast<unsigned long long>(name), sizeof(name), \
     type_name<std::underlying_type_t<decltype(name)>>()},
#define FUNCTION(name)                                                                       \
    {"", #name, samples([](unsigned argument) { return name(argument); }), sizeof(name(0U)), \
     type_name<decltype(name(0U))>()},
#define TYPE(type) \
    {#type, "", alignof(type), sizeof(type), std::is_union_v<type> ? "union" : "struct"},
#define FIELD(type, path)                                                    \
    {#type, #path, offsetof(type, path), sizeof(std::declval<type&>().path), \
     type_name<decltype(std::declval<type&>().path)>()},
#define FLEXIBLE(type, path) \
    {#type, #path, offsetof(type, path), 0, type_name<decltype(std::declval<type&>().path)>()},
#define BITS(type, path)                                                      \
    bit_field<type>(#type, #path, [](type& object, unsigned long long ones) { \
        object.path = ones;                                                   \
        return static_cast<long long>(object.path);                           \
    }),
#define HELPER(name) #name
