// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Arithmetic and logic: SDM vol. 2, entries ADD, OR, ADC, SBB, AND, SUB, XOR, CMP, TEST, INC, DEC,
// NOT, NEG, MUL, IMUL, DIV, IDIV, CWD/CDQ/CQO, and the opcode groups of appendix A.4.
#include "arch/x86/net/assembler.h"

namespace barebpf::x86 {

static Opcode sized(u32 wide_opcode, Width width) {
    return {static_cast<u8>(width == Width::W8 ? wide_opcode - 1 : wide_opcode)};
}

static ByteOperands both_bytes(Width width) {
    return width == Width::W8 ? ByteOperands::Both : ByteOperands::None;
}

static ByteOperands byte_rm(Width width) {
    return width == Width::W8 ? ByteOperands::Rm : ByteOperands::None;
}

static u32 digit(Alu operation) {
    return static_cast<u32>(operation);
}

// OP r/m, r: 00/01 + 8 * digit, /r
void Assembler::alu(Alu operation, Width width, Register dst, Register src) {
    Instruction ins;
    ins.modrm(sized(digit(operation) * 8 + 1, width), width, number(src), dst, both_bytes(width));
    emit(ins);
}

void Assembler::alu(Alu operation, Width width, const Memory& dst, Register src) {
    Instruction ins;
    ins.modrm(sized(digit(operation) * 8 + 1, width), width, number(src), dst, both_bytes(width));
    emit(ins);
}

// OP r, r/m: 02/03 + 8 * digit, /r
void Assembler::alu(Alu operation, Width width, Register dst, const Memory& src) {
    Instruction ins;
    ins.modrm(sized(digit(operation) * 8 + 3, width), width, number(dst), src, both_bytes(width));
    emit(ins);
}

// OP r/m, imm8: 83 /digit ib (sign-extended); OP rAX, imm: 04/05 + 8 * digit;
// OP r/m, imm: 80/81 /digit
void Assembler::alu(Alu operation, Width width, Register dst, s32 immediate) {
    Instruction ins;
    if (width != Width::W8 && fits_s8(immediate)) {
        ins.modrm({0x83}, width, digit(operation), dst);
        ins.immediate(Width::W8, immediate);
        return emit(ins);
    }
    if (dst == Register::Rax)
        ins.plain(sized(digit(operation) * 8 + 5, width), width);
    else
        ins.modrm(sized(0x81, width), width, digit(operation), dst, byte_rm(width));
    ins.immediate(width, immediate);
    emit(ins);
}

static Instruction alu_memory_immediate(Instruction ins, Alu operation, Width width,
                                        const Memory& dst, s32 immediate) {
    if (width != Width::W8 && fits_s8(immediate)) {
        ins.modrm({0x83}, width, digit(operation), dst);
        ins.immediate(Width::W8, immediate);
    } else {
        ins.modrm(sized(0x81, width), width, digit(operation), dst);
        ins.immediate(width, immediate);
    }
    return ins;
}

void Assembler::alu(Alu operation, Width width, const Memory& dst, s32 immediate) {
    emit(alu_memory_immediate({}, operation, width, dst, immediate));
}

// LOCK: F0 before the memory forms; CMP has none.
void Assembler::lock_alu(Alu operation, Width width, const Memory& dst, s32 immediate) {
    valid_if(operation != Alu::Cmp);
    Instruction ins;
    ins.lock();
    emit(alu_memory_immediate(ins, operation, width, dst, immediate));
}

// TEST r/m, r: 84 /r, 85 /r
void Assembler::test(Width width, Register a, Register b) {
    Instruction ins;
    ins.modrm(sized(0x85, width), width, number(b), a, both_bytes(width));
    emit(ins);
}

void Assembler::test(Width width, const Memory& a, Register b) {
    Instruction ins;
    ins.modrm(sized(0x85, width), width, number(b), a, both_bytes(width));
    emit(ins);
}

// TEST rAX, imm: A8 ib, A9 iw/id; TEST r/m, imm: F6 /0 ib, F7 /0 iw/id
void Assembler::test(Width width, Register a, s32 immediate) {
    Instruction ins;
    if (a == Register::Rax)
        ins.plain(sized(0xA9, width), width);
    else
        ins.modrm(sized(0xF7, width), width, 0, a, byte_rm(width));
    ins.immediate(width, immediate);
    emit(ins);
}

void Assembler::test(Width width, const Memory& a, s32 immediate) {
    Instruction ins;
    ins.modrm(sized(0xF7, width), width, 0, a);
    ins.immediate(width, immediate);
    emit(ins);
}

// INC r/m: FE /0, FF /0
void Assembler::inc(Width width, Register dst) {
    Instruction ins;
    ins.modrm(sized(0xFF, width), width, 0, dst, byte_rm(width));
    emit(ins);
}

void Assembler::inc(Width width, const Memory& dst) {
    Instruction ins;
    ins.modrm(sized(0xFF, width), width, 0, dst);
    emit(ins);
}

// DEC r/m: FE /1, FF /1
void Assembler::dec(Width width, Register dst) {
    Instruction ins;
    ins.modrm(sized(0xFF, width), width, 1, dst, byte_rm(width));
    emit(ins);
}

void Assembler::dec(Width width, const Memory& dst) {
    Instruction ins;
    ins.modrm(sized(0xFF, width), width, 1, dst);
    emit(ins);
}

// NOT /2, NEG /3, MUL /4, IMUL /5, DIV /6, IDIV /7 r/m: F6, F7
void Assembler::unary(Unary operation, Width width, Register operand) {
    Instruction ins;
    ins.modrm(sized(0xF7, width), width, static_cast<u32>(operation), operand, byte_rm(width));
    emit(ins);
}

void Assembler::unary(Unary operation, Width width, const Memory& operand) {
    Instruction ins;
    ins.modrm(sized(0xF7, width), width, static_cast<u32>(operation), operand);
    emit(ins);
}

// IMUL r, r/m: 0F AF /r
void Assembler::imul(Width width, Register dst, Register src) {
    valid_if(width != Width::W8);
    Instruction ins;
    ins.modrm({0xAF, OpcodeMap::Map0F}, width, number(dst), src);
    emit(ins);
}

void Assembler::imul(Width width, Register dst, const Memory& src) {
    valid_if(width != Width::W8);
    Instruction ins;
    ins.modrm({0xAF, OpcodeMap::Map0F}, width, number(dst), src);
    emit(ins);
}

// IMUL r, r/m, imm8: 6B /r ib; imm: 69 /r iw/id
void Assembler::imul(Width width, Register dst, Register src, s32 immediate) {
    valid_if(width != Width::W8);
    Instruction ins;
    ins.modrm({static_cast<u8>(fits_s8(immediate) ? 0x6B : 0x69)}, width, number(dst), src);
    ins.immediate(fits_s8(immediate) ? Width::W8 : width, immediate);
    emit(ins);
}

void Assembler::imul(Width width, Register dst, const Memory& src, s32 immediate) {
    valid_if(width != Width::W8);
    Instruction ins;
    ins.modrm({static_cast<u8>(fits_s8(immediate) ? 0x6B : 0x69)}, width, number(dst), src);
    ins.immediate(fits_s8(immediate) ? Width::W8 : width, immediate);
    emit(ins);
}

// CDQ: 99; CQO: REX.W 99
void Assembler::cdq() {
    Instruction ins;
    ins.plain({0x99}, Width::W32);
    emit(ins);
}

void Assembler::cqo() {
    Instruction ins;
    ins.plain({0x99}, Width::W64);
    emit(ins);
}

}  // namespace barebpf::x86
