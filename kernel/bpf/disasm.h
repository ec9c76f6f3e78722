// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Instructions as text, in the words of the kernel's log and of bpftool:
//
//     (61) r0 = *(u32 *)(r1 +0)      (85) call bpf_map_lookup_elem#1      (15) if r0 == 0x7 goto
//     pc+1
//
// Any bytes are printed; what is no instruction reads BUG_... Any context; no allocation.
#pragma once

#include "kernel/lib/text.h"
#include "uapi/linux/bpf.h"

namespace barebpf {

// How to name what only the owner of the program knows; each may be null, and says false to leave
// it at the plain form.
struct DisasmNames {
    void* owner = nullptr;
    bool (*call)(void* owner, const bpf_insn& insn, TextBuffer& out) = nullptr;
    bool (*imm64)(void* owner, const bpf_insn& insn, u64 value, TextBuffer& out) = nullptr;
};

// insn points at two slots for a 64-bit load. No newline.
void disasm_insn(TextBuffer& out, const bpf_insn* insn, const DisasmNames& names = {});

}  // namespace barebpf
