// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Types against each other: every id exists, every size is known, nothing contains itself.
//
// Two walks cover all that can loop:
//   sizes     typedef ... -> its target, array -> element, struct -> members, variable -> type;
//             stops at pointers. A type met while it is being sized contains itself.
//   pointers  pointer and modifier chains, which a size walk does not follow: p -> const -> p is nobody's
//             type. Structs and arrays end such a chain, so ordinary lists and trees are fine.
// Both are bounded by kMaxDepth: hostile input may nest as deep as it likes, but not here.
#include "kernel/bpf/btf_internal.h"

namespace barebpf {
namespace {

constexpr u32 kMaxDepth = 32;  // MAX_RESOLVE_DEPTH
constexpr u32 kPointerSize = 8;

enum Visit : u8 { kNew = 0, kSizing = 1, kSized = 2, kChaining = 4, kChained = 8 };

class Resolver {
public:
    Resolver(BtfEnv& env, u8* visits) : env_(env), btf_(*env.btf), visits_(visits) {}

    Result<void> run() {
        for (u32 id = 1; id <= btf_.type_count(); ++id) TRY(size_type(id, 0));
        for (u32 id = 1; id <= btf_.type_count(); ++id) TRY(follow_chain(id));
        for (u32 id = 1; id <= btf_.type_count(); ++id) TRY(check_references(id));
        return {};
    }

private:
    template <class... Parts>
    Errno refuse(u32 type_id, const Parts&... parts) {
        env_.type_id = type_id;
        return env_.refuse_type(btf_.type(type_id), parts...);
    }

    Errno loop(u32 type_id) {
        (void)refuse(type_id, "Loop detected");
        return Errno::Exist;
    }

    bool exists(u32 type_id) const { return type_id <= btf_.type_count(); }
    u32 kind_of(u32 type_id) const {
        const btf_type* type = btf_.type(type_id);
        return type ? btf_kind(type) : u32{BTF_KIND_UNKN};
    }

    // The size of target, which `from` needs as part of itself. 0 is no error here.
    Result<u32> size_of_part(u32 from, u32 target, u32 depth) {
        if (!exists(target)) return refuse(from, "Invalid type_id");
        const u32 kind = kind_of(target);
        if (kind == BTF_KIND_VAR || kind == BTF_KIND_DATASEC || kind == BTF_KIND_DECL_TAG) {
            return refuse(from, "Invalid type_id");
        }
        if (target) TRY(size_type(target, depth + 1));
        return btf_.sizes[target];
    }

    Result<void> size_type(u32 id, u32 depth) {
        if (visits_[id] & kSized) return {};
        if (visits_[id] & kSizing) return loop(id);
        if (depth >= kMaxDepth) {
            (void)refuse(id, "Exceeded max resolving depth:", kMaxDepth);
            return Errno::TooBig;
        }
        visits_[id] |= kSizing;
        btf_.sizes[id] = TRY(compute_size(id, btf_.type(id), depth));
        visits_[id] |= kSized;
        return {};
    }

    Result<u32> compute_size(u32 id, const btf_type* type, u32 depth) {
        switch (btf_kind(type)) {
            case BTF_KIND_INT:
            case BTF_KIND_ENUM:
            case BTF_KIND_ENUM64:
            case BTF_KIND_FLOAT:
            case BTF_KIND_DATASEC:
                return type->size;
            case BTF_KIND_PTR:
                return kPointerSize;
            case BTF_KIND_ARRAY:
                return size_array(id, type, depth);
            case BTF_KIND_STRUCT:
            case BTF_KIND_UNION:
                return size_struct(id, type, depth);
            case BTF_KIND_VAR:
                return size_var(id, type, depth);
            case BTF_KIND_TYPEDEF:
            case BTF_KIND_VOLATILE:
            case BTF_KIND_CONST:
            case BTF_KIND_RESTRICT:
            case BTF_KIND_TYPE_TAG:
                return size_of_part(id, type->type, depth);
            default:
                return 0u;  // forward declarations, functions, tags
        }
    }

    // Whether an integer fills its storage: the only kind that arrays are made of and indexed by.
    bool is_regular_int(u32 id) const {
        const btf_type* type = btf_.type(id);
        if (!type || btf_kind(type) != BTF_KIND_INT) return false;
        const u32 word = *Btf::extra<u32>(type);
        const u32 bytes = BTF_INT_BITS(word) / 8;
        return BTF_INT_OFFSET(word) == 0 && BTF_INT_BITS(word) % 8 == 0 && bytes &&
               (bytes & (bytes - 1)) == 0;
    }

