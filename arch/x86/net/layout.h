// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Labels, and the choice between short and near jumps.
//
// The same code is emitted twice. The first pass takes every jump as short and records where labels
// and jumps are; relax() then lengthens those jumps that do not reach, again and again until
// nothing changes; the second pass emits with the sizes and label positions found. Lengthening only
// ever moves things apart, so the process ends, and it ends at the shortest code that this emission
// order allows.
//
//     first pass      relax()                      second pass
//     +----+          jump 0: 300 bytes away       +----+
//     |jmp | short -> grows by 3: near             |jmp | near, target known
//     | .. |          jump 1: 120 + 3 away         | .. |
//     |jcc | short -> fits, stays                  |jcc | short, target known
//     +----+                                       +----+
//
// What is emitted between labels must have the same length in both passes; a label that is then
// bound elsewhere than relax() said makes the layout (and with it the assembler) fail. No memory is
// allocated: the tables are the caller's.
//
// Code that pads by its position (Assembler::keep_within_line()) needs passes between: relax() with
// Padding::Expected, then placing passes until settle() says that no jump became too long by the
// padding, then the final pass.
#pragma once

#include "arch/x86/net/operands.h"

namespace barebpf::x86 {

class Layout {
public:
    struct Mark {              // one per label
        u32 position = ~0u;    // in the code, ~0 while unbound
        u32 jumps_before = 0;  // of those recorded in the first pass
    };
    struct Jump {  // one per relaxable jump, in the order of emission
        u32 end;   // of the short form, in the first pass's code
        u32 label;
        u32 moved;  // by how much the jumps before it have grown
        u8 growth;  // from short to near: 3 for jmp, 4 for jcc
        bool near;
    };

    Layout(Mark* marks, u32 mark_capacity, Jump* jumps, u32 jump_capacity)
        : marks_(marks),
          jumps_(jumps),
          mark_capacity_(mark_capacity),
          jump_capacity_(jump_capacity) {}

    Label new_label();
    // The labels 0 to count - 1, before any other.
    void reserve_labels(u32 count);
    // Labels made while code is emitted: each pass must ask for the same ones in the same order.
    // After the first one no new_label() any more.
    Label local_label();
    enum class Padding : u8 { None, Expected };
    // After the first pass: decides all sizes and positions. False when a label is not bound or a
    // table was too small.
    bool relax(Padding padding = Padding::None);
    // After a placing pass: true when the next one is the final one, else one more is needed.
    bool settle();

    bool ok() const { return ok_; }
    bool final_pass() const { return phase_ == Phase::Final; }
    bool sizing_pass() const { return phase_ == Phase::Sizing; }
    u32 position(Label label) const;
    u32 jump_count() const { return jump_count_; }
    u32 growth() const { return total_growth_; }  // of the code, from the first pass to the second
    u32 label_count() const { return label_count_; }

    // For the assembler.
    void bind(Label label, u32 position);
    bool next_jump_is_near(Label label, u32 short_end, u32 growth);
    // Of the next jump, without taking it; short while that is open.
    bool peek_near() const { return next_jump_ < jump_count_ && jumps_[next_jump_].near; }

private:
    enum class Phase : u8 { Sizing, Placing, Final };

    void restart(Phase phase);
    bool grow_once();
    u32 moved_at(const Mark& mark) const;

    Mark* marks_;
    Jump* jumps_;
    u32 mark_capacity_;
    u32 jump_capacity_;
    u32 label_count_ = 0;
    u32 jump_count_ = 0;
    u32 next_jump_ = 0;
    u32 first_local_ = ~0u;
    u32 next_local_ = 0;
    u32 total_growth_ = 0;
    u32 placing_passes_ = 0;
    Phase phase_ = Phase::Sizing;
    bool ok_ = true;
};

}  // namespace barebpf::x86
