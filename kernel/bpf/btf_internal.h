// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the passes over a fresh BTF blob share:
//
//   btf_parse.cc     header and sections; each type's record on its own (names, counts, flags)
//   btf_resolve.cc   types against each other: sizes, loops, what may refer to what
#pragma once

#include "kernel/bpf/btf.h"

namespace barebpf {

struct BtfEnv {
    Btf* btf;
    TextBuffer* log;
    u32 type_id = 0;  // under inspection, for the log

    template <class... Parts>
    Errno refuse(const Parts&... parts) {
        log->print(parts..., '\n');
        return Errno::Inval;
    }
    // The same, naming the type: "[3] STRUCT task Invalid member".
    template <class... Parts>
    Errno refuse_type(const btf_type* type, const Parts&... parts) {
        describe(type);
        return refuse(' ', parts...);
    }
    void describe(const btf_type* type);
};

Result<void> btf_parse_sections(BtfEnv& env);
Result<void> btf_parse_types(BtfEnv& env);
Result<void> btf_resolve(BtfEnv& env);

// C identifiers; a section's name may also hold dots.
bool btf_name_is_identifier(const Btf& btf, u32 offset);
bool btf_name_is_section(const Btf& btf, u32 offset);

}  // namespace barebpf
