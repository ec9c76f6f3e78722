// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the compiler works on between BPF and machine code: one Op for each BPF instruction, in the
// same places, so that jump targets stay instruction numbers. Passes rewrite Ops into richer ones
// (three operands, indexed addresses, rotates, compares with memory) and turn the others into Nop.
//
//     bpf_insn[] -> decode -> simplify branches -> dead code -> fuse -> dead code and stores -> lower
//                   bpf_jit_decode.cc              _analysis    _fuse*.cc  _analysis           _alu.cc ...
#pragma once

#include "arch/x86/net/operands.h"
#include "kernel/bpf/prog.h"

namespace barebpf::x86 {

// BPF registers R0 to R10; the frame pointer is R10.
using Reg = u8;
inline constexpr Reg kNoReg = 0xFF;
inline constexpr u32 kRegs = 11;

// A set of BPF registers, bit n for Rn.
using RegSet = u16;
constexpr RegSet reg_bit(Reg reg) {
    return reg == kNoReg ? RegSet{0} : static_cast<RegSet>(1u << reg);
}
inline constexpr RegSet kArguments = 0x003E;    // R1 to R5
inline constexpr RegSet kCallerSaved = 0x003F;  // R0 to R5
inline constexpr RegSet kAllRegs = 0x07FF;

enum class Kind : u8 {
    Nop,
    Mov,           // dst = lhs; zero-extended unless wide
    MovConst,      // dst = imm, all 64 bits
    Extend,        // dst = the low `size` of lhs, sign- or zero-extended (sign: to 32 or 64 bits)
    Alu,           // dst = lhs `code` rhs
    AluConst,      // dst = lhs `code` imm
    AluMem,        // dst = dst `code` *(size*)address, as wide as the access
    Neg,           // dst = -lhs
    Swap,          // dst = lhs with its low `size` bytes reversed, zero-extended
    Rotate,        // dst = lhs rotated left by imm
    Lea,           // dst = address
    CpuId,         // dst = this CPU's number
    MaskedOffset,  // dst = lhs + rhs or lhs - rhs (code); 0 for rhs above imm, without a branch
    FuncAddress,   // dst = address of the subprogram at `target`
    Load,          // dst = *(size*)address, sign- or zero-extended to 64 bits
    Store,         // *(size*)address = rhs
    StoreConst,    // *(size*)address = imm
    Fence,         // nothing behind it runs before it, not even by speculation
    Atomic,        // operation imm on *(size*)address with rhs
    Jump,          // to target
    Branch,        // if (lhs `code` rhs)
    BranchConst,   // if (lhs `code` imm)
    BranchMem,     // if (*(size*)address `code` imm)
    CallHelper,  // prog->calls[imm]; look-ups may say where their key is `at`, their map made by the Op `target`
    CallSubprog,  // the one at target
    TailCall,
    Exit,
};

// What a branch does when its condition holds. A select replaces a branch around one move: it
// keeps dst when the condition holds and else sets it.
enum class Select : u8 { No, FromReg, FromConst };

struct Address {
    Reg base = kNoReg;
    Reg index = kNoReg;
    u8 scale = 0;  // index is shifted left by this
    s32 disp = 0;
};

struct Op {
    Kind kind = Kind::Nop;
    u8 code = 0;  // BPF_ADD ..., BPF_JEQ ...
    bool wide = true;
    bool sign = false;        // signed division, sign-extending load or Extend
    bool value_wide = true;   // a select's move was a 64-bit one, or might as well be
    bool upper_zero = false;  // of a 16-bit Swap: the rest of lhs is zero already
    bool ordered = false;     // load-acquire, store-release: never moved or merged
    bool leader = false;      // something jumps here
    Width size = Width::W64;
    Select select = Select::No;
    Reg dst = kNoReg;
    Reg lhs = kNoReg;
    Reg rhs = kNoReg;
    Reg value = kNoReg;  // of a select
    Address at;
    s64 imm = 0;
    u32 target = 0;
    s32 select_const = 0;
    RegSet live_out = 0;
};

constexpr bool is_branch(const Op& op) {
    return op.kind == Kind::Branch || op.kind == Kind::BranchConst || op.kind == Kind::BranchMem;
}
// Whether control may go anywhere else than to the next instruction.
constexpr bool leaves_block(const Op& op) {
    return op.kind == Kind::Jump || op.kind == Kind::Exit || op.kind == Kind::TailCall ||
           (is_branch(op) && op.select == Select::No);
}

// The opposite of BPF_JSET, which BPF lacks; a branch code of ours, outside the encodable ones.
inline constexpr u8 kJumpNotSet = 0xF8;

struct Unit {
    const Prog* prog = nullptr;
    Op* ops = nullptr;
    u32 count = 0;
};

// bpf_jit_decode.cc
Result<void> decode(Unit& unit);
void simplify_branches(Unit& unit);

// bpf_jit_analysis.cc
RegSet uses(const Op& op);
RegSet defs(const Op& op);
bool has_effect(const Op& op);  // beyond its register results
void compute_liveness(Unit& unit);
void remove_dead_code(Unit& unit);    // needs and keeps liveness
bool remove_dead_stores(Unit& unit);  // to the stack; whether there were any

// bpf_jit_fuse.cc
void fuse(Unit& unit);

// bpf_jit_lookup.cc; after all others
u32 count_lookups(const Unit& unit);              // calls that might be written out
void sink_operands(Unit& unit);                   // of those, to where the call is
s64 standing_of(const Unit& unit, const Op& op);  // behind that; of a look-up in an LPM trie; or 0

}  // namespace barebpf::x86
