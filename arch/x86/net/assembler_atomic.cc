// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Locked operations and fences: SDM vol. 2, entries LOCK, XADD, CMPXCHG, XCHG, LFENCE, SFENCE,
// MFENCE, PAUSE. The immediate form of lock_alu is beside its unlocked twin in assembler_alu.cc.
#include "arch/x86/net/assembler.h"

namespace barebpf::x86 {

static Opcode sized(u32 wide_opcode, Width width, OpcodeMap map = OpcodeMap::One) {
    return {static_cast<u8>(width == Width::W8 ? wide_opcode - 1 : wide_opcode), map};
}

static ByteOperands byte_reg(Width width) {
    return width == Width::W8 ? ByteOperands::Reg : ByteOperands::None;
}

// LOCK OP r/m, r: F0, then 00/01 + 8 * digit, /r
void Assembler::lock_alu(Alu operation, Width width, const Memory& dst, Register src) {
    valid_if(operation != Alu::Cmp);
    Instruction ins;
    ins.lock();
    ins.modrm(sized(static_cast<u32>(operation) * 8 + 1, width), width, number(src), dst,
              byte_reg(width));
    emit(ins);
}

// LOCK XADD r/m, r: F0 0F C0 /r, F0 0F C1 /r
void Assembler::lock_xadd(Width width, const Memory& dst, Register src) {
    Instruction ins;
    ins.lock();
    ins.modrm(sized(0xC1, width, OpcodeMap::Map0F), width, number(src), dst, byte_reg(width));
    emit(ins);
}

// LOCK CMPXCHG r/m, r: F0 0F B0 /r, F0 0F B1 /r
void Assembler::lock_cmpxchg(Width width, const Memory& dst, Register src) {
    Instruction ins;
    ins.lock();
    ins.modrm(sized(0xB1, width, OpcodeMap::Map0F), width, number(src), dst, byte_reg(width));
    emit(ins);
}

// XCHG r/m, r: 86 /r, 87 /r. With memory it locks without the prefix.
void Assembler::xchg(Width width, const Memory& memory, Register reg) {
    Instruction ins;
    ins.modrm(sized(0x87, width), width, number(reg), memory, byte_reg(width));
    emit(ins);
}

// LFENCE: 0F AE E8
void Assembler::lfence() {
    Instruction ins;
    ins.plain({0xAE, OpcodeMap::Map0F});
    ins.put8(0xE8);
    emit(ins);
}

// SFENCE: 0F AE F8
void Assembler::sfence() {
    Instruction ins;
    ins.plain({0xAE, OpcodeMap::Map0F});
    ins.put8(0xF8);
    emit(ins);
}

// MFENCE: 0F AE F0
void Assembler::mfence() {
    Instruction ins;
    ins.plain({0xAE, OpcodeMap::Map0F});
    ins.put8(0xF0);
    emit(ins);
}

// PAUSE: F3 90
void Assembler::pause() {
    Instruction ins;
    ins.plain({0x90, OpcodeMap::One, 0xF3});
    emit(ins);
}

}  // namespace barebpf::x86
