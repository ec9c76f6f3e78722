// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The forward pass that makes one Op of several, inside a basic block. Internal to bpf_jit_fuse*.cc.
//
// Two ways to absorb an earlier Op j into Op i:
//   - j's operands still hold what they held: i takes them over, and j goes with the dead code if
//     nobody else reads its result;
//   - j changed its operand in place (x <<= 3): then i must be the only reader of the result, and j
//     is removed at once, so that x keeps the old value for i.
#pragma once

#include "arch/x86/net/bpf_jit_ir.h"

namespace barebpf::x86 {

class Fuser {
public:
    explicit Fuser(Unit& unit) : unit_(unit) {}
    void run();

private:
    // What is known of a register at this point of the block.
    struct Fact {
        u32 last_def = kNone;   // the Op that wrote it, in this block
        Reg copy_of = kNoReg;   // holds the same value as that register ...
        bool copy_wide = true;  // ... or only the low half, zero-extended
        u8 bits = 64;           // all bits from here up are zero
    };
    static constexpr u32 kNone = ~0u;
    static constexpr u32 kWindow = 32;  // how far back an Op looks

    void step(u32 i);
    void forget();
    void record(u32 i, const Op& op);
    void define(Reg reg, u32 i);
    u8 result_bits(const Op& op) const;
    u8 alu_bits(const Op& op) const;
    u8 known_bits(Reg reg) const { return facts_[reg].bits; }

    // bpf_jit_fuse.cc: operands and single Ops
    Reg original(Reg reg, bool wide) const;
    void use_originals(Op& op);
    void simplify(Op& op);
    void narrow_division(Op& op);
    bool never_taken(const Op& op) const;

    // bpf_jit_fuse_ops.cc: pairs and trees of Ops
    bool fuse_rotate(u32 i);
    bool fuse_extension(u32 i);
    bool fuse_wider_load(u32 i);
    bool fuse_move(u32 i);
    bool make_where_moved(u32 i);
    bool fuse_load_operand(u32 i);
    bool forward_store(u32 i);
    bool fuse_test(u32 i);
    bool fuse_compare_memory(u32 i);
    void fuse_address(u32 i);
    bool fold_base(u32 i);
    bool fold_index(u32 i);
    bool is_address_op(const Op& op) const;

    u32 find_def(Reg reg, u32 before) const;
    bool unchanged(Reg reg, u32 from, u32 to) const;
    bool unchanged(const Address& at, u32 from, u32 to) const;
    bool only_reader(Reg reg, u32 def, u32 reader) const;
    bool memory_quiet(u32 from, u32 to) const;
    void drop(u32 def);
    bool absorb_operand(Reg result, u32 def, u32 reader);
    bool dead_after(Reg reg, u32 i) const;

    Unit& unit_;
    Fact facts_[kRegs];
    u32 block_start_ = 0;
};

}  // namespace barebpf::x86
