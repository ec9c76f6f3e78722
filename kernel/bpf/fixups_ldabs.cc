// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BPF_LD_ABS and BPF_LD_IND. R6 is the context; the result comes in R0 in the machine's byte order,
// R1 to R5 are lost. When the packet is too short the function returns 0.
//
//     r0 = *(u16 *)skb[12]      r0 = *(u64 *)(r6 +data)
//                               r1 = *(u64 *)(r6 +data_end)
//                               r0 += 14
//                               if r0 <= r1 goto +2
//                               r0 = 0
//                               exit
//                               r0 = *(u16 *)(r0 -2)
//                               r0 = be16 r0
//
//     r0 = *(u16 *)skb[r7+2]    r2 = r7;  r2 += 2;  r1 = r6
//                               call skb_ld_abs_16
//                               if r0 s>= 0 goto +2
//                               r0 = 0
//                               exit
#include "kernel/bpf/decode.h"
#include "kernel/bpf/fixups.h"
#include "kernel/net/packet.h"
#include "kernel/net/skb_load.h"

namespace barebpf {
namespace {

void emit_return_zero(Fixups& fix) {
    fix.out.emit(insn_mov_imm(BPF_REG_0, 0));
    fix.out.emit(insn_exit());
}

void load_inline(Fixups& fix, u32 offset, u32 size) {
    constexpr s16 kData = __builtin_offsetof(SkBuff, data);
    constexpr s16 kDataEnd = __builtin_offsetof(SkBuff, data_end);
    fix.out.emit(insn_load(BPF_DW, BPF_REG_0, BPF_REG_6, kData));
    fix.out.emit(insn_load(BPF_DW, BPF_REG_1, BPF_REG_6, kDataEnd));
    fix.out.emit(insn_add_imm(BPF_REG_0, s32(offset + size)));
    fix.out.emit(make_insn(BPF_JMP | BPF_JLE | BPF_X, BPF_REG_0, BPF_REG_1, 2, 0));
    emit_return_zero(fix);
    fix.out.emit(insn_load(size_code(size), BPF_REG_0, BPF_REG_0, s16(-s32(size))));
    if (size == 1) return;
    fix.out.emit(make_insn(BPF_ALU | BPF_END | BPF_TO_BE, BPF_REG_0, 0, 0, s32(size * 8)));
}

Result<void> load_by_call(Fixups& fix, const bpf_insn& insn, u32 size) {
    if (BPF_MODE(insn.code) == BPF_IND) {
        fix.out.emit(insn_mov(BPF_REG_2, insn.src_reg));
        if (insn.imm) fix.out.emit(insn_add_imm(BPF_REG_2, insn.imm));
    } else {
        fix.out.emit(insn_mov_imm(BPF_REG_2, insn.imm));
    }
    fix.out.emit(insn_mov(BPF_REG_1, BPF_REG_6));
    BpfFunction loader = size == 1 ? skb_ld_abs_8 : size == 2 ? skb_ld_abs_16 : skb_ld_abs_32;
    const u32 call =
        TRY(fix.calls.index_of(reinterpret_cast<const void*>(loader), BPF_FUNC_unspec));
    fix.out.emit(insn_call(call));
    fix.out.emit(insn_jump_imm(BPF_JSGE, BPF_REG_0, 0, 2));
    emit_return_zero(fix);
    return {};
}

}  // namespace

Result<void> fix_ld_abs(Fixups& fix, u32 index) {
    const bpf_insn& insn = fix.env.insns[index];
    const u32 size = access_bytes(insn.code);
    const bool in_front = BPF_MODE(insn.code) == BPF_ABS && insn.imm >= 0;
    if (!in_front || insn.imm > 0x7fff'ffff - 4) return load_by_call(fix, insn, size);
    load_inline(fix, u32(insn.imm), size);
    return {};
}

}  // namespace barebpf
