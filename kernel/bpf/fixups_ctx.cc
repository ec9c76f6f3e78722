// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Context accesses: from the UAPI structure that the program was written against to ours.
//
//     field  4 bytes at 60 of the UAPI structure, 2 bytes at 18 of ours
//     u32 at 60  ->  u16 at 18         the field is wider than what stands for it: zero-extended
//     u8  at 61  ->  u8  at 19         a part: the same part, machines are little-endian
//     u8  at 63  ->  0                 a part that has nothing behind it
//
// check_ctx.cc has seen that an access stays within one field and is aligned, so a part lies either
// inside what stands for the field or behind it.
#include "kernel/bpf/decode.h"
#include "kernel/bpf/fixups.h"
#include "kernel/bpf/verifier_ctx.h"

namespace barebpf {
namespace {

struct Place {
    s16 off;        // in our structure
    u32 available;  // bytes of the field there, from off on; 0: none
};

Place place_of(const ContextField& field, s32 off) {
    const u32 delta = u32(off) - field.offset;
    const u32 size = is_ctx_array(field) ? field.size : field.struct_size;
    return {s16(field.struct_offset + delta), delta < size ? size - delta : 0};
}

void fix_load(Fixups& fix, const bpf_insn& insn, const ContextField& field) {
    const Place place = place_of(field, insn.off);
    const u8 dst = insn.dst_reg;
    // A pointer is 4 bytes in the UAPI structure and 8 in ours.
    if (field.kind != FieldKind::Scalar)
        return fix.out.emit(insn_load(BPF_DW, dst, insn.src_reg, place.off));
    const u32 size = access_bytes(insn.code);
    if (place.available == 0) return fix.out.emit(insn_mov_imm(dst, 0));

    const bool extends = BPF_MODE(insn.code) == BPF_MEMSX;
    bpf_insn load = insn;
    load.off = place.off;
    if (place.available < size) {
        // The upper part reads as zero, so there is no sign to extend.
        load.code = u8(BPF_LDX | BPF_MEM | size_code(place.available));
    } else if (extends) {
        load.code = u8(BPF_LDX | BPF_MEMSX | BPF_SIZE(insn.code));
    }
    fix.out.emit(load);
}

void fix_store(Fixups& fix, const bpf_insn& insn, const ContextField& field) {
    const Place place = place_of(field, insn.off);
    if (place.available == 0) return;
    bpf_insn store = insn;
    store.off = place.off;
    if (place.available < access_bytes(insn.code))
        store.code = u8((insn.code & ~0x18) | size_code(place.available));
    fix.out.emit(store);
}

}  // namespace

Result<void> fix_ctx_access(Fixups& fix, u32 insn_index) {
    const bpf_insn& insn = fix.env.insns[insn_index];
    const ContextField* field = fix.env.ops ? find_ctx_field(*fix.env.ops, insn.off) : nullptr;
    if (!field || field->kind == FieldKind::Pad) {
        fix.env.log.print("bpf verifier is misconfigured\n");
        return Errno::Inval;
    }
    if (BPF_CLASS(insn.code) == BPF_LDX) {
        fix_load(fix, insn, *field);
    } else {
        fix_store(fix, insn, *field);
    }
    return {};
}

}  // namespace barebpf
