// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Look-ups in maps written out where programs call them (MapOps::lookup_shape): what the map's own function does for most
// keys, with the same loads in the same order, which is all the ordering that loads need here. For any other key that
// function is called, and begins anew. A program that only asks whether the result is null has its answer from the way
// that was taken:
//
//     ... where the call was                  behind the function
//       hash, compare ... ----------> call:   call lookup
//       rax = value          |                test rax, rax ---> where null goes
//     back:                  |                jmp back
//       ... uses the value   +------> miss:   nothing chained, nothing changed? else call
//                                             xor eax, eax ----> where null goes
//
// The map stays in rdi and the key in rsi until then, if they are needed there at all. The rest of R0 to R5 is free, as
// with any call, and so are r9 to r11: a function with a call has none of R6 to R9 there.
#include "arch/x86/net/bpf_jit_lower.h"
#include "kernel/bpf/lookup_layout.h"

namespace barebpf::x86 {

static constexpr Register kMap = Register::Rdi, kKey = Register::Rsi;
static constexpr Register kVersion = Register::R8, kWords[] = {Register::R9, Register::R10};

// The map's address: in its register, not made by an Op that has gone. (The first Op stays.)
static constexpr u32 kInRegister = 0;

static LookupShape shape_of(const Unit& unit, const Op& op) {
    if (op.kind != Kind::CallHelper || static_cast<u64>(op.imm) >= unit.prog->calls.size())
        return LookupShape::Call;
    return unit.prog->calls[static_cast<size_t>(op.imm)].shape;
}

u32 count_lookups(const Unit& unit) {
    u32 count = 0;
    for (u32 i = 0; i < unit.count; i++) count += shape_of(unit, unit.ops[i]) != LookupShape::Call;
    return count;
}

bool Lowering::is_written_out(const Op& op) const {
    return options_.bmi2 && shape_of(unit_, op) != LookupShape::Call;
}

// The operand's definition, if nothing between it and the call looks at it and nobody comes in between; else `call`.
static u32 definition_before(const Unit& unit, u32 call, Reg operand) {
    for (u32 i = call; i > 0 && !unit.ops[i].leader; i--) {
        const Op& op = unit.ops[i - 1];
        if (leaves_block(op)) return call;
        if (defs(op) & reg_bit(operand)) return i - 1;
        if (uses(op) & reg_bit(operand)) return call;
    }
    return call;
}

// The address of its lpm::Standing: the trie is the program's, and has it for its life.
s64 standing_of(const Unit& unit, const Op& op) {
    if (shape_of(unit, op) != LookupShape::Lpm4 || op.target == kInRegister) return 0;
    const auto map = static_cast<uintptr_t>(unit.ops[op.target].imm);
    return *reinterpret_cast<const s64*>(map + LpmLookupLayout::kStanding);
}

// What the Op makes, as an address; without a base: it is none.
static Address address_made_by(const Op& op) {
    if (!op.wide) return {};
    if (op.kind == Kind::Lea) return op.at;
    if (op.code != BPF_ADD) return {};
    if (op.kind == Kind::Alu) return {op.lhs, op.rhs, 0, 0};
    if (op.kind != Kind::AluConst || !fits_s32(op.imm)) return {};
    return {op.lhs, kNoReg, 0, static_cast<s32>(op.imm)};
}

// Whether what the address is made of is still there when the look-up has come to nothing.
static bool lasts(const Unit& unit, const Address& at, u32 made, u32 call) {
    if (at.base == BPF_REG_10 && at.index == kNoReg) return true;
    constexpr RegSet kWritten = reg_bit(BPF_REG_3) | reg_bit(BPF_REG_4) | reg_bit(BPF_REG_5);
    const RegSet parts = reg_bit(at.base) | reg_bit(at.index);
    if (!parts || (parts & kWritten) || !standing_of(unit, unit.ops[call])) return false;
    for (u32 i = made + 1; i < call; i++) {
        const Op& op = unit.ops[i];
        const bool simple = op.kind == Kind::Nop || op.kind == Kind::MovConst;
        if (!simple || (defs(op) & parts)) return false;
    }
    return true;
}

// A key on the stack needs no register, nor does the address of an LPM trie, before the call itself: each is one more for
// the look-ups that the processor has under way. Where the trie is standing, nor does a key that is elsewhere.
void sink_operands(Unit& unit) {
    for (u32 i = 0; i < unit.count; i++) {
        Op& call = unit.ops[i];
        const LookupShape shape = shape_of(unit, call);
        if (shape == LookupShape::Call) continue;
        call.target = kInRegister;
        const u32 map = definition_before(unit, i, BPF_REG_1);
        if (shape == LookupShape::Lpm4 && map != kInRegister &&
            unit.ops[map].kind == Kind::MovConst) {
            call.target = map;
            unit.ops[map].kind = Kind::Nop;
        }
        const u32 key = definition_before(unit, i, BPF_REG_2);
        const Address at = address_made_by(unit.ops[key]);
        if (!lasts(unit, at, key, i)) continue;
        call.at = at;
        unit.ops[key].kind = Kind::Nop;
    }
}

Memory Lowering::key_of(const Op& op, s32 offset) const {
    if (op.at.base == kNoReg) return Memory(kKey, offset);
    Address at = op.at;
    at.disp += offset;
    return memory(at);
}

// rax = a word of the map.
void Lowering::load_of_map(const Op& op, s32 offset) {
    if (op.target == kInRegister) return out_.mov(Width::W64, Register::Rax, Memory(kMap, offset));
    out_.mov_absolute(static_cast<u64>(unit_.ops[op.target].imm + offset));
}

// The branch behind a call that asks whether the result is null, and nothing else comes there; or `i`.
u32 Lowering::null_test_behind(u32 i) const {
    for (u32 test = i + 1; test < unit_.count; test++) {
        const Op& op = unit_.ops[test];
        if (op.leader) return i;
        if (op.kind == Kind::Nop) continue;
        const bool asks = op.kind == Kind::BranchConst && op.select == Select::No && op.wide &&
                          op.lhs == BPF_REG_0 && op.imm == 0 &&
                          (op.code == BPF_JEQ || op.code == BPF_JNE);
        return asks ? test : i;
    }
    return i;
}

template <class Compare>
void Lowering::jump_if(Condition condition, Label target, Compare compare) {
    const u32 begin = out_.position();
    compare();
    const u32 length = out_.position() - begin;
    out_.rewind(begin);
    keep_within_line(length + out_.next_jump_length(true));
    compare();
    out_.jump(condition, target);
}

// A look-up in an LPM trie: rcx = a wide node, lpm_wide.h; rdx = the entry for the key's third byte.
static constexpr Register kNode = Register::Rcx, kEntry = Register::Rdx;

void Lowering::entry_of_lpm4(const Op& op, Register run) {
    using L = LpmLookupLayout;
    constexpr Register node = kNode, word = kEntry;
    out_.movzx(word, Width::W8, key_of(op, L::kByte));
    out_.mov(Width::W32, run, word);
    out_.shr(Width::W32, word, 5);
    out_.shiftx(Shift::Shr, Width::W32, run, Memory(node, word, Scale::X4, L::kEnds), run);
    out_.popcnt(Width::W32, run, run);
    // At most 255, so eight bits do, and the rest is 0.
    out_.add(Width::W8, run, Memory(node, word, Scale::X1, L::kAfter));
    out_.mov(Width::W32, kEntry, Memory(node, run, Scale::X4, L::kEntries));
}

Register Lowering::standing_register(s64 standing) {
    if (const Frame::Kept* there = kept(standing)) return there->reg;
    out_.load_constant(Register::R8, static_cast<u64>(standing));
    return Register::R8;
}

// Beside a Standing it leaves all registers alone of which a key's address may be made.
void Lowering::lookup_lpm4(const Op& op, Label call) {
    using L = LpmLookupLayout;
    constexpr Register chunk = kNode;
    const s64 standing = standing_of(unit_, op);
    jump_if(Condition::NotEqual, call, [&] { out_.cmp(Width::W32, key_of(op, 0), L::kKeyBits); });
    const Register table = standing ? standing_register(standing) : Register::Rax;
    if (!standing) {
        load_of_map(op, L::kTable);
        jump_if(Condition::Equal, call, [&] { out_.test(Width::W64, table, table); });
    }
    const s32 places = (standing ? L::kStandingTable : 0) + L::kPlaces;
    out_.movzx(kNode, Width::W16, key_of(op, L::kFirstBits));
    out_.mov(Width::W64, kNode, Memory(table, kNode, Scale::X8, places));
    for (const s32 line : L::kLines) out_.prefetch(Memory(kNode, line));
    entry_of_lpm4(op, standing ? kWords[0] : Register::Rax);
    jump_if(Condition::Equal, call, [&] { out_.test(Width::W8, kEntry, L::kLeafBit); });
    if (!standing) load_of_map(op, L::kChunks);
    out_.mov(Width::W32, chunk, kEntry);
    out_.shr(Width::W32, chunk, L::kChunkShift);
    out_.mov(Width::W64, chunk, Memory(table, chunk, Scale::X8, standing ? L::kStandingChunks : 0));
    if (value_use_ == kNobody) out_.lea(Width::W64, Register::Rax, memory(value_of_lpm4(0)));
}

// The value, of which the chunk and the entry are known.
Address Lowering::value_of_lpm4(s32 offset) const {
    using L = LpmLookupLayout;
    static_assert(L::kValueStep == 2);
    return {BPF_REG_4, BPF_REG_3, 1, offset - L::kValueStep * L::kLeafBit};
}

// Where all that a program does with a value is to read it once, right behind its test for null: that instruction.
u32 Lowering::only_use_of_value(u32 i) const {
    const u32 test = null_test_behind(i);
    if (test == i || unit_.ops[test].code != BPF_JEQ) return kNobody;
    u32 use = test + 1;
    while (use < unit_.count && unit_.ops[use].kind == Kind::Nop && !unit_.ops[use].leader) use++;
    if (use == unit_.count) return kNobody;
    const Op& op = unit_.ops[use];
    const bool reads = (op.kind == Kind::Load && !op.ordered) || op.kind == Kind::AluMem;
    const bool only = reads && !op.leader && op.at.base == BPF_REG_0 && op.at.index == kNoReg &&
                      (op.kind == Kind::Load || op.dst != BPF_REG_0);
    const bool last = op.dst == BPF_REG_0 || !live_after(op, BPF_REG_0);
    return only && last ? use : kNobody;
}

void Lowering::use_value(const Op& op) {
    Op use = op;
    use.at = value_of_lpm4(op.at.disp);
    return use.kind == Kind::Load ? load(use) : alu_memory(use);
}

// rax = the upper half of the hash's product, as upper_hash_key().
void Lowering::hash_key(const Op& op, u32 key_size) {
    using L = HashLookupLayout;
    const Width width = key_size == 4 ? Width::W32 : Width::W64;
    out_.mov(width, kWords[0], key_of(op, 0));
    out_.mov(Width::W64, Register::Rax, kWords[0]);
    out_.xor_(Width::W64, Register::Rax, Memory(kMap, L::kSeedA));
    if (key_size == 16) {
        out_.mov(Width::W64, kWords[1], key_of(op, 8));
        out_.mov(Width::W64, Register::Rdx, kWords[1]);
        out_.xor_(Width::W64, Register::Rdx, Memory(kMap, L::kSeedB));
        out_.mul(Width::W64, Register::Rdx);
    } else {
        out_.unary(Unary::Mul, Width::W64, Memory(kMap, L::kSeedB));
    }
    out_.xor_(Width::W64, Register::Rax, Register::Rdx);
    out_.imul(Width::W64, Register::Rax, Memory(kMap, L::kFactor));
}

// rdx *= the distance of elements with a key of that size and a value of eight bytes.
void Lowering::multiply_by_stride(u32 key_size) {
    constexpr Register index = Register::Rdx;
    static_assert(HashLookupLayout::stride(4) == 16 && HashLookupLayout::stride(8) == 24 &&
                  HashLookupLayout::stride(16) == 32);
    if (key_size == 8) out_.lea(Width::W64, index, Memory(index, index, Scale::X2, 0));
    out_.shl(Width::W64, index, key_size == 4 ? 4 : key_size == 8 ? 3 : 5);
}

// The first element with the key's tag is it, or none has the tag: lookup() of hashtab_lookup.h.
void Lowering::lookup_hash(const Op& op, u32 key_size, Label call, Label miss) {
    using L = HashLookupLayout;
    constexpr Register bucket = Register::Rax, tag = Register::Rdx;
    hash_key(op, key_size);
    out_.mov(Width::W64, tag, Register::Rax);
    out_.shr(Width::W64, tag, L::kTagShift);
    out_.cmp(Width::W32, tag, L::kTagBits);
    out_.adc(Width::W64, tag, -1);
    out_.shr(Width::W64, bucket, L::kOffsetShift);
    out_.and_(Width::W64, bucket, Memory(kMap, L::kOffsetMask));
    out_.add(Width::W64, bucket, Memory(kMap, L::kBuckets));
    out_.mov(Width::W32, kVersion, Memory(bucket, L::kVersion));
    out_.imul(Width::W64, tag, Memory(kMap, L::kEachByte));
    out_.xor_(Width::W64, tag, Memory(bucket, L::kTags));
    out_.add(Width::W64, tag, Memory(kMap, L::kEachByte));
    jump_if(Condition::Equal, miss, [&] { out_.and_(Width::W64, tag, Memory(kMap, L::kTopBits)); });
    out_.tzcnt(Width::W64, tag, tag);
    out_.shr(Width::W32, tag, 1);
    out_.mov(Width::W32, tag, Memory(bucket, tag, Scale::X1, L::kSlots - 3));
    multiply_by_stride(key_size);
    constexpr Register value = tag;
    out_.add(Width::W64, value, Memory(kMap, L::kValues));
    const Width width = key_size == 4 ? Width::W32 : Width::W64;
    const auto size = static_cast<s32>(key_size);
    for (s32 at = 0; at < size; at += 8) {
        jump_if(Condition::NotEqual, call,
                [&] { out_.cmp(width, Memory(value, at - size), kWords[at / 8]); });
    }
    jump_if(Condition::NotEqual, call,
            [&] { out_.cmp(Width::W32, Memory(bucket, L::kVersion), kVersion); });
    out_.mov(Width::W64, Register::Rax, value);
}

static u32 key_size_of(LookupShape shape) {
    return shape == LookupShape::Hash4 ? 4 : shape == LookupShape::Hash8 ? 8 : 16;
}

void Lowering::lookup(u32 i) {
    const Op& op = unit_.ops[i];
    const LookupShape shape = shape_of(unit_, op);
    const u32 number = lookups_++;
    const Label call = lookup_label(number, LookupLabel::Call);
    if (shape == LookupShape::Lpm4) {
        value_use_ = only_use_of_value(i);
        lookup_lpm4(op, call);
    } else {
        lookup_hash(op, key_size_of(shape), call, lookup_label(number, LookupLabel::Miss));
    }
    null_test_ = null_test_behind(i);
    if (null_test_ != i && unit_.ops[null_test_].code == BPF_JNE) {
        keep_within_line(out_.next_jump_length(false));
        out_.jump(insn_label(unit_.ops[null_test_].target));
    }
    out_.bind(lookup_label(number, LookupLabel::Back));
}

// rax is null.
void Lowering::leave_with_null(u32 i, u32 number) {
    const u32 test = null_test_behind(i);
    const bool jumps = test != i && unit_.ops[test].code == BPF_JEQ;
    out_.jump(jumps ? insn_label(unit_.ops[test].target) : lookup_label(number, LookupLabel::Back));
}

// What stands behind the function.
void Lowering::rest_of_lookup(u32 i, u32 number) {
    using L = HashLookupLayout;
    constexpr Register bucket = Register::Rax;
    const Label call = lookup_label(number, LookupLabel::Call);
    if (shape_of(unit_, unit_.ops[i]) != LookupShape::Lpm4) {
        out_.bind(lookup_label(number, LookupLabel::Miss));
        jump_if(Condition::NotEqual, call,
                [&] { out_.cmp(Width::W32, Memory(bucket, L::kOverflow), 0); });
        jump_if(Condition::NotEqual, call,
                [&] { out_.cmp(Width::W32, Memory(bucket, L::kVersion), kVersion); });
        out_.zero(Register::Rax);
        leave_with_null(i, number);
    }
    out_.bind(call);
    const Op& op = unit_.ops[i];
    if (op.at.base != kNoReg) out_.lea(Width::W64, kKey, key_of(op, 0));
    if (op.target != kInRegister)
        out_.load_constant(kMap, static_cast<u64>(unit_.ops[op.target].imm));
    call_helper(op);
    const u32 test = null_test_behind(i);
    if (test != i) {
        const Op& branch = unit_.ops[test];
        jump_if(branch.code == BPF_JEQ ? Condition::Equal : Condition::NotEqual,
                insn_label(branch.target),
                [&] { out_.test(Width::W64, Register::Rax, Register::Rax); });
    }
    const bool lpm4 = shape_of(unit_, op) == LookupShape::Lpm4;
    if (lpm4 && only_use_of_value(i) != kNobody) {
        // As if it were in a chunk that begins there.
        out_.mov(Width::W64, x(value_of_lpm4(0).base), Register::Rax);
        out_.load_constant(x(value_of_lpm4(0).index), LpmLookupLayout::kLeafBit);
    }
    out_.jump(lookup_label(number, LookupLabel::Back));
}

void Lowering::rest_of_lookups(u32 begin, u32 end, u32 number) {
    for (u32 i = begin; i < end; i++) {
        if (is_written_out(unit_.ops[i])) rest_of_lookup(i, number++);
    }
}

}  // namespace barebpf::x86