    Result<u32> size_array(u32 id, const btf_type* type, u32 depth) {
        const btf_array* array = Btf::extra<btf_array>(type);
        if (!exists(array->index_type)) return refuse(id, "Invalid index");
        TRY(size_of_part(id, array->index_type, depth));
        if (!is_regular_int(btf_.skip_modifiers(array->index_type)))
            return refuse(id, "Invalid index");
        if (!exists(array->type)) return refuse(id, "Invalid elem");
        const u32 element = TRY(size_of_part(id, array->type, depth));
        if (!element) return refuse(id, "Invalid elem");
        const u32 base = btf_.skip_modifiers(array->type);
        if (kind_of(base) == BTF_KIND_INT && !is_regular_int(base)) {
            return refuse(id, "Invalid array of int");
        }
        u32 size;
        if (__builtin_mul_overflow(array->nelems, element, &size)) {
            return refuse(id, "Array size overflows u32_max");
        }
        return size;
    }

    Result<u32> size_struct(u32 id, const btf_type* type, u32 depth) {
        const btf_member* members = Btf::extra<btf_member>(type);
        for (u32 i = 0; i < btf_vlen(type); ++i) {
            if (!exists(members[i].type)) return refuse(id, "Invalid member");
            TRY(size_of_part(id, members[i].type, depth));
        }
        for (u32 i = 0; i < btf_vlen(type); ++i) TRY(check_member(id, type, members[i]));
        return type->size;
    }

    Result<void> check_member(u32 id, const btf_type* type, const btf_member& member) {
        const u32 size = btf_.sizes[member.type];
        const u32 kind = kind_of(btf_.skip_modifiers(member.type));
        // An array without elements and an empty struct have no size; everything else has.
        if (!size && kind != BTF_KIND_ARRAY && kind != BTF_KIND_STRUCT && kind != BTF_KIND_UNION) {
            return refuse(id, "Invalid member");
        }
        const bool flagged = BTF_INFO_KFLAG(type->info);
        const u32 offset = flagged ? BTF_MEMBER_BIT_OFFSET(member.offset) : member.offset;
        const u32 bits = flagged ? BTF_MEMBER_BITFIELD_SIZE(member.offset) : 0;
        const bool bitfield_kind =
            kind == BTF_KIND_INT || kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64;
        if (bits && (!bitfield_kind || bits > size * 8))
            return refuse(id, "Invalid member bitfield_size");
        const u64 member_bits = bits ? bits : int_bits(member.type, size);
        if (offset % 8 && !bits && (flagged || kind != BTF_KIND_INT)) {
            return refuse(id, "Member is not byte aligned");
        }
        if (u64{offset} + member_bits > u64{type->size} * 8) {
            return refuse(id, "Member exceeds struct_size");
        }
        return {};
    }

    // Old-style bit-fields carry their width in the integer type itself.
    u64 int_bits(u32 type_id, u32 size) const {
        const btf_type* type = btf_.type(btf_.skip_modifiers(type_id));
        if (!type || btf_kind(type) != BTF_KIND_INT) return u64{size} * 8;
        const u32 word = *Btf::extra<u32>(type);
        return BTF_INT_BITS(word) + BTF_INT_OFFSET(word);
    }

    Result<u32> size_var(u32 id, const btf_type* type, u32 depth) {
        const u32 size = TRY(size_of_part(id, type->type, depth));
        const u32 kind = kind_of(btf_.skip_modifiers(type->type));
        // extern arrays of unknown length exist; objects without any type do not
        if (!size && kind != BTF_KIND_ARRAY && kind != BTF_KIND_STRUCT && kind != BTF_KIND_UNION) {
            return refuse(id, "Invalid type_id");
        }
        return size;
    }

    bool in_chain(u32 id) const {
        const u32 kind = kind_of(id);
        return kind == BTF_KIND_PTR || btf_is_modifier(kind);
    }

    // Each member of a chain has one successor, so one walk marks it all.
    Result<void> follow_chain(u32 start) {
        u32 id = start;
        for (; in_chain(id) && !(visits_[id] & kChained); id = btf_.type(id)->type) {
            if (visits_[id] & kChaining) return loop(start);
            if (!exists(btf_.type(id)->type)) return refuse(id, "Invalid type_id");
            visits_[id] |= kChaining;
        }
        for (id = start; in_chain(id) && !(visits_[id] & kChained); id = btf_.type(id)->type) {
            visits_[id] |= kChained;
        }
        return {};
    }

    Result<void> check_references(u32 id) {
        const btf_type* type = btf_.type(id);
        switch (btf_kind(type)) {
            case BTF_KIND_PTR:
                return check_target(id, type->type);
            case BTF_KIND_FUNC:
                return check_func(id, type);
            case BTF_KIND_FUNC_PROTO:
                return check_func_proto(id, type);
            case BTF_KIND_DATASEC:
                return check_datasec(id, type);
            case BTF_KIND_DECL_TAG:
                return check_decl_tag(id, type);
            default:
                return btf_is_modifier(btf_kind(type)) ? check_target(id, type->type)
                                                       : Result<void>{};
        }
    }

