// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// States and instructions in the log, in Linux 6.1's form:
//
//     0: R1=ctx(off=0,imm=0) R10=fp0
//     0: (61) r0 = *(u32 *)(r1 +0)          ; R0=scalar(umax=4294967295,var_off=(0x0; 0xffffffff))
//
// The part behind the semicolon is what the instruction changed; it is put behind the text of the
// instruction when the next one is reached and nothing else was written in between.
#include "kernel/bpf/disasm.h"
#include "kernel/bpf/verifier.h"

namespace barebpf {

namespace {

struct Spaces {
    size_t count;
};
void append_to(TextBuffer& out, Spaces spaces) {
    out.append_repeated(' ', spaces.count);
}

struct RegText {
    const RegState& reg;
    bool precise;
};

void print_pointer(TextBuffer& out, const RegState& reg) {
    out.print(reg_type_name(reg), '(');
    if (reg.id) out.print("id=", reg.id, ',');
    if (reg.ref_id)
        out.print(reg.flags & kLocalSlice ? "dynptr_id=" : "ref_obj_id=", reg.ref_id, ',');
    out.print("off=", reg.off);
    if (reg.is_packet()) out.print(",r=", reg.packet_range);
    if (reg.type == RegType::MapPtr || reg.type == RegType::MapKey || reg.type == RegType::MapValue)
        out.print(",ks=", reg.map->key_size, ",vs=", reg.map->value_size);
    if (reg.type == RegType::Mem) out.print(",mem_size=", reg.mem_size);
    if (reg.is_const())
        out.print(",imm=", HexDigits{reg.scalar.value(), 1});
    else
        print_scalar_fields(out, reg.scalar, true);
    out.append(')');
}

void append_to(TextBuffer& out, const RegText& text) {
    const RegState& reg = text.reg;
    if (reg.is_scalar()) {
        if (reg.precise) out.append('P');
        print_scalar(out, reg.scalar, reg.id);
    } else if (reg.type == RegType::Stack && reg.is_const()) {
        out.print("fp", static_cast<s64>(reg.scalar.value()) + reg.off);
    } else {
        print_pointer(out, reg);
    }
}

char byte_letter(SlotByte byte) {
    switch (byte) {
        case SlotByte::Spill:
            return 'r';
        case SlotByte::Misc:
            return 'm';
        case SlotByte::Zero:
            return '0';
        case SlotByte::Dynptr:
            return 'd';
        case SlotByte::Invalid:
            break;
    }
    return '?';
}

void print_slot(VerifierEnv& env, const StackSlot& slot, u32 index) {
    bool used = false;
    char letters[9] = {};
    for (u32 i = 0; i < kSlotBytes; ++i) {
        const SlotByte byte = slot.bytes[kSlotBytes - 1 - i];
        letters[i] = byte_letter(byte);
        used |= byte != SlotByte::Invalid;
    }
    if (!used) return;
    env.log.print(" fp-", (index + 1) * kSlotBytes, '=');
    if (slot.is_full_spill())
        env.log.print(RegText{slot.reg, true});
    else
        env.log.print(static_cast<const char*>(letters));
}

void print_frame(VerifierEnv& env, const FuncState& frame, bool all) {
    if (frame.frame) env.log.print(" frame", frame.frame + 0, ':');
    for (u32 r = 0; r < kMaxRegs; ++r) {
        if (frame.regs[r].type == RegType::NotInit) continue;
        if (!all && !(env.changed_regs & 1u << r)) continue;
        env.log.print(" R", r, '=', RegText{frame.regs[r], true});
    }
    for (u32 s = 0; s < frame.slot_count; ++s)
        if (all || (env.changed_slots & u64{1} << s)) print_slot(env, frame.slots[s], s);
}

}  // namespace

void print_frame_state(VerifierEnv& env, const VerifierState& state, u32 frame, bool all) {
    if (!env.log.enabled()) return;
    print_frame(env, *state.frames[frame], all);
    for (u32 i = 0; i < state.ref_count; ++i) env.log.print(i ? "," : " refs=", state.refs[i].id);
    env.log.print('\n');
    env.changed_regs = 0;
    env.changed_slots = 0;
}

void print_state(VerifierEnv& env, const VerifierState& state, bool all) {
    print_frame_state(env, state, state.current, all);
}

void print_insn_state(VerifierEnv& env) {
    if (!env.log.enabled() || (!env.changed_regs && !env.changed_slots)) return;
    if (env.insn_line_length && env.insn_line_mark == env.log.mark()) {
        const u64 length = env.insn_line_length;
        const u64 wide = length + 4 > 40 ? length + 4 : 40;
        env.log.rewind(env.insn_line_mark - 1);
        env.log.print(Spaces{(wide + 7) / 8 * 8 - length - 1}, ';');
    } else {
        env.log.print(env.insn, ':');
    }
    print_state(env, *env.state, false);
}

void print_insn(VerifierEnv& env, u32 insn) {
    if (!env.log.enabled()) return;
    char text[160];
    TextBuffer out(text);
    disasm_insn(out, env.insns + insn);
    const u64 start = env.log.mark();
    env.log.print(insn, ": ", static_cast<const char*>(text), '\n');
    env.insn_line_mark = env.log.mark();
    env.insn_line_length = env.insn_line_mark - start;
}

}  // namespace barebpf
