// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Patterns of several Ops that the machine does in one: rotates, extensions, loads wider than a
// byte, indexed addresses, tests and compares with memory.
#include "arch/x86/net/bpf_jit_fuse.h"

namespace barebpf::x86 {

u32 Fuser::find_def(Reg reg, u32 before) const {
    if (reg == kNoReg) return kNone;
    u32 last = facts_[reg].last_def;
    if (last == kNone) return kNone;
    if (last < before && (defs(unit_.ops[last]) & reg_bit(reg)) != 0) return last;
    for (u32 k = before; k-- > block_start_ && before - k <= kWindow;)
        if (defs(unit_.ops[k]) & reg_bit(reg)) return k;
    return kNone;
}

// Nobody between the two Ops writes the register.
bool Fuser::unchanged(Reg reg, u32 from, u32 to) const {
    if (to - from > kWindow) return false;
    for (u32 k = from + 1; k < to; k++)
        if (defs(unit_.ops[k]) & reg_bit(reg)) return false;
    return true;
}

bool Fuser::unchanged(const Address& at, u32 from, u32 to) const {
    return (at.base == kNoReg || unchanged(at.base, from, to)) &&
           (at.index == kNoReg || unchanged(at.index, from, to));
}

bool Fuser::dead_after(Reg reg, u32 i) const {
    const Op& op = unit_.ops[i];
    return ((op.live_out & ~defs(op)) & reg_bit(reg)) == 0;
}

// What `def` put into the register is read by `reader` and by nobody else, on any path.
bool Fuser::only_reader(Reg reg, u32 def, u32 reader) const {
    if (reader - def > kWindow || !dead_after(reg, reader)) return false;
    for (u32 k = def + 1; k < reader; k++) {
        const Op& op = unit_.ops[k];
        if (((uses(op) | defs(op)) & reg_bit(reg)) != 0 || leaves_block(op)) return false;
    }
    return true;
}

bool Fuser::memory_quiet(u32 from, u32 to) const {
    for (u32 k = from + 1; k < to; k++) {
        const Op& op = unit_.ops[k];
        bool loads_only = (op.kind == Kind::Load && !op.ordered) || op.kind == Kind::AluMem;
        if (has_effect(op) && !loads_only && !leaves_block(op)) return false;
        if (op.kind == Kind::TailCall) return false;
    }
    return true;
}

// An Op whose result nobody reads any more. Its register keeps the value that it had before.
void Fuser::drop(u32 def) {
    Op& op = unit_.ops[def];
    facts_[op.dst].bits = 64;
    facts_[op.dst].copy_of = kNoReg;
    op.kind = Kind::Nop;
}

// Lets `reader` use the operand (lhs) of `def` instead of its result. See bpf_jit_fuse.h.
bool Fuser::absorb_operand(Reg result, u32 def, u32 reader) {
    Op& op = unit_.ops[def];
    if (op.lhs != result) return unchanged(op.lhs, def, reader);
    if (!only_reader(result, def, reader)) return false;
    drop(def);
    return true;
}

static bool is_shift_const(const Op& op, u8 code, bool wide) {
    return op.kind == Kind::AluConst && op.code == code && op.wide == wide;
}

static bool joins_bits(u8 code) {
    return code == BPF_OR || code == BPF_XOR || code == BPF_ADD;
}

// t = x << k; u = x >> (width - k); t | u
bool Fuser::fuse_rotate(u32 i) {
    Op& op = unit_.ops[i];
    if (!joins_bits(op.code) || op.lhs == op.rhs) return false;
    u32 left = find_def(op.lhs, i), right = find_def(op.rhs, i);
    if (left == kNone || right == kNone) return false;
    if (is_shift_const(unit_.ops[left], BPF_RSH, op.wide)) {
        u32 other = left;
        left = right;
        right = other;
    }
    const Op& shl = unit_.ops[left];
    const Op& shr = unit_.ops[right];
    if (!is_shift_const(shl, BPF_LSH, op.wide) || !is_shift_const(shr, BPF_RSH, op.wide))
        return false;
    if (shl.lhs != shr.lhs || shl.imm + shr.imm != (op.wide ? 64 : 32)) return false;
    Reg source = shl.lhs;
    s64 count = shl.imm;
    u32 first = left < right ? left : right, last = left < right ? right : left;
    if (unit_.ops[first].dst == source || !unchanged(source, first, last)) return false;
    if (!absorb_operand(unit_.ops[last].dst, last, i)) return false;
    op.kind = Kind::Rotate;
    op.lhs = source;
    op.rhs = kNoReg;
    op.imm = count;
    return true;
}

// x << n, then >> n of the same width: an extension from the bits that are left
bool Fuser::fuse_extension(u32 i) {
    Op& op = unit_.ops[i];
    if (op.code != BPF_RSH && op.code != BPF_ARSH) return false;
    u32 def = find_def(op.lhs, i);
    if (def == kNone || !is_shift_const(unit_.ops[def], BPF_LSH, op.wide)) return false;
    s64 kept = (op.wide ? 64 : 32) - op.imm;
    if (unit_.ops[def].imm != op.imm || (kept != 8 && kept != 16 && kept != 32) || op.imm == 0)
        return false;
    Reg source = unit_.ops[def].lhs;
    if (!absorb_operand(op.lhs, def, i)) return false;
    op.kind = Kind::Extend;
    op.lhs = source;
    op.sign = op.code == BPF_ARSH;
    op.size = kept == 8 ? Width::W8 : kept == 16 ? Width::W16 : Width::W32;
    simplify(op);
    return true;
}

static bool is_plain_load(const Op& op) {
    return op.kind == Kind::Load && !op.sign && !op.ordered;
}

static bool follows(const Address& low, const Address& high, Width size) {
    return low.base == high.base && low.index == high.index && low.scale == high.scale &&
           low.disp + static_cast<s32>(bytes(size)) == high.disp;
}

// load(p) | load(p + n) << 8n: one load of twice the size. Compilers take packed structures apart
// into bytes because BPF may run where unaligned loads are slow or impossible.
bool Fuser::fuse_wider_load(u32 i) {
    Op& op = unit_.ops[i];
    if (!joins_bits(op.code) || op.lhs == op.rhs) return false;
    Reg high = op.lhs, low = op.rhs;
    u32 shift = find_def(high, i);
    if (shift == kNone || unit_.ops[shift].kind != Kind::AluConst) {
        high = op.rhs;
        low = op.lhs;
        shift = find_def(high, i);
    }
    if (shift == kNone) return false;
    Op& shl = unit_.ops[shift];
    if (shl.kind != Kind::AluConst || shl.code != BPF_LSH) return false;
    u32 high_def = find_def(shl.lhs, shift), low_def = find_def(low, i);
    if (high_def == kNone || low_def == kNone) return false;
    Op& high_load = unit_.ops[high_def];
    Op& low_load = unit_.ops[low_def];
    if (!is_plain_load(high_load) || !is_plain_load(low_load)) return false;
    Width size = low_load.size;
    if (size != high_load.size || size == Width::W64 || shl.imm != bytes(size) * 8) return false;
    if (size == Width::W32 && (!op.wide || !shl.wide)) return false;
    if (!follows(low_load.at, high_load.at, size)) return false;
    u32 first = low_def < high_def ? low_def : high_def;
    if (!only_reader(shl.lhs, high_def, shift) || !only_reader(high, shift, i) ||
        !only_reader(low, low_def, i) || !memory_quiet(first, i))
        return false;
    Kind load_kind = Kind::Load, shift_kind = shl.kind;
    high_load.kind = low_load.kind = shl.kind = Kind::Nop;
    if (!unchanged(low_load.at, first, i)) {
        high_load.kind = low_load.kind = load_kind;
        shl.kind = shift_kind;
        return false;
    }
    drop(high_def);
    drop(low_def);
    drop(shift);
    Address at = low_load.at;
    Reg dst = op.dst;
    RegSet live_out = op.live_out;
    bool leader = op.leader;
    op = Op{};
    op.kind = Kind::Load;
    op.size = static_cast<Width>(static_cast<u32>(size) + 1);
    op.dst = dst;
    op.at = at;
    op.live_out = live_out;
    op.leader = leader;
    return true;
}

static bool has_memory_form(u8 code) {
    return code == BPF_ADD || code == BPF_AND || code == BPF_OR || code == BPF_XOR;
}

// t op= y, then z = t, which nobody else reads: z = t op y
bool Fuser::fuse_move(u32 i) {
    Op& op = unit_.ops[i];
    if (!op.wide) return false;
    u32 def = find_def(op.lhs, i);
    if (def == kNone) return false;
    const Op alu = unit_.ops[def];
    if (alu.kind != Kind::Alu || !has_memory_form(alu.code) || alu.lhs != alu.dst) return false;
    if (!only_reader(op.lhs, def, i) || !unchanged(alu.rhs, def, i)) return false;
    if (!absorb_operand(op.lhs, def, i)) return false;
    op.kind = Kind::Alu;
    op.code = alu.code;
    op.wide = alu.wide;
    op.lhs = alu.lhs;
    op.rhs = alu.rhs;
    return true;
}

static bool can_be_made_elsewhere(const Op& op) {
    switch (op.kind) {
        case Kind::Alu:
            return has_memory_form(op.code);
        case Kind::AluConst:
            return op.code != BPF_DIV && op.code != BPF_MOD;
        case Kind::Load:
            return !op.ordered;
        case Kind::Extend:
            return true;
        default:
            return false;
    }
}

// t = something, later z = t, which nobody else reads: made in z at once, if z is free in between
bool Fuser::make_where_moved(u32 i) {
    Op& op = unit_.ops[i];
    const Reg from = op.lhs, to = op.dst;
    const u32 def = find_def(from, i);
    if (!op.wide || from == to || def == kNone) return false;
    if (!can_be_made_elsewhere(unit_.ops[def]) || !only_reader(from, def, i)) return false;
    for (u32 k = def + 1; k < i; k++) {
        if ((uses(unit_.ops[k]) | defs(unit_.ops[k])) & reg_bit(to)) return false;
    }
    const Fact known = facts_[from];
    unit_.ops[def].dst = to;
    for (u32 k = def; k < i; k++) {
        RegSet& live = unit_.ops[k].live_out;
        live = static_cast<RegSet>((live & ~reg_bit(from)) | reg_bit(to));
    }
    // What a register held before is there again, or gone; nothing more is known of it.
    define(from, kNone);
    define(to, def);
    facts_[to].bits = known.bits;
    op.kind = Kind::Nop;
    return true;
}

// t = load, then x op= t, which nobody else reads: the operation takes it from memory
bool Fuser::fuse_load_operand(u32 i) {
    Op& op = unit_.ops[i];
    if (!has_memory_form(op.code) || op.lhs == op.rhs) return false;
    if (op.dst != op.lhs && op.dst != op.rhs) return false;
    Reg loaded = op.dst == op.lhs ? op.rhs : op.lhs;
    u32 def = find_def(loaded, i);
    if (def == kNone) return false;
    Op& load = unit_.ops[def];
    if (!is_plain_load(load) || load.size != (op.wide ? Width::W64 : Width::W32)) return false;
    if (!only_reader(loaded, def, i) || !memory_quiet(def, i)) return false;
    if (!unchanged(load.at, def, i)) return false;
    op.kind = Kind::AluMem;
    op.size = load.size;
    op.at = load.at;
    op.lhs = op.rhs = kNoReg;
    drop(def);
    return true;
}

// A load from the stack of what was stored there: the register, if it still holds it
bool Fuser::forward_store(u32 i) {
    Op& op = unit_.ops[i];
    bool plain = is_plain_load(op) && (op.size == Width::W32 || op.size == Width::W64);
    if (!plain || op.at.base != BPF_REG_10 || op.at.index != kNoReg) return false;
    for (u32 k = i; k-- > block_start_ && i - k <= kWindow;) {
        const Op& store = unit_.ops[k];
        if (store.kind == Kind::Load && !store.ordered) continue;
        if (!has_effect(store) || (leaves_block(store) && is_branch(store))) continue;
        if (store.kind != Kind::Store || store.ordered || store.size != op.size) return false;
        if (store.at.base != BPF_REG_10 || store.at.index != kNoReg) return false;
        if (store.at.disp != op.at.disp || !unchanged(store.rhs, k, i)) return false;
        op.kind = Kind::Mov;
        op.wide = op.size == Width::W64;
        op.lhs = store.rhs;
        op.at = Address{};
        return true;
    }
    return false;
}

// x & m, then a jump on zero or not: one test
bool Fuser::fuse_test(u32 i) {
    Op& op = unit_.ops[i];
    if (op.imm != 0 || (op.code != BPF_JEQ && op.code != BPF_JNE)) return false;
    u32 def = find_def(op.lhs, i);
    if (def == kNone) return false;
    const Op& mask = unit_.ops[def];
    if ((mask.kind != Kind::AluConst && mask.kind != Kind::Alu) || mask.code != BPF_AND)
        return false;
    if (mask.kind == Kind::Alu && (mask.rhs == op.lhs || !unchanged(mask.rhs, def, i)))
        return false;
    if (op.select != Select::No && (op.dst == op.lhs || op.value == op.lhs)) return false;
    Op fused = op;
    fused.kind = mask.kind == Kind::Alu ? Kind::Branch : Kind::BranchConst;
    fused.code = op.code == BPF_JNE ? u8{BPF_JSET} : kJumpNotSet;
    fused.lhs = mask.lhs;
    fused.rhs = mask.rhs;
    fused.imm = mask.imm;
    fused.wide = op.wide && mask.wide;
    if (!absorb_operand(op.lhs, def, i)) return false;
    op = fused;
    return true;
}

// Whether comparing the loaded bytes with the constant decides what comparing the zero-extended
// register would.
static bool compares_in_memory(Op& branch, Width size) {
    bool is_signed = branch.code == BPF_JSGT || branch.code == BPF_JSGE ||
                     branch.code == BPF_JSLT || branch.code == BPF_JSLE;
    if (branch.code == BPF_JSET || branch.code == kJumpNotSet) return false;
    if (size == Width::W64) return branch.wide;
    if (size == Width::W32 && !branch.wide) return true;
    if (branch.imm < 0 || is_signed) return false;
    // A 16-bit immediate would stall the instruction decoder: only one that fits a byte.
    if (size == Width::W16) return fits_s8(branch.imm);
    return size == Width::W32 || branch.imm < 0x100;
}

// x = load, then a jump that compares x, which nobody else reads: one compare with memory
bool Fuser::fuse_compare_memory(u32 i) {
    Op& op = unit_.ops[i];
    u32 def = find_def(op.lhs, i);
    if (def == kNone) return false;
    Op& load = unit_.ops[def];
    if (!is_plain_load(load) || !compares_in_memory(op, load.size)) return false;
    if (op.select != Select::No && (op.dst == op.lhs || op.value == op.lhs)) return false;
    if (!only_reader(op.lhs, def, i) || !memory_quiet(def, i)) return false;
    if (!unchanged(load.at, def, i)) return false;
    op.kind = Kind::BranchMem;
    op.at = load.at;
    op.size = load.size;
    op.lhs = kNoReg;
    drop(def);
    return true;
}

bool Fuser::is_address_op(const Op& op) const {
    return op.kind == Kind::Load || op.kind == Kind::Store || op.kind == Kind::StoreConst;
}

static bool is_add(const Op& op) {
    return (op.kind == Kind::Alu || op.kind == Kind::AluConst) && op.code == BPF_ADD && op.wide;
}

// The base was computed by an addition: a constant goes into the displacement, a register becomes
// the index.
bool Fuser::fold_base(u32 i) {
    Op& op = unit_.ops[i];
    Reg base = op.at.base;
    if (base == op.at.index || (op.kind == Kind::Store && op.rhs == base)) return false;
    u32 def = find_def(base, i);
    if (def == kNone || !is_add(unit_.ops[def])) return false;
    const Op& add = unit_.ops[def];
    Address at = op.at;
    at.base = add.lhs;
    if (add.kind == Kind::AluConst) {
        s64 disp = s64{at.disp} + add.imm;
        if (!fits_s32(disp)) return false;
        at.disp = static_cast<s32>(disp);
    } else {
        if (at.index != kNoReg || add.rhs == base || !unchanged(add.rhs, def, i)) return false;
        at.index = add.rhs;
    }
    if (!absorb_operand(base, def, i)) return false;
    op.at = at;
    return true;
}

bool Fuser::fold_index(u32 i) {
    Op& op = unit_.ops[i];
    Reg index = op.at.index;
    if (index == kNoReg || op.at.scale != 0 || index == op.at.base) return false;
    if (op.kind == Kind::Store && op.rhs == index) return false;
    u32 def = find_def(index, i);
    if (def == kNone) return false;
    const Op& shl = unit_.ops[def];
    if (!is_shift_const(shl, BPF_LSH, true) || shl.imm < 1 || shl.imm > 3) return false;
    auto scale = static_cast<u8>(shl.imm);
    Reg source = shl.lhs;
    if (!absorb_operand(index, def, i)) return false;
    op.at.index = source;
    op.at.scale = scale;
    return true;
}

void Fuser::fuse_address(u32 i) {
    for (u32 round = 0; round < 4; round++) {
        if (fold_base(i) || fold_index(i)) continue;
        Address& at = unit_.ops[i].at;
        if (at.index == kNoReg || at.scale != 0) return;
        Reg base = at.base;  // without a scale either register may be the base
        at.base = at.index;
        at.index = base;
        if (!fold_base(i) && !fold_index(i)) return;
    }
}

}  // namespace barebpf::x86
