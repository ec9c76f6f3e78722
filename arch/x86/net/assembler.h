// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A typed x86-64 assembler: one method per instruction, destination first as in Intel's manual.
// Written from the SDM vol. 2; every comment here and in assembler_*.cc names the manual's entry.
//
//     Layout layout(marks, 64, jumps, 256);
//     Assembler first({}, &layout);              // null buffer: counts only
//     generate(first);
//     layout.relax();
//     Assembler second({buffer, size}, &layout);
//     generate(second);
//     if (!second.ok()) ...                      // too small, or a bad operand or label
//
// It allocates nothing, touches nothing but the buffer, and compiles on every host. Bytes that do
// not fit are counted and not written, so a sizing pass needs no buffer.
#pragma once

#include "arch/x86/net/encoding.h"
#include "arch/x86/net/layout.h"

namespace barebpf::x86 {

struct CodeBuffer {
    u8* bytes = nullptr;
    u32 capacity = 0;
};

// The eight operations of opcode group 1, by their /digit.
enum class Alu : u8 { Add, Or, Adc, Sbb, And, Sub, Xor, Cmp };
// Group 2.
enum class Shift : u8 { Rol = 0, Ror = 1, Shl = 4, Shr = 5, Sar = 7 };
// Group 3. Mul to Idiv work on rdx:rax.
enum class Unary : u8 { Not = 2, Neg, Mul, Imul, Div, Idiv };
// Group 8.
enum class BitTest : u8 { Bt = 4, Bts, Btr, Btc };

class Assembler {
public:
    Assembler(CodeBuffer buffer, Layout* layout) : buffer_(buffer), layout_(layout) {}

    u32 position() const { return position_; }
    bool overflowed() const { return buffer_.bytes != nullptr && position_ > buffer_.capacity; }
    bool ok() const { return valid_ && !overflowed() && layout_->ok(); }
    Label new_label() { return layout_->new_label(); }
    Label local_label() { return layout_->local_label(); }
    void bind(Label label) { layout_->bind(label, position_); }

    // --- moves (assembler_move.cc)
    void mov(Width width, Register dst, Register src);
    void mov(Width width, Register dst, const Memory& src);
    void mov(Width width, const Memory& dst, Register src);
    void mov(Width width, Register dst, s32 immediate);  // sign-extended to the width
    void mov(Width width, const Memory& dst, s32 immediate);
    void mov64(Register dst, u64 immediate);  // always the ten-byte form
    void mov_absolute(u64 address);           // rax = the eight bytes at that address
    // The shortest way to a constant. May use xor, which changes the flags.
    void load_constant(Register dst, u64 value);
    // As load_constant, but the flags survive.
    void load_constant_keep_flags(Register dst, u64 value);
    void zero(Register dst);  // xor r32, r32
    void movzx(Register dst, Width from, Register src);
    void movzx(Register dst, Width from, const Memory& src);
    void movsx(Width to, Register dst, Width from, Register src);  // movsxd when from is W32
    void movsx(Width to, Register dst, Width from, const Memory& src);
    void movbe(Width width, Register dst, const Memory& src);
    void movbe(Width width, const Memory& dst, Register src);
    void lea(Width width, Register dst, const Memory& src);
    void xchg(Width width, Register a, Register b);
    void bswap(Width width, Register reg);  // W32 and W64
    void push(Register reg);
    void push(const Memory& src);
    void push(s32 immediate);
    void pop(Register reg);
    void pop(const Memory& dst);
    void cmov(Condition condition, Width width, Register dst, Register src);
    void cmov(Condition condition, Width width, Register dst, const Memory& src);
    void set(Condition condition, Register dst);
    void set(Condition condition, const Memory& dst);

    // --- arithmetic and logic (assembler_alu.cc)
    void alu(Alu operation, Width width, Register dst, Register src);
    void alu(Alu operation, Width width, Register dst, const Memory& src);
    void alu(Alu operation, Width width, const Memory& dst, Register src);
    void alu(Alu operation, Width width, Register dst, s32 immediate);
    void alu(Alu operation, Width width, const Memory& dst, s32 immediate);
    template <class Dst, class Src>
    void add(Width width, Dst dst, Src src) {
        alu(Alu::Add, width, dst, src);
    }
    template <class Dst, class Src>
    void or_(Width width, Dst dst, Src src) {
        alu(Alu::Or, width, dst, src);
    }
    template <class Dst, class Src>
    void adc(Width width, Dst dst, Src src) {
        alu(Alu::Adc, width, dst, src);
    }
    template <class Dst, class Src>
    void sbb(Width width, Dst dst, Src src) {
        alu(Alu::Sbb, width, dst, src);
    }
    template <class Dst, class Src>
    void and_(Width width, Dst dst, Src src) {
        alu(Alu::And, width, dst, src);
    }
    template <class Dst, class Src>
    void sub(Width width, Dst dst, Src src) {
        alu(Alu::Sub, width, dst, src);
    }
    template <class Dst, class Src>
    void xor_(Width width, Dst dst, Src src) {
        alu(Alu::Xor, width, dst, src);
    }
    template <class Dst, class Src>
    void cmp(Width width, Dst dst, Src src) {
        alu(Alu::Cmp, width, dst, src);
    }
    void test(Width width, Register a, Register b);
    void test(Width width, const Memory& a, Register b);
    void test(Width width, Register a, s32 immediate);
    void test(Width width, const Memory& a, s32 immediate);
    void inc(Width width, Register dst);
    void inc(Width width, const Memory& dst);
    void dec(Width width, Register dst);
    void dec(Width width, const Memory& dst);
    void unary(Unary operation, Width width, Register operand);
    void unary(Unary operation, Width width, const Memory& operand);
    void not_(Width width, Register reg) { unary(Unary::Not, width, reg); }
    void neg(Width width, Register reg) { unary(Unary::Neg, width, reg); }
    void mul(Width width, Register src) { unary(Unary::Mul, width, src); }
    void div(Width width, Register src) { unary(Unary::Div, width, src); }
    void idiv(Width width, Register src) { unary(Unary::Idiv, width, src); }
    void imul(Width width, Register dst, Register src);
    void imul(Width width, Register dst, const Memory& src);
    void imul(Width width, Register dst, Register src, s32 immediate);
    void imul(Width width, Register dst, const Memory& src, s32 immediate);
    void cdq();  // edx = sign of eax
    void cqo();  // rdx = sign of rax

