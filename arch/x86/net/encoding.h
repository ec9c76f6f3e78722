// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One x86-64 instruction in the making: prefixes, REX or VEX, opcode, ModRM, SIB, displacement,
// immediate (SDM vol. 2, chapter 2). Internal to the assembler.
#pragma once

#include "arch/x86/net/operands.h"

namespace barebpf::x86 {

// Opcode maps by their VEX number (SDM vol. 2, 2.3.6.1); One has no escape byte and no VEX form.
enum class OpcodeMap : u8 { One, Map0F, Map0F38, Map0F3A };

struct Opcode {
    u8 byte;
    OpcodeMap map = OpcodeMap::One;
    u8 prefix = 0;  // mandatory 66, F2 or F3
};

// Which operands are byte registers: spl, bpl, sil and dil need a REX prefix to be meant.
enum class ByteOperands : u8 { None, Reg, Rm, Both };

class Instruction {
public:
    void lock() { put8(0xF0); }
    // ModRM forms; `reg` is a register number or an opcode extension (/digit).
    void modrm(Opcode opcode, Width width, u32 reg, Register rm,
               ByteOperands byte_operands = ByteOperands::None);
    void modrm(Opcode opcode, Width width, u32 reg, const Memory& rm,
               ByteOperands byte_operands = ByteOperands::None);
    // The register is in the low bits of the opcode.
    void opcode_register(Opcode opcode, Width width, Register reg);
    // Neither operand nor REX, except what `width` asks for.
    void plain(Opcode opcode, Width width = Width::W32);
    // VEX.LZ forms of BMI1 and BMI2; `vvvv` is the extra register operand.
    void vex(Opcode opcode, Width width, u32 reg, Register rm, u32 vvvv);
    void vex(Opcode opcode, Width width, u32 reg, const Memory& rm, u32 vvvv);

    void put8(u32 value) { bytes_[length_++] = static_cast<u8>(value); }
    void put16(u32 value);
    void put32(u32 value);
    void put64(u64 value);
    // An immediate of the operand's width; 64-bit operands take a sign-extended 32-bit one.
    void immediate(Width width, s32 value);

    const u8* bytes() const { return bytes_; }
    u32 length() const { return length_; }
    bool valid() const { return valid_; }
    // A label-relative displacement to be filled in when the position is known.
    bool has_label() const { return label_field_ != 0; }
    Label label() const { return label_; }
    void resolve(s32 displacement);

private:
    void legacy_prefixes(Opcode opcode, Width width);
    void rex(Width width, u32 reg, u32 index, u32 base, bool forced);
    void escape(Opcode opcode);
    void vex_prefix(Opcode opcode, Width width, u32 reg, u32 index, u32 base, u32 vvvv);
    void memory_operand(u32 reg, const Memory& memory);
    void based(u32 reg, const Memory& memory);
    void modrm_byte(u32 mod, u32 reg, u32 rm);
    void sib_byte(Scale scale, u32 index, u32 base);
    void segment(const Memory& memory);

    u8 bytes_[24];
    u32 length_ = 0;
    u32 label_field_ = 0;  // offset of the displacement, 0 when there is none
    Label label_;
    bool valid_ = true;
};

}  // namespace barebpf::x86
