// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Shifts, rotates and bit operations: SDM vol. 2, entries SAL/SAR/SHL/SHR, RCL/RCR/ROL/ROR,
// SARX/SHLX/SHRX, RORX, ANDN, BEXTR, BZHI, BT/BTS/BTR/BTC, POPCNT, TZCNT, LZCNT.
#include "arch/x86/net/assembler.h"

namespace barebpf::x86 {

static Opcode sized(u32 wide_opcode, Width width) {
    return {static_cast<u8>(width == Width::W8 ? wide_opcode - 1 : wide_opcode)};
}

static ByteOperands byte_rm(Width width) {
    return width == Width::W8 ? ByteOperands::Rm : ByteOperands::None;
}

// OP r/m, 1: D0/D1 /digit; OP r/m, imm8: C0/C1 /digit ib
void Assembler::shift(Shift operation, Width width, Register dst, u32 count) {
    valid_if(count < bytes(width) * 8);
    Instruction ins;
    ins.modrm(sized(count == 1 ? 0xD1 : 0xC1, width), width, static_cast<u32>(operation), dst,
              byte_rm(width));
    if (count != 1) ins.put8(count);
    emit(ins);
}

void Assembler::shift(Shift operation, Width width, const Memory& dst, u32 count) {
    valid_if(count < bytes(width) * 8);
    Instruction ins;
    ins.modrm(sized(count == 1 ? 0xD1 : 0xC1, width), width, static_cast<u32>(operation), dst);
    if (count != 1) ins.put8(count);
    emit(ins);
}

// OP r/m, CL: D2/D3 /digit
void Assembler::shift_cl(Shift operation, Width width, Register dst) {
    Instruction ins;
    ins.modrm(sized(0xD3, width), width, static_cast<u32>(operation), dst, byte_rm(width));
    emit(ins);
}

void Assembler::shift_cl(Shift operation, Width width, const Memory& dst) {
    Instruction ins;
    ins.modrm(sized(0xD3, width), width, static_cast<u32>(operation), dst);
    emit(ins);
}

// SHLX VEX.66.0F38 F7 /r, SHRX VEX.F2.0F38 F7 /r, SARX VEX.F3.0F38 F7 /r: r, r/m, count in vvvv
static Opcode three_operand_shift(Shift operation) {
    u8 prefix = operation == Shift::Shl ? 0x66 : operation == Shift::Shr ? 0xF2 : 0xF3;
    return {0xF7, OpcodeMap::Map0F38, prefix};
}

static bool has_three_operands(Shift operation, Width width) {
    return static_cast<u32>(operation) >= 4 && width >= Width::W32;
}

void Assembler::shiftx(Shift operation, Width width, Register dst, Register src, Register count) {
    valid_if(has_three_operands(operation, width));
    Instruction ins;
    ins.vex(three_operand_shift(operation), width, number(dst), src, number(count));
    emit(ins);
}

void Assembler::shiftx(Shift operation, Width width, Register dst, const Memory& src,
                       Register count) {
    valid_if(has_three_operands(operation, width));
    Instruction ins;
    ins.vex(three_operand_shift(operation), width, number(dst), src, number(count));
    emit(ins);
}

// RORX r, r/m, imm8: VEX.F2.0F3A F0 /r ib
void Assembler::rorx(Width width, Register dst, Register src, u32 count) {
    valid_if(width >= Width::W32 && count < bytes(width) * 8);
    Instruction ins;
    ins.vex({0xF0, OpcodeMap::Map0F3A, 0xF2}, width, number(dst), src, 0);
    ins.put8(count);
    emit(ins);
}

void Assembler::rorx(Width width, Register dst, const Memory& src, u32 count) {
    valid_if(width >= Width::W32 && count < bytes(width) * 8);
    Instruction ins;
    ins.vex({0xF0, OpcodeMap::Map0F3A, 0xF2}, width, number(dst), src, 0);
    ins.put8(count);
    emit(ins);
}

// ANDN r, vvvv, r/m: VEX.0F38 F2 /r
void Assembler::andn(Width width, Register dst, Register inverted, Register src) {
    valid_if(width >= Width::W32);
    Instruction ins;
    ins.vex({0xF2, OpcodeMap::Map0F38}, width, number(dst), src, number(inverted));
    emit(ins);
}

// BEXTR r, r/m, vvvv: VEX.0F38 F7 /r
void Assembler::bextr(Width width, Register dst, Register src, Register control) {
    valid_if(width >= Width::W32);
    Instruction ins;
    ins.vex({0xF7, OpcodeMap::Map0F38}, width, number(dst), src, number(control));
    emit(ins);
}

// BZHI r, r/m, vvvv: VEX.0F38 F5 /r
void Assembler::bzhi(Width width, Register dst, Register src, Register index) {
    valid_if(width >= Width::W32);
    Instruction ins;
    ins.vex({0xF5, OpcodeMap::Map0F38}, width, number(dst), src, number(index));
    emit(ins);
}

// BT 0F A3, BTS 0F AB, BTR 0F B3, BTC 0F BB: r/m, r
void Assembler::bit_test(BitTest operation, Width width, Register reg, Register bit) {
    valid_if(width != Width::W8);
    u32 byte = 0x83 + static_cast<u32>(operation) * 8;
    Instruction ins;
    ins.modrm({static_cast<u8>(byte), OpcodeMap::Map0F}, width, number(bit), reg);
    emit(ins);
}

// BT /4, BTS /5, BTR /6, BTC /7 r/m, imm8: 0F BA ib
void Assembler::bit_test(BitTest operation, Width width, Register reg, u32 bit) {
    valid_if(width != Width::W8 && bit < bytes(width) * 8);
    Instruction ins;
    ins.modrm({0xBA, OpcodeMap::Map0F}, width, static_cast<u32>(operation), reg);
    ins.put8(bit);
    emit(ins);
}

void Assembler::bit_test(BitTest operation, Width width, const Memory& memory, u32 bit) {
    valid_if(width != Width::W8 && bit < bytes(width) * 8);
    Instruction ins;
    ins.modrm({0xBA, OpcodeMap::Map0F}, width, static_cast<u32>(operation), memory);
    ins.put8(bit);
    emit(ins);
}

// POPCNT r, r/m: F3 0F B8 /r
void Assembler::popcnt(Width width, Register dst, Register src) {
    valid_if(width != Width::W8);
    Instruction ins;
    ins.modrm({0xB8, OpcodeMap::Map0F, 0xF3}, width, number(dst), src);
    emit(ins);
}

// TZCNT r, r/m: F3 0F BC /r
void Assembler::tzcnt(Width width, Register dst, Register src) {
    valid_if(width != Width::W8);
    Instruction ins;
    ins.modrm({0xBC, OpcodeMap::Map0F, 0xF3}, width, number(dst), src);
    emit(ins);
}

// LZCNT r, r/m: F3 0F BD /r
void Assembler::lzcnt(Width width, Register dst, Register src) {
    valid_if(width != Width::W8);
    Instruction ins;
    ins.modrm({0xBD, OpcodeMap::Map0F, 0xF3}, width, number(dst), src);
    emit(ins);
}

// PREFETCHT0 m8: 0F 18 /1
void Assembler::prefetch(const Memory& address) {
    Instruction ins;
    ins.modrm({0x18, OpcodeMap::Map0F}, Width::W32, 1, address);
    emit(ins);
}

}  // namespace barebpf::x86
