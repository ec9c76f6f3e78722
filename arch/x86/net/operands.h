// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Operands of the x86-64 assembler: registers, widths, conditions, memory references, labels.
// Plain values; they compile on every host.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::x86 {

// General registers by their encoding number. Which part of one is meant (al, ax, eax, rax) is said
// by the Width of the instruction. The high bytes ah..bh cannot be named.
enum class Register : u8 {
    Rax,
    Rcx,
    Rdx,
    Rbx,
    Rsp,
    Rbp,
    Rsi,
    Rdi,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
};

constexpr u32 number(Register reg) {
    return static_cast<u32>(reg);
}

enum class Width : u8 { W8, W16, W32, W64 };

constexpr u32 bytes(Width width) {
    return 1u << static_cast<u32>(width);
}

// SDM vol. 1 appendix B: the condition codes, by their encoding number.
enum class Condition : u8 {
    Overflow,
    NotOverflow,
    Below,
    AboveEqual,
    Equal,
    NotEqual,
    BelowEqual,
    Above,
    Sign,
    NotSign,
    Parity,
    NotParity,
    Less,
    GreaterEqual,
    LessEqual,
    Greater,
};

constexpr u32 number(Condition condition) {
    return static_cast<u32>(condition);
}

// The opposite outcome of the same comparison: codes come in pairs that differ in the lowest bit.
constexpr Condition negate(Condition condition) {
    return static_cast<Condition>(number(condition) ^ 1);
}

enum class Scale : u8 { X1, X2, X4, X8 };

enum class Segment : u8 { None, Fs, Gs };

// A position in the code, handed out by Layout::new_label() and bound once in each pass.
struct Label {
    u32 id = ~0u;
};

// A memory operand: [base + index * scale + displacement], [rip + displacement] or [label], with an
// optional segment override (per-CPU data, thread-locals).
class Memory {
public:
    constexpr explicit Memory(Register base, s32 displacement = 0)
        : displacement_(displacement), base_(base), form_(Form::Base) {}
    constexpr Memory(Register base, Register index, Scale scale, s32 displacement = 0)
        : displacement_(displacement),
          base_(base),
          index_(index),
          scale_(scale),
          form_(Form::BaseIndex) {}

    static constexpr Memory index_only(Register index, Scale scale, s32 displacement = 0) {
        Memory memory(Register::Rbp, index, scale, displacement);
        memory.form_ = Form::Index;
        return memory;
    }
    // A sign-extended 32-bit address.
    static constexpr Memory absolute(s32 address) {
        Memory memory(Register::Rbp, address);
        memory.form_ = Form::Absolute;
        return memory;
    }
    // Relative to the end of the instruction that uses it.
    static constexpr Memory rip(s32 displacement) {
        Memory memory(Register::Rbp, displacement);
        memory.form_ = Form::Rip;
        return memory;
    }
    static constexpr Memory at(Label label) {
        Memory memory(Register::Rbp, 0);
        memory.form_ = Form::AtLabel;
        memory.label_ = label;
        return memory;
    }
    constexpr Memory in(Segment segment) const {
        Memory memory = *this;
        memory.segment_ = segment;
        return memory;
    }

    enum class Form : u8 { Base, BaseIndex, Index, Absolute, Rip, AtLabel };

    constexpr Form form() const { return form_; }
    constexpr Register base() const { return base_; }
    constexpr Register index() const { return index_; }
    constexpr Scale scale() const { return scale_; }
    constexpr s32 displacement() const { return displacement_; }
    constexpr Segment segment() const { return segment_; }
    constexpr Label label() const { return label_; }
    constexpr bool has_base() const { return form_ == Form::Base || form_ == Form::BaseIndex; }
    constexpr bool has_index() const { return form_ == Form::BaseIndex || form_ == Form::Index; }

private:
    s32 displacement_;
    Label label_;
    Register base_;
    Register index_ = Register::Rsp;
    Scale scale_ = Scale::X1;
    Form form_;
    Segment segment_ = Segment::None;
};

constexpr bool fits_s8(s64 value) {
    return value == static_cast<s8>(value);
}
constexpr bool fits_s32(s64 value) {
    return value == static_cast<s32>(value);
}
constexpr bool fits_u32(u64 value) {
    return value == static_cast<u32>(value);
}

}  // namespace barebpf::x86
