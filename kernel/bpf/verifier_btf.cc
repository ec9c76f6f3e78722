// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The verifier's questions, answered by btf.h.
#include "kernel/bpf/verifier_btf.h"

#include "kernel/bpf/btf.h"

namespace barebpf {
namespace {

const char* const kKindNames[] = {
    "UNKNOWN", "INT",     "PTR",      "ARRAY",    "STRUCT",   "UNION",  "ENUM",
    "FWD",     "TYPEDEF", "VOLATILE", "CONST",    "RESTRICT", "FUNC",   "FUNC_PROTO",
    "VAR",     "DATASEC", "FLOAT",    "DECL_TAG", "TYPE_TAG", "ENUM64",
};

const char* kind_name(const btf_type* type) {
    const u32 kind = type ? btf_kind(type) : 0;
    return type && kind < sizeof kKindNames / sizeof kKindNames[0] ? kKindNames[kind] : "UNKNOWN";
}

bool is_number(const Btf* btf, u32 type_id) {
    const u32 id = btf->skip_modifiers(type_id);
    const btf_type* type = btf->type(id);
    if (!type || btf->size_of(id) > 8) return false;
    const u32 kind = btf_kind(type);
    return kind == BTF_KIND_INT || kind == BTF_KIND_ENUM || kind == BTF_KIND_ENUM64;
}

const char* name_of(const Btf* btf, const btf_type* type) {
    const char* name = type ? btf->string(type->name_off) : nullptr;
    return name ? name : "";
}

const btf_type* type_of_kind(const Btf* btf, u32 type_id, u32 kind) {
    const btf_type* type = btf->type(type_id);
    return type && btf_kind(type) == kind ? type : nullptr;
}

Result<BtfFunction> function(const Btf* btf, u32 type_id) {
    const btf_type* type = type_of_kind(btf, type_id, BTF_KIND_FUNC);
    if (!type) return Errno::Inval;
    const btf_type* proto = type_of_kind(btf, type->type, BTF_KIND_FUNC_PROTO);
    if (!proto) return Errno::Inval;
    return BtfFunction{.name = name_of(btf, type),
                       .proto_id = type->type,
                       .is_global = btf_vlen(type) == BTF_FUNC_GLOBAL,
                       .returns_number = is_number(btf, proto->type)};
}

BtfArgument argument(const Btf* btf, u32 type_id) {
    const u32 id = btf->skip_modifiers(type_id);
    const btf_type* type = btf->type(id);
    if (is_number(btf, id))
        return {BtfArgument::Kind::Number, name_of(btf, type), kind_name(type), btf->size_of(id)};
    if (!type || btf_kind(type) != BTF_KIND_PTR)
        return {BtfArgument::Kind::Other, name_of(btf, type), kind_name(type), 0};
    const u32 target = btf->skip_modifiers(type->type);
    const btf_type* to = btf->type(target);
    return {BtfArgument::Kind::Pointer, name_of(btf, to), kind_name(to), btf->size_of(target)};
}

Result<u32> arguments(const Btf* btf, u32 proto_id, BtfArgument* out, u32 room) {
    const btf_type* proto = type_of_kind(btf, proto_id, BTF_KIND_FUNC_PROTO);
    if (!proto) return Errno::Inval;
    const btf_param* params = Btf::extra<btf_param>(proto);
    const u32 count = btf_vlen(proto);
    for (u32 i = 0; i < count && i < room; ++i) out[i] = argument(btf, params[i].type);
    return count;
}

const char* string(const Btf* btf, u32 offset) {
    return btf->string(offset);
}

}  // namespace

constinit const VerifierBtf kVerifierBtf = {
    .get_by_fd = btf_get_by_fd,
    .put = btf_put,
    .function = function,
    .arguments = arguments,
    .string = string,
};

}  // namespace barebpf
