// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Accesses to the context, by the rows of the program type (prog_type.h).
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

// Arrays are one row; their elements are 4 bytes.
u32 element_size(const ContextField& field) {
    return field.size > 8 ? 4 : field.size;
}

const ContextField* find_field(const ProgTypeOps& ops, s64 off, u32 size) {
    for (u32 i = 0; i < ops.field_count; ++i) {
        const ContextField& field = ops.fields[i];
        if (off >= field.offset && off + size <= s64{field.offset} + field.size) return &field;
    }
    return nullptr;
}

bool is_allowed(const ContextField& field, u32 size, Access access, const ProgTypeOps& ops,
                const Prog* prog) {
    if (field.kind == FieldKind::Pad) return false;
    const u32 element = element_size(field);
    const bool write = access == Access::Write;
    if (write && !field.writable) return false;
    // An array (cb[]) is laid out alike on both sides and may be accessed across its elements.
    const bool array = field.size > 8;
    if (size > element && !array) return false;
    if (size != element && !(write ? field.partial_write : field.narrow)) return false;
    if (size < element && field.kind != FieldKind::Scalar) return false;
    return !ops.access_ok || ops.access_ok(field, write, prog);
}

RegType field_type(FieldKind kind) {
    switch (kind) {
        case FieldKind::Packet:
            return RegType::Packet;
        case FieldKind::PacketMeta:
            return RegType::PacketMeta;
        case FieldKind::PacketEnd:
            return RegType::PacketEnd;
        default:
            return RegType::Number;
    }
}

}  // namespace

Result<ContextAccess> check_ctx_access(VerifierEnv& env, u32 insn, s64 off, u32 size,
                                       Access access) {
    if (env.ops && off >= 0 && off + size <= env.ops->ctx_size && off % size == 0) {
        const ContextField* field = find_field(*env.ops, off, size);
        if (field && is_allowed(*field, size, access, *env.ops, env.prog))
            return ContextAccess{field_type(field->kind), static_cast<u8>(element_size(*field))};
    }
    env.log.print("invalid bpf_context access off=", off, " size=", size, '\n');
    return Errno::Acces;
}

}  // namespace barebpf
