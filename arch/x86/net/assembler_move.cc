// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Data movement: SDM vol. 2, entries MOV, MOVZX, MOVSX, MOVBE, LEA, XCHG, BSWAP, PUSH, POP, CMOVcc,
// SETcc. Each comment gives the opcode line used.
#include "arch/x86/net/assembler.h"

namespace barebpf::x86 {

static Opcode sized(u32 wide_opcode, Width width, OpcodeMap map = OpcodeMap::One) {
    return {static_cast<u8>(width == Width::W8 ? wide_opcode - 1 : wide_opcode), map};
}

static ByteOperands both_bytes(Width width) {
    return width == Width::W8 ? ByteOperands::Both : ByteOperands::None;
}

// MOV r/m, r: 88 /r, 89 /r
void Assembler::mov(Width width, Register dst, Register src) {
    Instruction ins;
    ins.modrm(sized(0x89, width), width, number(src), dst, both_bytes(width));
    emit(ins);
}

// MOV r, r/m: 8A /r, 8B /r
void Assembler::mov(Width width, Register dst, const Memory& src) {
    Instruction ins;
    ins.modrm(sized(0x8B, width), width, number(dst), src, both_bytes(width));
    emit(ins);
}

// MOV r/m, r: 88 /r, 89 /r
void Assembler::mov(Width width, const Memory& dst, Register src) {
    Instruction ins;
    ins.modrm(sized(0x89, width), width, number(src), dst, both_bytes(width));
    emit(ins);
}

// MOV r, imm: B0+r ib, B8+r iw/id; MOV r/m64, imm32: REX.W C7 /0 id
void Assembler::mov(Width width, Register dst, s32 immediate) {
    Instruction ins;
    if (width == Width::W64)
        ins.modrm({0xC7}, width, 0, dst);
    else
        ins.opcode_register({static_cast<u8>(width == Width::W8 ? 0xB0 : 0xB8)}, width, dst);
    ins.immediate(width, immediate);
    emit(ins);
}

// MOV r/m, imm: C6 /0 ib, C7 /0 iw/id
void Assembler::mov(Width width, const Memory& dst, s32 immediate) {
    Instruction ins;
    ins.modrm(sized(0xC7, width), width, 0, dst);
    ins.immediate(width, immediate);
    emit(ins);
}

// MOV RAX, moffs64: REX.W A1
void Assembler::mov_absolute(u64 address) {
    Instruction ins;
    ins.plain({0xA1}, Width::W64);
    ins.put64(address);
    emit(ins);
}

// MOV r64, imm64: REX.W B8+r io
void Assembler::mov64(Register dst, u64 immediate) {
    Instruction ins;
    ins.opcode_register({0xB8}, Width::W64, dst);
    ins.put64(immediate);
    emit(ins);
}

void Assembler::load_constant(Register dst, u64 value) {
    if (value == 0) return zero(dst);
    load_constant_keep_flags(dst, value);
}

void Assembler::load_constant_keep_flags(Register dst, u64 value) {
    if (fits_u32(value)) return mov(Width::W32, dst, static_cast<s32>(value));
    if (fits_s32(static_cast<s64>(value))) return mov(Width::W64, dst, static_cast<s32>(value));
    mov64(dst, value);
}

void Assembler::zero(Register dst) {
    xor_(Width::W32, dst, dst);
}

// MOVZX r32, r/m8: 0F B6 /r; r/m16: 0F B7 /r. From 32 bits it is a plain MOV r32.
void Assembler::movzx(Register dst, Width from, Register src) {
    if (from == Width::W32 || from == Width::W64) return mov(from, dst, src);
    Instruction ins;
    ins.modrm(sized(0xB7, from, OpcodeMap::Map0F), Width::W32, number(dst), src,
              from == Width::W8 ? ByteOperands::Rm : ByteOperands::None);
    emit(ins);
}

void Assembler::movzx(Register dst, Width from, const Memory& src) {
    if (from == Width::W32 || from == Width::W64) return mov(from, dst, src);
    Instruction ins;
    ins.modrm(sized(0xB7, from, OpcodeMap::Map0F), Width::W32, number(dst), src);
    emit(ins);
}

// MOVSX r, r/m8: 0F BE /r; r/m16: 0F BF /r. MOVSXD r64, r/m32: REX.W 63 /r
static Opcode sign_extension(Width from) {
    if (from == Width::W32) return {0x63};
    return sized(0xBF, from, OpcodeMap::Map0F);
}

void Assembler::movsx(Width to, Register dst, Width from, Register src) {
    valid_if(to > from);
    Instruction ins;
    ins.modrm(sign_extension(from), to, number(dst), src,
              from == Width::W8 ? ByteOperands::Rm : ByteOperands::None);
    emit(ins);
}

void Assembler::movsx(Width to, Register dst, Width from, const Memory& src) {
    valid_if(to > from);
    Instruction ins;
    ins.modrm(sign_extension(from), to, number(dst), src);
    emit(ins);
}

// MOVBE r, m: 0F 38 F0 /r
void Assembler::movbe(Width width, Register dst, const Memory& src) {
    valid_if(width != Width::W8);
    Instruction ins;
    ins.modrm({0xF0, OpcodeMap::Map0F38}, width, number(dst), src);
    emit(ins);
}

// MOVBE m, r: 0F 38 F1 /r
void Assembler::movbe(Width width, const Memory& dst, Register src) {
    valid_if(width != Width::W8);
    Instruction ins;
    ins.modrm({0xF1, OpcodeMap::Map0F38}, width, number(src), dst);
    emit(ins);
}

// LEA r, m: 8D /r
void Assembler::lea(Width width, Register dst, const Memory& src) {
    valid_if(width != Width::W8);
    Instruction ins;
    ins.modrm({0x8D}, width, number(dst), src);
    emit(ins);
}

// XCHG rAX, r: 90+r (not for eax, eax, which would be a NOP without zero extension);
// XCHG r/m, r: 86 /r, 87 /r
void Assembler::xchg(Width width, Register a, Register b) {
    Instruction ins;
    if (width != Width::W8 && a != b && (a == Register::Rax || b == Register::Rax))
        ins.opcode_register({0x90}, width, a == Register::Rax ? b : a);
    else
        ins.modrm(sized(0x87, width), width, number(b), a, both_bytes(width));
    emit(ins);
}

// BSWAP r: 0F C8+r
void Assembler::bswap(Width width, Register reg) {
    valid_if(width == Width::W32 || width == Width::W64);
    Instruction ins;
    ins.opcode_register({0xC8, OpcodeMap::Map0F}, width, reg);
    emit(ins);
}

// PUSH r64: 50+r. Stack operands are 64 bits wide without REX.W.
void Assembler::push(Register reg) {
    Instruction ins;
    ins.opcode_register({0x50}, Width::W32, reg);
    emit(ins);
}

// PUSH r/m64: FF /6
void Assembler::push(const Memory& src) {
    Instruction ins;
    ins.modrm({0xFF}, Width::W32, 6, src);
    emit(ins);
}

// PUSH imm8: 6A ib; PUSH imm32: 68 id
void Assembler::push(s32 immediate) {
    Instruction ins;
    ins.plain({static_cast<u8>(fits_s8(immediate) ? 0x6A : 0x68)});
    ins.immediate(fits_s8(immediate) ? Width::W8 : Width::W32, immediate);
    emit(ins);
}

// POP r64: 58+r
void Assembler::pop(Register reg) {
    Instruction ins;
    ins.opcode_register({0x58}, Width::W32, reg);
    emit(ins);
}

// POP r/m64: 8F /0
void Assembler::pop(const Memory& dst) {
    Instruction ins;
    ins.modrm({0x8F}, Width::W32, 0, dst);
    emit(ins);
}

// CMOVcc r, r/m: 0F 40+cc /r
void Assembler::cmov(Condition condition, Width width, Register dst, Register src) {
    valid_if(width != Width::W8);
    Instruction ins;
    ins.modrm({static_cast<u8>(0x40 + number(condition)), OpcodeMap::Map0F}, width, number(dst),
              src);
    emit(ins);
}

void Assembler::cmov(Condition condition, Width width, Register dst, const Memory& src) {
    valid_if(width != Width::W8);
    Instruction ins;
    ins.modrm({static_cast<u8>(0x40 + number(condition)), OpcodeMap::Map0F}, width, number(dst),
              src);
    emit(ins);
}

// SETcc r/m8: 0F 90+cc
void Assembler::set(Condition condition, Register dst) {
    Instruction ins;
    ins.modrm({static_cast<u8>(0x90 + number(condition)), OpcodeMap::Map0F}, Width::W8, 0, dst,
              ByteOperands::Rm);
    emit(ins);
}

void Assembler::set(Condition condition, const Memory& dst) {
    Instruction ins;
    ins.modrm({static_cast<u8>(0x90 + number(condition)), OpcodeMap::Map0F}, Width::W8, 0, dst);
    emit(ins);
}

}  // namespace barebpf::x86