    // What a pointer or modifier may stand for: data, a function type, or void.
    Result<void> check_target(u32 id, u32 target) {
        if (!exists(target)) return refuse(id, "Invalid type_id");
        const u32 kind = kind_of(target);
        if (kind == BTF_KIND_VAR || kind == BTF_KIND_DATASEC || kind == BTF_KIND_FUNC ||
            kind == BTF_KIND_DECL_TAG) {
            return refuse(id, "Invalid type_id");
        }
        return {};
    }

    Result<void> check_func(u32 id, const btf_type* type) {
        const btf_type* proto = btf_.type(type->type);
        if (!proto || btf_kind(proto) != BTF_KIND_FUNC_PROTO) return refuse(id, "Invalid type_id");
        const btf_param* params = Btf::extra<btf_param>(proto);
        for (u32 i = 0; i < btf_vlen(proto); ++i) {
            if (!params[i].name_off && params[i].type) return refuse(id, "Invalid arg#", i + 1);
        }
        return {};
    }

    Result<void> check_func_proto(u32 id, const btf_type* type) {
        if (!exists(type->type)) return refuse(id, "Invalid return type");
        if (type->type && !is_value_type(type->type)) return refuse(id, "Invalid return type");
        const btf_param* params = Btf::extra<btf_param>(type);
        const u32 count = btf_vlen(type);
        for (u32 i = 0; i < count; ++i) {
            const btf_param& param = params[i];
            // The last one may be "...": no type and no name.
            const bool variadic = i + 1 == count && !param.type;
            if (variadic ? param.name_off != 0 : !param.type)
                return refuse(id, "Invalid arg#", i + 1);
            if (param.name_off && !btf_name_is_identifier(btf_, param.name_off)) {
                return refuse(id, "Invalid arg#", i + 1);
            }
            if (!variadic && (!exists(param.type) || !is_value_type(param.type))) {
                return refuse(id, "Invalid arg#", i + 1);
            }
        }
        return {};
    }

    // A type that arguments and results may have: anything with a size.
    bool is_value_type(u32 id) const {
        const u32 base = btf_.skip_modifiers(id);
        switch (kind_of(base)) {
            case BTF_KIND_UNKN:  // void behind modifiers
            case BTF_KIND_FUNC:
            case BTF_KIND_FUNC_PROTO:
            case BTF_KIND_VAR:
            case BTF_KIND_DATASEC:
            case BTF_KIND_DECL_TAG:
            case BTF_KIND_FWD:
                return false;
            default:
                return true;
        }
    }

    Result<void> check_datasec(u32 id, const btf_type* type) {
        const btf_var_secinfo* vars = Btf::extra<btf_var_secinfo>(type);
        for (u32 i = 0; i < btf_vlen(type); ++i) {
            if (kind_of(vars[i].type) != BTF_KIND_VAR) return refuse(id, "Not a VAR kind member");
            if (btf_.sizes[vars[i].type] > vars[i].size) return refuse(id, "Invalid size");
        }
        return {};
    }

    Result<void> check_decl_tag(u32 id, const btf_type* type) {
        const btf_type* target = btf_.type(type->type);
        const s32 component = Btf::extra<btf_decl_tag>(type)->component_idx;
        const u32 kind = target ? btf_kind(target) : u32{BTF_KIND_UNKN};
        u32 components = 0;
        switch (kind) {
            case BTF_KIND_STRUCT:
            case BTF_KIND_UNION:
                components = btf_vlen(target);
                break;
            case BTF_KIND_FUNC:
                components = btf_vlen(btf_.type(target->type));
                break;
            case BTF_KIND_VAR:
            case BTF_KIND_TYPEDEF:
                break;
            default:
                return refuse(id, "Invalid type_id");
        }
        if (component >= 0 && u32(component) >= components)
            return refuse(id, "Invalid component_idx");
        return {};
    }

    BtfEnv& env_;
    Btf& btf_;
    u8* visits_;
};

}  // namespace

u32 Btf::skip_modifiers(u32 type_id) const {
    const btf_type* t = type(type_id);
    while (t && btf_is_modifier(btf_kind(t))) {
        type_id = t->type;
        t = type(type_id);
    }
    return type_id;
}

Result<void> btf_resolve(BtfEnv& env) {
    host::Buffer<u8> visits;
    if (!visits.allocate(env.btf->types.size(), host::AllocContext::MaySleep, env.btf->memory)) {
        return Errno::NoMem;
    }
    return Resolver(env, visits.data()).run();
}

Result<void> btf_check(Btf* btf, TextBuffer* log) {
    BtfEnv env{btf, log};
    TRY(btf_parse_sections(env));
    TRY(btf_parse_types(env));
    return btf_resolve(env);
}

}  // namespace barebpf
