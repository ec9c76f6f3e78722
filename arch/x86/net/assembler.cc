// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The assembler's way to the buffer. The instructions are in assembler_*.cc.
#include "arch/x86/net/assembler.h"

namespace barebpf::x86 {

void Assembler::emit(Instruction instruction) {
    valid_if(instruction.valid());
    u32 end = position_ + instruction.length();
    if (instruction.has_label()) instruction.resolve(distance_to(instruction.label(), end));
    if (buffer_.bytes != nullptr && end <= buffer_.capacity)
        __builtin_memcpy(buffer_.bytes + position_, instruction.bytes(), instruction.length());
    position_ = end;
}

// Zero while the layout is not final: only the length matters then.
s32 Assembler::distance_to(Label target, u32 end) {
    if (!layout_->final_pass()) return 0;
    u32 position = layout_->position(target);
    valid_if(position != ~0u);
    return static_cast<s32>(position - end);
}

}  // namespace barebpf::x86