    // --- shifts and bits (assembler_bits.cc)
    void shift(Shift operation, Width width, Register dst, u32 count);
    void shift(Shift operation, Width width, const Memory& dst, u32 count);
    void shift_cl(Shift operation, Width width, Register dst);
    void shift_cl(Shift operation, Width width, const Memory& dst);
    void shl(Width width, Register dst, u32 count) { shift(Shift::Shl, width, dst, count); }
    void shr(Width width, Register dst, u32 count) { shift(Shift::Shr, width, dst, count); }
    void sar(Width width, Register dst, u32 count) { shift(Shift::Sar, width, dst, count); }
    void rol(Width width, Register dst, u32 count) { shift(Shift::Rol, width, dst, count); }
    void ror(Width width, Register dst, u32 count) { shift(Shift::Ror, width, dst, count); }
    // BMI2: three operands, any count register, no flags. Only Shl, Shr and Sar.
    void shiftx(Shift operation, Width width, Register dst, Register src, Register count);
    void shiftx(Shift operation, Width width, Register dst, const Memory& src, Register count);
    void rorx(Width width, Register dst, Register src, u32 count);
    void rorx(Width width, Register dst, const Memory& src, u32 count);
    void andn(Width width, Register dst, Register inverted, Register src);  // BMI1
    void bextr(Width width, Register dst, Register src, Register control);  // BMI1
    void bzhi(Width width, Register dst, Register src, Register index);     // BMI2
    void bit_test(BitTest operation, Width width, Register reg, Register bit);
    void bit_test(BitTest operation, Width width, Register reg, u32 bit);
    void bit_test(BitTest operation, Width width, const Memory& memory, u32 bit);
    void popcnt(Width width, Register dst, Register src);
    void tzcnt(Width width, Register dst, Register src);  // BMI1
    void lzcnt(Width width, Register dst, Register src);
    void prefetch(const Memory& address);  // into all caches; no fault

    // --- atomics and fences (assembler_atomic.cc)
    void lock_alu(Alu operation, Width width, const Memory& dst, Register src);
    void lock_alu(Alu operation, Width width, const Memory& dst, s32 immediate);
    void lock_xadd(Width width, const Memory& dst, Register src);
    void lock_cmpxchg(Width width, const Memory& dst, Register src);  // expects in rax
    void xchg(Width width, const Memory& memory, Register reg);       // locked by itself
    void lfence();
    void sfence();
    void mfence();
    void pause();

    // --- control (assembler_branch.cc)
    void jump(Label target);                       // short or near, as the layout decides
    void jump(Condition condition, Label target);  // likewise
    void jump(Register target);
    void jump(const Memory& target);
    void call(Label target);
    void call(Register target);
    void call(const Memory& target);
    // Distance from the end of this instruction, which is always five bytes long.
    void call_relative(s32 distance);
    void jump_relative(s32 distance);
    void ret();
    void leave();
    void int3();
    void ud2();
    void endbr64();
    void nop(u32 length);  // as few instructions as possible
    // Pads so that the next `length` bytes neither cross nor end a 32-byte line; nothing while sizes
    // are open. On Skylake and its kin a jump that does is decoded anew each time (Intel, "Mitigations
    // for Jump Conditional Code Erratum", 2019). For compare-and-jump pairs and jumps.
    void keep_within_line(u32 length);
    // What the next jump(Label) or jump(Condition, Label) will take.
    u32 next_jump_length(bool conditional) const;
    // Takes back what was emitted since then; for measuring. Not over labels or jumps.
    void rewind(u32 position) { position_ = position; }

private:
    void emit(Instruction instruction);
    void valid_if(bool condition) { valid_ = valid_ && condition; }
    s32 distance_to(Label target, u32 end);

    CodeBuffer buffer_;
    Layout* layout_;
    u32 position_ = 0;
    bool valid_ = true;
};

}  // namespace barebpf::x86
