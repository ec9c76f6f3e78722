// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Which registers each Op reads and writes, which are live after it, and which Ops nobody needs; which bytes of the
// stack are read.
#include "arch/x86/net/bpf_jit_ir.h"

namespace barebpf::x86 {

// Liveness is swept backwards until nothing changes. A program of n nested loops needs about n
// sweeps; one made to need many more is compiled with every register taken as live, which is
// correct and only less dense.
constexpr u32 kMaxSweeps = 64;

static RegSet address_uses(const Address& at) {
    return reg_bit(at.base) | reg_bit(at.index);
}

static RegSet select_uses(const Op& op) {
    if (op.select == Select::No) return 0;
    return reg_bit(op.dst) | reg_bit(op.value);
}

static RegSet atomic_uses(const Op& op) {
    RegSet set = address_uses(op.at) | reg_bit(op.rhs);
    return op.imm == BPF_CMPXCHG ? set | reg_bit(BPF_REG_0) : set;
}

RegSet uses(const Op& op) {
    switch (op.kind) {
        case Kind::Mov:
        case Kind::Extend:
        case Kind::AluConst:
        case Kind::Neg:
        case Kind::Swap:
        case Kind::Rotate:
            return reg_bit(op.lhs);
        case Kind::Alu:
        case Kind::MaskedOffset:
            return reg_bit(op.lhs) | reg_bit(op.rhs);
        case Kind::Branch:
            return reg_bit(op.lhs) | reg_bit(op.rhs) | select_uses(op);
        case Kind::BranchConst:
            return reg_bit(op.lhs) | select_uses(op);
        case Kind::BranchMem:
            return address_uses(op.at) | select_uses(op);
        case Kind::Lea:
        case Kind::Load:
        case Kind::StoreConst:
            return address_uses(op.at);
        case Kind::AluMem:
            return address_uses(op.at) | reg_bit(op.dst);
        case Kind::Store:
            return address_uses(op.at) | reg_bit(op.rhs);
        case Kind::Atomic:
            return atomic_uses(op);
        case Kind::CallHelper:
        case Kind::CallSubprog:
        case Kind::TailCall:
            return kArguments | address_uses(op.at);
        case Kind::Exit:
            return reg_bit(BPF_REG_0);
        default:
            return 0;
    }
}

RegSet defs(const Op& op) {
    switch (op.kind) {
        case Kind::Nop:
        case Kind::Fence:
        case Kind::Store:
        case Kind::StoreConst:
        case Kind::Jump:
        case Kind::Exit:
            return 0;
        case Kind::Branch:
        case Kind::BranchConst:
        case Kind::BranchMem:
            return op.select == Select::No ? RegSet{0} : reg_bit(op.dst);
        case Kind::Atomic:
            if (op.imm == BPF_CMPXCHG) return reg_bit(BPF_REG_0);
            return op.imm & BPF_FETCH ? reg_bit(op.rhs) : RegSet{0};
        case Kind::CallHelper:
        case Kind::CallSubprog:
        case Kind::TailCall:
            return kCallerSaved;
        default:
            return reg_bit(op.dst);
    }
}

bool has_effect(const Op& op) {
    switch (op.kind) {
        case Kind::Store:
        case Kind::StoreConst:
        case Kind::Atomic:
        case Kind::Fence:
        case Kind::Jump:
        case Kind::CallHelper:
        case Kind::CallSubprog:
        case Kind::TailCall:
        case Kind::Exit:
            return true;
        case Kind::Load:
        case Kind::AluMem:
            return true;  // it may fault, and a fault must be seen where the program has it
        case Kind::BranchMem:
            return true;
        case Kind::Branch:
        case Kind::BranchConst:
            return op.select == Select::No;
        default:
            return false;
    }
}

static RegSet live_in(const Op& op) {
    return static_cast<RegSet>((op.live_out & ~defs(op)) | uses(op));
}

// next_in: what is live before the instruction behind.
static RegSet live_after(const Unit& unit, u32 i, RegSet next_in) {
    const Op& op = unit.ops[i];
    switch (op.kind) {
        case Kind::Exit:
            return 0;
        case Kind::Jump:
            return live_in(unit.ops[op.target]);
        case Kind::Branch:
        case Kind::BranchConst:
        case Kind::BranchMem:
            if (op.select != Select::No) return next_in;
            return static_cast<RegSet>(next_in | live_in(unit.ops[op.target]));
        default:
            return next_in;
    }
}

static bool jumps_back(const Op& op, u32 i) {
    return (op.kind == Kind::Jump || (is_branch(op) && op.select == Select::No)) && op.target <= i;
}

void compute_liveness(Unit& unit) {
    bool loops = false;
    for (u32 i = 0; i < unit.count; i++) {
        unit.ops[i].live_out = 0;
        loops = loops || jumps_back(unit.ops[i], i);
    }
    for (u32 sweep = 0; sweep < kMaxSweeps; sweep++) {
        bool changed = false;
        RegSet next_in = 0;
        for (u32 i = unit.count; i-- > 0;) {
            Op& op = unit.ops[i];
            RegSet live = live_after(unit, i, next_in);
            changed = changed || live != op.live_out;
            op.live_out = live;
            next_in = live_in(op);
        }
        if (!changed || !loops) return;
    }
    for (u32 i = 0; i < unit.count; i++) unit.ops[i].live_out = kAllRegs;
}

// Backwards, so that what only fed a removed Op goes with it. Jumps back see the old, larger sets
// of their targets: still right.
void remove_dead_code(Unit& unit) {
    RegSet next_in = 0;
    for (u32 i = unit.count; i-- > 0;) {
        Op& op = unit.ops[i];
        RegSet live = live_after(unit, i, next_in);
        op.live_out = static_cast<RegSet>(live & op.live_out);
        if (op.kind != Kind::Nop && !has_effect(op) && (defs(op) & op.live_out) == 0)
            op.kind = Kind::Nop;
        next_in = live_in(op);
    }
}

// ── The stack ─────────────────────────────────────────────────────────────────────────────────

// Which bytes of their stacks the functions of a program read, as far as that can be said: R10 leads to them and never
// goes anywhere else.
class StackReads {
public:
    // False: the address of the stack is used for more than loads and stores.
    bool collect(const Unit& unit) {
        for (u32 i = 0; i < unit.count; i++) {
            if (!add(unit.ops[i])) return false;
        }
        return true;
    }
    bool is_dead_store(const Op& op) const {
        if ((op.kind != Kind::Store && op.kind != Kind::StoreConst) || op.ordered) return false;
        if (op.at.base != BPF_REG_10) return false;
        for (u32 i = 0; i < bytes(op.size); i++) {
            if (read_[index_of(op.at.disp) + i]) return false;
        }
        return true;
    }

private:
    static constexpr u32 kBytes = 512;  // MAX_BPF_STACK

    static u32 index_of(s32 disp) { return static_cast<u32>(disp + static_cast<s32>(kBytes)); }
    bool add(const Op& op) {
        Op rest = op;
        rest.at = Address{};
        if (op.kind == Kind::Nop) return true;
        if (op.at.index == BPF_REG_10 || (uses(rest) & reg_bit(BPF_REG_10))) return false;
        if (op.at.base != BPF_REG_10) return true;
        const u32 size = bytes(op.size), first = index_of(op.at.disp);
        if (op.kind == Kind::Lea || op.at.index != kNoReg || first > kBytes - size) return false;
        if (op.kind == Kind::Store || op.kind == Kind::StoreConst) return true;
        for (u32 i = 0; i < size; i++) read_[first + i] = true;
        return true;
    }

    bool read_[kBytes] = {};
};

bool remove_dead_stores(Unit& unit) {
    StackReads reads;
    if (!reads.collect(unit)) return false;
    bool any = false;
    for (u32 i = 0; i < unit.count; i++) {
        if (!reads.is_dead_store(unit.ops[i])) continue;
        unit.ops[i].kind = Kind::Nop;
        any = true;
    }
    return any;
}

}  // namespace barebpf::x86
