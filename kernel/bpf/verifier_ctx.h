// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Rows of a program type's context, for the check of an access and for its translation.
#pragma once

#include "kernel/bpf/prog_type.h"

namespace barebpf {

// The field that byte `off` of the context belongs to, or null.
inline const ContextField* find_ctx_field(const ProgTypeOps& ops, s64 off) {
    for (u32 i = 0; i < ops.field_count; ++i) {
        const ContextField& field = ops.fields[i];
        if (off >= field.offset && off < s64{field.offset} + field.size) return &field;
    }
    return nullptr;
}

// An array (cb[]) is laid out alike on both sides and may be accessed across its elements.
inline bool is_ctx_array(const ContextField& field) {
    return field.size > 8;
}

}  // namespace barebpf
