// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/btf_value.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>

namespace barebpf::cli {

namespace {

constexpr int kMaxDepth = 32;  // of types inside types: damaged BTF may go in circles

// What is known about a value from around it: names that make hexadecimal the better choice.
struct Place {
    bool looks_like_address = false;
    int depth = 0;
};

std::string name_of(const btf* types, uint32_t offset) {
    const char* name = btf__name_by_offset(types, offset);
    return name ? name : "";
}

bool names_address(std::string name) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return name.find("addr") != std::string::npos || name == "ip" || name == "ip4" ||
           name == "ip6" || name.rfind("ip_", 0) == 0 || name.find("_ip") != std::string::npos ||
           name == "__be32" || name == "in6_addr" || name.find("mac") == 0;
}

// Through typedefs and qualifiers to the type itself; what they say is kept in place.
const btf_type* resolve(const btf* types, uint32_t type_id, Place* place) {
    for (int i = 0; i < kMaxDepth; ++i) {
        const btf_type* type = btf__type_by_id(types, type_id);
        if (!type) return nullptr;
        switch (btf_kind(type)) {
            case BTF_KIND_TYPEDEF:
                place->looks_like_address |= names_address(name_of(types, type->name_off));
                [[fallthrough]];
            case BTF_KIND_CONST:
            case BTF_KIND_VOLATILE:
            case BTF_KIND_RESTRICT:
            case BTF_KIND_TYPE_TAG:
            case BTF_KIND_VAR:
                type_id = type->type;
                break;
            default:
                return type;
        }
    }
    return nullptr;
}

Json hex_of(const uint8_t* bytes, size_t size) {
    return hex_bytes(bytes, size);
}

unsigned __int128 load(const uint8_t* bytes, size_t size) {
    unsigned __int128 value = 0;
    std::memcpy(&value, bytes, std::min(size, sizeof value));
    return value;
}

Json number_of(unsigned __int128 value, uint32_t bits, bool is_signed) {
    if (bits > 64) {
        uint8_t bytes[16];
        for (int i = 0; i < 16; ++i) bytes[15 - i] = static_cast<uint8_t>(value >> (8 * i));
        return "0x" + hex_bytes(bytes, 16);
    }
    if (bits == 0) return 0;
    auto number = static_cast<uint64_t>(value) << (64 - bits);
    if (is_signed) return static_cast<int64_t>(number) >> (64 - bits);
    return number >> (64 - bits);
}

Json enum_of(const btf* types, const btf_type* type, unsigned __int128 value, uint32_t bits) {
    const Json number = number_of(value, bits, btf_kflag(type));
    for (uint16_t i = 0; i < btf_vlen(type); ++i) {
        if (btf_kind(type) == BTF_KIND_ENUM) {
            const struct btf_enum* one = btf_enum(type) + i;
            if (static_cast<uint32_t>(one->val) == static_cast<uint32_t>(value))
                return name_of(types, one->name_off);
        } else {
            const struct btf_enum64* one = btf_enum64(type) + i;
            if (btf_enum64_value(one) == static_cast<uint64_t>(value))
                return name_of(types, one->name_off);
        }
    }
    return number;
}

Json scalar_of(const btf* types, const btf_type* type, unsigned __int128 value, uint32_t bits) {
    if (btf_kind(type) != BTF_KIND_INT) return enum_of(types, type, value, bits);
    if (btf_int_encoding(type) & BTF_INT_BOOL) return value != 0;
    return number_of(value, bits, btf_int_encoding(type) & BTF_INT_SIGNED);
}

Json value_at(const btf* types, uint32_t type_id, const uint8_t* bytes, size_t size, Place place);

bool is_char(const btf* types, const btf_type* type) {
    return type && btf_kind(type) == BTF_KIND_INT && type->size == 1 &&
           ((btf_int_encoding(type) & BTF_INT_CHAR) || name_of(types, type->name_off) == "char");
}

// Text up to a NUL with nothing but NULs behind it.
bool read_text(const uint8_t* bytes, size_t size, std::string* text) {
    size_t length = 0;
    while (length < size && bytes[length]) {
        if (!std::isprint(bytes[length]) && !std::isspace(bytes[length])) return false;
        ++length;
    }
    for (size_t i = length; i < size; ++i)
        if (bytes[i]) return false;
    text->assign(reinterpret_cast<const char*>(bytes), length);
    return true;
}

// Bytes in memory order, a group an element: "20010db8 00000000 00000000 00000001".
Json grouped_hex(const uint8_t* bytes, size_t count, size_t element) {
    std::string text;
    for (size_t i = 0; i < count; ++i)
        text += (i && element > 1 ? " " : "") + hex_bytes(bytes + i * element, element);
    return text;
}

Json array_of(const btf* types, const btf_type* type, const uint8_t* bytes, size_t size,
              Place place) {
    const struct btf_array* array = btf_array(type);
    const int64_t element = btf__resolve_size(types, array->type);
    if (element <= 0 || static_cast<uint64_t>(element) * array->nelems > size)
        return hex_of(bytes, size);
    const auto step = static_cast<size_t>(element);
    Place inside = place;
    const btf_type* item = resolve(types, array->type, &inside);
    std::string text;
    if (is_char(types, item) && read_text(bytes, array->nelems, &text)) return text;
    if (item && btf_kind(item) == BTF_KIND_INT && !(btf_int_encoding(item) & BTF_INT_BOOL) &&
        (step == 1 || inside.looks_like_address))
        return grouped_hex(bytes, array->nelems, step);
    Json values = Json::array();
    ++place.depth;
    for (size_t i = 0; i < array->nelems; ++i)
        values.push_back(value_at(types, array->type, bytes + i * step, step, place));
    return values;
}

Json bitfield_of(const btf* types, uint32_t type_id, const uint8_t* bytes, size_t size,
                 uint32_t bit, uint32_t bits) {
    Place place;
    const btf_type* type = resolve(types, type_id, &place);
    const size_t first = bit / 8, last = (bit + bits + 7) / 8;
    if (!type || bits > 64 || last > size) return nullptr;
    const auto value = load(bytes + first, last - first) >> (bit % 8);
    const uint64_t mask = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    return scalar_of(types, type, static_cast<uint64_t>(value) & mask, bits);
}

Json struct_of(const btf* types, const btf_type* type, const uint8_t* bytes, size_t size,
               Place place) {
    Json values = Json::object();
    place.looks_like_address |= names_address(name_of(types, type->name_off));
    ++place.depth;
    for (uint16_t i = 0; i < btf_vlen(type); ++i) {
        const btf_member* member = btf_members(type) + i;
        const std::string name = name_of(types, member->name_off);
        const uint32_t bit = btf_member_bit_offset(type, i);
        const uint32_t bits = btf_member_bitfield_size(type, i);
        if (bits) {
            if (!name.empty())
                values[name] = bitfield_of(types, member->type, bytes, size, bit, bits);
            continue;
        }
        const int64_t length = btf__resolve_size(types, member->type);
        if (length < 0 || bit / 8 + static_cast<uint64_t>(length) > size) continue;
        Place inside = place;
        inside.looks_like_address |= names_address(name);
        Json value =
            value_at(types, member->type, bytes + bit / 8, static_cast<size_t>(length), inside);
        if (!name.empty())
            values[name] = std::move(value);
        else if (value.is_object())
            values.update(value);
    }
    return values;
}

Json float_of(const uint8_t* bytes, size_t size) {
    if (size == sizeof(double)) {
        double value;
        std::memcpy(&value, bytes, size);
        return value;
    }
    if (size == sizeof(float)) {
        float value;
        std::memcpy(&value, bytes, size);
        return value;
    }
    return hex_of(bytes, size);
}

Json value_at(const btf* types, uint32_t type_id, const uint8_t* bytes, size_t size, Place place) {
    const btf_type* type = resolve(types, type_id, &place);
    if (!type || place.depth > kMaxDepth) return hex_of(bytes, size);
    const uint32_t kind = btf_kind(type);
    if (kind == BTF_KIND_ARRAY) return array_of(types, type, bytes, size, place);
    if (kind == BTF_KIND_PTR && size >= 8) {
        uint64_t address;
        std::memcpy(&address, bytes, sizeof address);
        char text[32];
        std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(address));
        return text;
    }
    if (type->size > size) return hex_of(bytes, size);
    switch (kind) {
        case BTF_KIND_INT:
            if (place.looks_like_address && type->size == 4) return hex_of(bytes, 4);
            [[fallthrough]];
        case BTF_KIND_ENUM:
        case BTF_KIND_ENUM64:
            return scalar_of(types, type, load(bytes, type->size), 8 * type->size);
        case BTF_KIND_FLOAT:
            return float_of(bytes, type->size);
        case BTF_KIND_STRUCT:
        case BTF_KIND_UNION:
            return struct_of(types, type, bytes, type->size, place);
        default:
            return hex_of(bytes, size);
    }
}

}  // namespace

Json value_of(const btf* types, uint32_t type_id, const uint8_t* bytes, size_t size) {
    if (!types || !type_id) return hex_of(bytes, size);
    return value_at(types, type_id, bytes, size, {});
}

Json variables_of(const btf* types, uint32_t section_id, const uint8_t* bytes, size_t size) {
    Json variables = Json::object();
    const btf_type* section = types ? btf__type_by_id(types, section_id) : nullptr;
    if (!section || btf_kind(section) != BTF_KIND_DATASEC) return hex_of(bytes, size);
    for (uint16_t i = 0; i < btf_vlen(section); ++i) {
        const btf_var_secinfo* place = btf_var_secinfos(section) + i;
        const btf_type* variable = btf__type_by_id(types, place->type);
        if (!variable || uint64_t{place->offset} + place->size > size) continue;
        const std::string name = name_of(types, variable->name_off);
        Place around;
        around.looks_like_address = names_address(name);
        variables[name] = value_at(types, place->type, bytes + place->offset, place->size, around);
    }
    return variables;
}

}  // namespace barebpf::cli
