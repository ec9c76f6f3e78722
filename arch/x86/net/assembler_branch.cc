// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Control flow: SDM vol. 2, entries JMP, Jcc, CALL, RET, LEAVE, INT3, UD2, ENDBR64, NOP.
#include "arch/x86/net/assembler.h"

namespace barebpf::x86 {

// JMP rel8: EB cb; JMP rel32: E9 cd
void Assembler::jump(Label target) {
    Instruction ins;
    bool near = layout_->next_jump_is_near(target, position_ + 2, 3);
    ins.put8(near ? 0xE9 : 0xEB);
    s32 distance = distance_to(target, position_ + (near ? 5 : 2));
    ins.immediate(near ? Width::W32 : Width::W8, distance);
    valid_if(near || fits_s8(distance));
    emit(ins);
}

// Jcc rel8: 70+cc cb; Jcc rel32: 0F 80+cc cd
void Assembler::jump(Condition condition, Label target) {
    Instruction ins;
    bool near = layout_->next_jump_is_near(target, position_ + 2, 4);
    if (near) {
        ins.put8(0x0F);
        ins.put8(0x80 + number(condition));
    } else {
        ins.put8(0x70 + number(condition));
    }
    s32 distance = distance_to(target, position_ + (near ? 6 : 2));
    ins.immediate(near ? Width::W32 : Width::W8, distance);
    valid_if(near || fits_s8(distance));
    emit(ins);
}

// JMP r/m64: FF /4. Near branches are 64 bits wide without REX.W.
void Assembler::jump(Register target) {
    Instruction ins;
    ins.modrm({0xFF}, Width::W32, 4, target);
    emit(ins);
}

void Assembler::jump(const Memory& target) {
    Instruction ins;
    ins.modrm({0xFF}, Width::W32, 4, target);
    emit(ins);
}

// CALL rel32: E8 cd
void Assembler::call(Label target) {
    call_relative(distance_to(target, position_ + 5));
}

// CALL r/m64: FF /2
void Assembler::call(Register target) {
    Instruction ins;
    ins.modrm({0xFF}, Width::W32, 2, target);
    emit(ins);
}

void Assembler::call(const Memory& target) {
    Instruction ins;
    ins.modrm({0xFF}, Width::W32, 2, target);
    emit(ins);
}

void Assembler::call_relative(s32 distance) {
    Instruction ins;
    ins.plain({0xE8});
    ins.immediate(Width::W32, distance);
    emit(ins);
}

void Assembler::jump_relative(s32 distance) {
    Instruction ins;
    ins.plain({0xE9});
    ins.immediate(Width::W32, distance);
    emit(ins);
}

// RET: C3
void Assembler::ret() {
    Instruction ins;
    ins.plain({0xC3});
    emit(ins);
}

// LEAVE: C9
void Assembler::leave() {
    Instruction ins;
    ins.plain({0xC9});
    emit(ins);
}

// INT3: CC
void Assembler::int3() {
    Instruction ins;
    ins.plain({0xCC});
    emit(ins);
}

// UD2: 0F 0B
void Assembler::ud2() {
    Instruction ins;
    ins.plain({0x0B, OpcodeMap::Map0F});
    emit(ins);
}

// ENDBR64: F3 0F 1E FA
void Assembler::endbr64() {
    Instruction ins;
    ins.plain({0x1E, OpcodeMap::Map0F, 0xF3});
    ins.put8(0xFA);
    emit(ins);
}

// NOP: table 4-12 recommends one sequence for each length of 1 to 9.
void Assembler::nop(u32 length) {
    static constexpr u8 kNops[9][9] = {
        {0x90},
        {0x66, 0x90},
        {0x0F, 0x1F, 0x00},
        {0x0F, 0x1F, 0x40, 0x00},
        {0x0F, 0x1F, 0x44, 0x00, 0x00},
        {0x66, 0x0F, 0x1F, 0x44, 0x00, 0x00},
        {0x0F, 0x1F, 0x80, 0x00, 0x00, 0x00, 0x00},
        {0x0F, 0x1F, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
        {0x66, 0x0F, 0x1F, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
    };
    while (length > 0) {
        u32 now = length < 9 ? length : 9;
        Instruction ins;
        for (u32 i = 0; i < now; i++) ins.put8(kNops[now - 1][i]);
        emit(ins);
        length -= now;
    }
}

void Assembler::keep_within_line(u32 length) {
    constexpr u32 kLine = 32;
    u32 offset = position_ % kLine;
    if (layout_->sizing_pass() || offset + length < kLine) return;
    nop(kLine - offset);
}

u32 Assembler::next_jump_length(bool conditional) const {
    if (!layout_->peek_near()) return 2;
    return conditional ? 6 : 5;
}

}  // namespace barebpf::x86
