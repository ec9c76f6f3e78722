// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The first passes over a BTF blob: where its sections are, and whether each type's record is well formed
// by itself. What refers to what is btf_resolve.cc's.
#include "kernel/bpf/btf_internal.h"

namespace barebpf {
namespace {

constexpr u32 kInfoMask = 0x9f00'ffff;
constexpr u32 kMaxIntBits = 128;

// As the kernel's ctype has it: Latin-1 letters count.
bool is_letter(char c) {
    const u8 byte = u8(c);
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (byte >= 0xc0 && byte != 0xd7 && byte != 0xf7);
}
bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_printable(char c) {
    return (c >= ' ' && c <= '~') || u8(c) >= 0xa0;
}

constexpr u32 kMaxName = 511;  // KSYM_NAME_LEN - 1

// Bytes behind the head of a type of this kind.
u32 extra_size(u32 kind, u32 vlen) {
    switch (kind) {
        case BTF_KIND_INT:
            return sizeof(u32);
        case BTF_KIND_ARRAY:
            return sizeof(btf_array);
        case BTF_KIND_STRUCT:
        case BTF_KIND_UNION:
            return vlen * sizeof(btf_member);
        case BTF_KIND_ENUM:
            return vlen * sizeof(btf_enum);
        case BTF_KIND_ENUM64:
            return vlen * sizeof(btf_enum64);
        case BTF_KIND_FUNC_PROTO:
            return vlen * sizeof(btf_param);
        case BTF_KIND_VAR:
            return sizeof(btf_var);
        case BTF_KIND_DATASEC:
            return vlen * sizeof(btf_var_secinfo);
        case BTF_KIND_DECL_TAG:
            return sizeof(btf_decl_tag);
        default:
            return 0;
    }
}

// Kinds whose vlen counts records; a function's holds its linkage.
bool has_vlen(u32 kind) {
    return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_ENUM ||
           kind == BTF_KIND_ENUM64 || kind == BTF_KIND_FUNC_PROTO || kind == BTF_KIND_DATASEC ||
           kind == BTF_KIND_FUNC;
}
bool has_kind_flag(u32 kind) {
    return kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION || kind == BTF_KIND_ENUM ||
           kind == BTF_KIND_ENUM64 || kind == BTF_KIND_FWD || kind == BTF_KIND_DECL_TAG ||
           kind == BTF_KIND_TYPE_TAG;
}

// Any id in range will do here: whether it exists is known when all types have been read.
bool type_id_in_range(u32 type_id) {
    return type_id <= BTF_MAX_TYPE;
}

Result<void> check_int(BtfEnv& env, const btf_type* type) {
    const u32 word = *Btf::extra<u32>(type);
    const u32 bits = BTF_INT_BITS(word) + BTF_INT_OFFSET(word);
    if (word & 0xf000'0000u) return env.refuse_type(type, "Invalid int_data:", hex(word));
    if (bits > kMaxIntBits) return env.refuse_type(type, "nr_bits exceeds ", kMaxIntBits);
    if ((bits + 7) / 8 > type->size) return env.refuse_type(type, "nr_bits exceeds type_size");
    const u32 encoding = BTF_INT_ENCODING(word);
    if (encoding && encoding != BTF_INT_SIGNED && encoding != BTF_INT_CHAR &&
        encoding != BTF_INT_BOOL) {
        (void)env.refuse_type(type, "Unsupported encoding");
        return Errno::NotSupp;
    }
    return {};
}

Result<void> check_reference(BtfEnv& env, const btf_type* type) {
    const u32 kind = btf_kind(type);
    if (!type_id_in_range(type->type)) return env.refuse_type(type, "Invalid type_id");
    if (kind == BTF_KIND_TYPEDEF) {
        if (!btf_name_is_identifier(*env.btf, type->name_off)) {
            return env.refuse_type(type, "Invalid name");
        }
    } else if (kind == BTF_KIND_TYPE_TAG) {
        const char* value = env.btf->string(type->name_off);
        if (!value || !*value) return env.refuse_type(type, "Invalid name");
    } else if (type->name_off) {
        return env.refuse_type(type, "Invalid name");
    }
    return {};
}

Result<void> check_array(BtfEnv& env, const btf_type* type) {
    const btf_array* array = Btf::extra<btf_array>(type);
    if (type->name_off) return env.refuse_type(type, "Invalid name");
    if (type->size) return env.refuse_type(type, "size != 0");
    if (!array->type || !type_id_in_range(array->type))
        return env.refuse_type(type, "Invalid elem");
    if (!array->index_type || !type_id_in_range(array->index_type)) {
        return env.refuse_type(type, "Invalid index");
    }
    return {};
}

Result<void> check_struct(BtfEnv& env, const btf_type* type) {
    if (type->name_off && !btf_name_is_identifier(*env.btf, type->name_off)) {
        return env.refuse_type(type, "Invalid name");
    }
    const bool is_union = btf_kind(type) == BTF_KIND_UNION;
    const bool bitfields = BTF_INFO_KFLAG(type->info);
    const btf_member* members = Btf::extra<btf_member>(type);
    u32 last = 0;
    for (u32 i = 0; i < btf_vlen(type); ++i) {
        const btf_member& member = members[i];
        if (!env.btf->string(member.name_off)) {
            return env.refuse_type(type, "Invalid member name_offset:", member.name_off);
        }
        if (member.name_off && !btf_name_is_identifier(*env.btf, member.name_off)) {
            return env.refuse_type(type, "Invalid name");
        }
        if (!member.type || !type_id_in_range(member.type)) {
            return env.refuse_type(type, "Invalid type_id");
        }
        const u32 offset = bitfields ? BTF_MEMBER_BIT_OFFSET(member.offset) : member.offset;
        if ((is_union && offset) || last > offset) {
            return env.refuse_type(type, "Invalid member bits_offset");
        }
        if ((u64{offset} + 7) / 8 > type->size) {
            return env.refuse_type(type, "Member bits_offset exceeds its struct size");
        }
        last = offset;
    }
    return {};
}

template <class Enumerator>
Result<void> check_enum(BtfEnv& env, const btf_type* type) {
    if (type->size > 8 || type->size == 0 || (type->size & (type->size - 1))) {
        return env.refuse_type(type, "Unexpected size");
    }
    if (type->name_off && !btf_name_is_identifier(*env.btf, type->name_off)) {
        return env.refuse_type(type, "Invalid name");
    }
    for (u32 i = 0; i < btf_vlen(type); ++i) {
        const u32 name = Btf::extra<Enumerator>(type)[i].name_off;
        if (!env.btf->string(name)) return env.refuse_type(type, "Invalid name_offset:", name);
        if (!btf_name_is_identifier(*env.btf, name)) return env.refuse_type(type, "Invalid name");
    }
    return {};
}

Result<void> check_named(BtfEnv& env, const btf_type* type) {
    if (!btf_name_is_identifier(*env.btf, type->name_off)) {
        return env.refuse_type(type, "Invalid name");
    }
    return {};
}

Result<void> check_forward(BtfEnv& env, const btf_type* type) {
    if (type->type) return env.refuse_type(type, "type != 0");
    return check_named(env, type);
}

Result<void> check_func(BtfEnv& env, const btf_type* type) {
    TRY(check_named(env, type));
    if (btf_vlen(type) > BTF_FUNC_GLOBAL) return env.refuse_type(type, "Invalid func linkage");
    return {};
}

Result<void> check_func_proto(BtfEnv& env, const btf_type* type) {
    if (type->name_off) return env.refuse_type(type, "Invalid name");
    return {};
}

Result<void> check_var(BtfEnv& env, const btf_type* type) {
    if (!btf_name_is_identifier(*env.btf, type->name_off))
        return env.refuse_type(type, "Invalid name");
    if (!type->type || !type_id_in_range(type->type)) {
        return env.refuse_type(type, "Invalid type_id");
    }
    const u32 linkage = Btf::extra<btf_var>(type)->linkage;
    if (linkage != BTF_VAR_STATIC && linkage != BTF_VAR_GLOBAL_ALLOCATED) {
        return env.refuse_type(type, "Linkage not supported");
    }
    return {};
}

Result<void> check_datasec(BtfEnv& env, const btf_type* type) {
    if (!type->size) return env.refuse_type(type, "size == 0");
    if (!btf_name_is_section(*env.btf, type->name_off))
        return env.refuse_type(type, "Invalid name");
    u64 end = 0, sum = 0;
    for (u32 i = 0; i < btf_vlen(type); ++i) {
        const btf_var_secinfo& var = Btf::extra<btf_var_secinfo>(type)[i];
        if (!var.type || !type_id_in_range(var.type))
            return env.refuse_type(type, "Invalid type_id");
        if (var.offset < end || var.offset >= type->size) {
            return env.refuse_type(type, "Invalid offset");
        }
        if (!var.size || var.size > type->size) return env.refuse_type(type, "Invalid size");
        end = u64{var.offset} + var.size;
        if (end > type->size) return env.refuse_type(type, "Invalid offset+size");
        sum += var.size;
    }
    if (type->size < sum) return env.refuse_type(type, "Invalid btf_info size");
    return {};
}

Result<void> check_float(BtfEnv& env, const btf_type* type) {
    switch (type->size) {
        case 2:
        case 4:
        case 8:
        case 12:
        case 16:
            return {};
        default:
            return env.refuse_type(type, "Invalid type_size");
    }
}

Result<void> check_decl_tag(BtfEnv& env, const btf_type* type) {
    const char* value = env.btf->string(type->name_off);
    if (!value || !*value) return env.refuse_type(type, "Invalid value");
    if (Btf::extra<btf_decl_tag>(type)->component_idx < -1) {
        return env.refuse_type(type, "Invalid component_idx");
    }
    return {};
}

Result<void> check_record(BtfEnv& env, const btf_type* type) {
    switch (btf_kind(type)) {
        case BTF_KIND_INT:
            return check_int(env, type);
        case BTF_KIND_ARRAY:
            return check_array(env, type);
        case BTF_KIND_STRUCT:
        case BTF_KIND_UNION:
            return check_struct(env, type);
        case BTF_KIND_ENUM:
            return check_enum<btf_enum>(env, type);
        case BTF_KIND_ENUM64:
            return check_enum<btf_enum64>(env, type);
        case BTF_KIND_FWD:
            return check_forward(env, type);
        case BTF_KIND_FUNC:
            return check_func(env, type);
        case BTF_KIND_FUNC_PROTO:
            return check_func_proto(env, type);
        case BTF_KIND_VAR:
            return check_var(env, type);
        case BTF_KIND_DATASEC:
            return check_datasec(env, type);
        case BTF_KIND_FLOAT:
            return check_float(env, type);
        case BTF_KIND_DECL_TAG:
            return check_decl_tag(env, type);
        default:
            return check_reference(env, type);
    }
}

// The head and the room behind it; the record's size.
Result<u32> check_head(BtfEnv& env, const btf_type* type, u32 left) {
    if (left < sizeof(btf_type)) {
        return env.refuse('[', env.type_id, "] meta_left:", left,
                          " meta_needed:", sizeof(btf_type));
    }
    if (type->info & ~kInfoMask) {
        return env.refuse('[', env.type_id, "] Invalid btf_info:", HexDigits{type->info, 1});
    }
    const u32 kind = btf_kind(type);
    if (kind > BTF_KIND_MAX || kind == BTF_KIND_UNKN) {
        return env.refuse('[', env.type_id, "] Invalid kind:", kind);
    }
    if (!env.btf->string(type->name_off)) {
        return env.refuse('[', env.type_id, "] Invalid name_offset:", type->name_off);
    }
    const u32 needed = sizeof(btf_type) + extra_size(kind, btf_vlen(type));
    if (left < needed) {
        return env.refuse_type(type, "meta_left:", left, " meta_needed:", needed);
    }
    if (btf_vlen(type) && !has_vlen(kind)) return env.refuse_type(type, "vlen != 0");
    if (BTF_INFO_KFLAG(type->info) && !has_kind_flag(kind)) {
        return env.refuse_type(type, "Invalid btf_info kind_flag");
    }
    return needed;
}

// The two sections fill what is behind the header, in either order, without a gap.
Result<void> check_layout(BtfEnv& env) {
    const btf_header& header = env.btf->header;
    const u64 total = env.btf->data.size() - header.hdr_len;
    struct Section {
        u64 offset, length;
    };
    Section first{header.type_off, header.type_len}, second{header.str_off, header.str_len};
    if (second.offset < first.offset) {
        const Section swapped = first;
        first = second;
        second = swapped;
    }
    if (first.offset > total || second.offset > total) return env.refuse("Invalid section offset");
    if (first.offset > 0) return env.refuse("Unsupported section found");
    if (first.length > total) return env.refuse("Total section length too long");
    if (second.offset > first.length) return env.refuse("Unsupported section found");
    if (second.offset < first.length) return env.refuse("Section overlap found");
    if (second.length > total - second.offset) return env.refuse("Total section length too long");
    if (second.offset + second.length != total) return env.refuse("Unsupported section found");
    return {};
}

Result<void> check_header(BtfEnv& env) {
    const host::Buffer<u8>& data = env.btf->data;
    btf_header& header = env.btf->header;
    constexpr u32 kMinimum = __builtin_offsetof(btf_header, hdr_len) + sizeof(header.hdr_len);
    if (data.size() < kMinimum) return env.refuse("hdr_len not found");
    __builtin_memcpy(&header.hdr_len, data.data() + __builtin_offsetof(btf_header, hdr_len),
                     sizeof header.hdr_len);
    if (data.size() < header.hdr_len) return env.refuse("btf_header not found");
    for (size_t i = sizeof header; i < header.hdr_len; ++i) {
        if (data[i]) {
            (void)env.refuse("Unsupported btf_header");
            return Errno::TooBig;
        }
    }
    const u32 known = header.hdr_len < sizeof header ? header.hdr_len : u32(sizeof header);
    const u32 length = header.hdr_len;
    __builtin_memcpy(&header, data.data(), known);
    header.hdr_len = length;
    if (header.magic != BTF_MAGIC) return env.refuse("Invalid magic");
    if (header.version != BTF_VERSION)
        return (void)env.refuse("Unsupported version"), Errno::NotSupp;
    if (header.flags) return (void)env.refuse("Unsupported flags"), Errno::NotSupp;
    if (data.size() == header.hdr_len) return env.refuse("No data");
    return {};
}

Result<void> check_strings(BtfEnv& env) {
    const btf_header& header = env.btf->header;
    const size_t end = size_t{header.hdr_len} + header.str_off + header.str_len;
    if (end != env.btf->data.size()) return env.refuse("String section is not at the end");
    if (!header.str_len || header.str_len - 1 > BTF_MAX_NAME_OFFSET ||
        env.btf->data[end - header.str_len] || env.btf->data[end - 1]) {
        return env.refuse("Invalid string section");
    }
    return {};
}

const char* kind_name(u32 kind) {
    static const char* const kNames[] = {
        "UNKNOWN", "INT",     "PTR",      "ARRAY",    "STRUCT",   "UNION", "ENUM",
        "FWD",     "TYPEDEF", "VOLATILE", "CONST",    "RESTRICT", "FUNC",  "FUNC_PROTO",
        "VAR",     "DATASEC", "FLOAT",    "DECL_TAG", "TYPE_TAG", "ENUM64"};
    return kind <= BTF_KIND_MAX ? kNames[kind] : "UNKNOWN";
}

}  // namespace

void BtfEnv::describe(const btf_type* type) {
    const char* name = btf->string(type->name_off);
    log->print('[', type_id, "] ", kind_name(btf_kind(type)), ' ', name && *name ? name : "(anon)");
}

bool btf_name_is_identifier(const Btf& btf, u32 offset) {
    const char* name = btf.string(offset);
    if (!name || is_digit(*name)) return false;
    u32 length = 0;
    for (; name[length]; ++length) {
        if (!is_letter(name[length]) && !is_digit(name[length]) && name[length] != '.')
            return false;
    }
    return length > 0 && length <= kMaxName;
}

bool btf_name_is_section(const Btf& btf, u32 offset) {
    const char* name = btf.string(offset);
    if (!name) return false;
    u32 length = 0;
    for (; name[length]; ++length) {
        if (!is_printable(name[length])) return false;
    }
    return length > 0 && length <= kMaxName;
}

Result<void> btf_parse_sections(BtfEnv& env) {
    TRY(check_header(env));
    TRY(check_layout(env));
    return check_strings(env);
}

// How many records there are, up to and including the first that does not fit: the walk that follows
// reports that one.
static u32 count_types(const Btf& btf, u32 start, u32 end) {
    u32 count = 0;
    for (u32 at = start; at < end && count <= BTF_MAX_TYPE; ++count) {
        const btf_type* type = reinterpret_cast<const btf_type*>(&btf.data[at]);
        const u32 left = end - at;
        if (left < sizeof(btf_type)) return count + 1;
        const u32 size = u32(sizeof(btf_type)) + extra_size(btf_kind(type), btf_vlen(type));
        if (size > left) return count + 1;
        at += size;
    }
    return count;
}

Result<void> btf_parse_types(BtfEnv& env) {
    Btf& btf = *env.btf;
    const u32 start = btf.header.hdr_len + btf.header.type_off;
    const u32 end = start + btf.header.type_len;
    if (btf.header.type_off & 3 || start & 3) return env.refuse("Unaligned type_off");
    if (!btf.header.type_len) return env.refuse("No type found");

    const u32 count = count_types(btf, start, end);
    if (count > BTF_MAX_TYPE) return (void)env.refuse("Too many types"), Errno::TooBig;
    if (!btf.types.allocate(size_t{count} + 1, host::AllocContext::MaySleep, btf.memory) ||
        !btf.sizes.allocate(size_t{count} + 1, host::AllocContext::MaySleep, btf.memory)) {
        return Errno::NoMem;
    }
    u32 at = start;
    for (u32 id = 1; id <= count; ++id) {
        btf.types[id] = at;
        const btf_type* type = reinterpret_cast<const btf_type*>(&btf.data[at]);
        env.type_id = id;
        const u32 size = TRY(check_head(env, type, end - at));
        TRY(check_record(env, type));
        at += size;
    }
    return {};
}

}  // namespace barebpf
