// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "arch/x86/net/encoding.h"

namespace barebpf::x86 {

constexpr u32 kSib = 4;     // rm: a SIB byte follows; SIB index: none
constexpr u32 kNoBase = 5;  // with mod 0: displacement without base, or rip-relative

void Instruction::put16(u32 value) {
    put8(value);
    put8(value >> 8);
}

void Instruction::put32(u32 value) {
    put16(value);
    put16(value >> 16);
}

void Instruction::put64(u64 value) {
    put32(static_cast<u32>(value));
    put32(static_cast<u32>(value >> 32));
}

void Instruction::immediate(Width width, s32 value) {
    if (width == Width::W8) return put8(static_cast<u32>(value));
    if (width == Width::W16) return put16(static_cast<u32>(value));
    put32(static_cast<u32>(value));
}

void Instruction::resolve(s32 displacement) {
    u32 end = length_;
    length_ = label_field_;
    put32(static_cast<u32>(displacement));
    length_ = end;
}

// SDM vol. 2, 2.1.1: operand size and mandatory prefixes precede REX.
void Instruction::legacy_prefixes(Opcode opcode, Width width) {
    if (width == Width::W16) put8(0x66);
    if (opcode.prefix != 0) put8(opcode.prefix);
}

// SDM vol. 2, 2.2.1: 0100WRXB, left out when it says nothing.
void Instruction::rex(Width width, u32 reg, u32 index, u32 base, bool forced) {
    u32 bits = (width == Width::W64 ? 8 : 0) | (reg >> 3) << 2 | (index >> 3) << 1 | base >> 3;
    if (bits != 0 || forced) put8(0x40 | bits);
}

void Instruction::escape(Opcode opcode) {
    if (opcode.map != OpcodeMap::One) put8(0x0F);
    if (opcode.map == OpcodeMap::Map0F38) put8(0x38);
    if (opcode.map == OpcodeMap::Map0F3A) put8(0x3A);
}

// SDM vol. 2, 2.1.3 and table 2-2.
void Instruction::modrm_byte(u32 mod, u32 reg, u32 rm) {
    put8(mod << 6 | (reg & 7) << 3 | (rm & 7));
}

void Instruction::sib_byte(Scale scale, u32 index, u32 base) {
    put8(static_cast<u32>(scale) << 6 | (index & 7) << 3 | (base & 7));
}

void Instruction::segment(const Memory& memory) {
    if (memory.segment() == Segment::Fs) put8(0x64);
    if (memory.segment() == Segment::Gs) put8(0x65);
}

static bool names_high_byte(Register reg) {
    return number(reg) >= 4 && number(reg) < 8;
}

static bool byte_reg(ByteOperands operands) {
    return operands == ByteOperands::Reg || operands == ByteOperands::Both;
}

static bool byte_rm(ByteOperands operands) {
    return operands == ByteOperands::Rm || operands == ByteOperands::Both;
}

void Instruction::modrm(Opcode opcode, Width width, u32 reg, Register rm,
                        ByteOperands byte_operands) {
    bool forced = (byte_reg(byte_operands) && names_high_byte(static_cast<Register>(reg))) ||
                  (byte_rm(byte_operands) && names_high_byte(rm));
    legacy_prefixes(opcode, width);
    rex(width, reg, 0, number(rm), forced);
    escape(opcode);
    put8(opcode.byte);
    modrm_byte(3, reg, number(rm));
}

void Instruction::modrm(Opcode opcode, Width width, u32 reg, const Memory& rm,
                        ByteOperands byte_operands) {
    bool forced = byte_reg(byte_operands) && names_high_byte(static_cast<Register>(reg));
    segment(rm);
    legacy_prefixes(opcode, width);
    rex(width, reg, rm.has_index() ? number(rm.index()) : 0, rm.has_base() ? number(rm.base()) : 0,
        forced);
    escape(opcode);
    put8(opcode.byte);
    memory_operand(reg, rm);
}

void Instruction::opcode_register(Opcode opcode, Width width, Register reg) {
    legacy_prefixes(opcode, width);
    rex(width, 0, 0, number(reg), width == Width::W8 && names_high_byte(reg));
    escape(opcode);
    put8(opcode.byte + (number(reg) & 7));
}

void Instruction::plain(Opcode opcode, Width width) {
    legacy_prefixes(opcode, width);
    rex(width, 0, 0, 0, false);
    escape(opcode);
    put8(opcode.byte);
}

static u32 vex_pp(u8 prefix) {
    switch (prefix) {
        case 0x66:
            return 1;
        case 0xF3:
            return 2;
        case 0xF2:
            return 3;
        default:
            return 0;
    }
}

// SDM vol. 2, 2.3.5: the register extension bits and vvvv are stored inverted. The two-byte form
// covers map 0F without W, X and B.
void Instruction::vex_prefix(Opcode opcode, Width width, u32 reg, u32 index, u32 base, u32 vvvv) {
    u32 w = width == Width::W64 ? 0x80 : 0;
    u32 tail = (~vvvv & 15) << 3 | vex_pp(opcode.prefix);
    if (opcode.map == OpcodeMap::Map0F && w == 0 && index < 8 && base < 8) {
        put8(0xC5);
        put8((reg < 8 ? 0x80 : 0) | tail);
        return;
    }
    put8(0xC4);
    put8((reg < 8 ? 0x80 : 0) | (index < 8 ? 0x40 : 0) | (base < 8 ? 0x20 : 0) |
         static_cast<u32>(opcode.map));
    put8(w | tail);
}

void Instruction::vex(Opcode opcode, Width width, u32 reg, Register rm, u32 vvvv) {
    vex_prefix(opcode, width, reg, 0, number(rm), vvvv);
    put8(opcode.byte);
    modrm_byte(3, reg, number(rm));
}

void Instruction::vex(Opcode opcode, Width width, u32 reg, const Memory& rm, u32 vvvv) {
    segment(rm);
    vex_prefix(opcode, width, reg, rm.has_index() ? number(rm.index()) : 0,
               rm.has_base() ? number(rm.base()) : 0, vvvv);
    put8(opcode.byte);
    memory_operand(reg, rm);
}

// SDM vol. 2, table 2-2 and table 2-3: displacement of 0, 8 or 32 bits. A base of rbp or r13 has
// no form without displacement, a base of rsp or r12 none without SIB.
void Instruction::based(u32 reg, const Memory& memory) {
    u32 base = number(memory.base());
    s32 displacement = memory.displacement();
    u32 mod = 2;
    if (displacement == 0 && (base & 7) != kNoBase)
        mod = 0;
    else if (fits_s8(displacement))
        mod = 1;
    if (memory.has_index()) {
        modrm_byte(mod, reg, kSib);
        sib_byte(memory.scale(), number(memory.index()), base);
    } else {
        modrm_byte(mod, reg, (base & 7) == kSib ? kSib : base);
        if ((base & 7) == kSib) sib_byte(Scale::X1, kSib, base);
    }
    if (mod == 1) put8(static_cast<u32>(displacement));
    if (mod == 2) put32(static_cast<u32>(displacement));
}

void Instruction::memory_operand(u32 reg, const Memory& memory) {
    if (memory.has_index() && memory.index() == Register::Rsp) valid_ = false;
    switch (memory.form()) {
        case Memory::Form::Base:
        case Memory::Form::BaseIndex:
            return based(reg, memory);
        case Memory::Form::Index:
            modrm_byte(0, reg, kSib);
            sib_byte(memory.scale(), number(memory.index()), kNoBase);
            break;
        case Memory::Form::Absolute:
            modrm_byte(0, reg, kSib);
            sib_byte(Scale::X1, kSib, kNoBase);
            break;
        case Memory::Form::Rip:
            modrm_byte(0, reg, kNoBase);
            break;
        case Memory::Form::AtLabel:
            modrm_byte(0, reg, kNoBase);
            label_field_ = length_;
            label_ = memory.label();
            break;
    }
    put32(static_cast<u32>(memory.displacement()));
}

}  // namespace barebpf::x86
