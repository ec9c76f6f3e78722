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
// The map stays in rdi and the key in rsi until then. The rest of R0 to R5 is free, as with any call, and so are r9 to
// r11: a function with a call has none of R6 to R9 there.
#include "arch/x86/net/bpf_jit_lower.h"
#include "kernel/bpf/lookup_layout.h"

namespace barebpf::x86 {

static constexpr Register kMap = Register::Rdi, kKey = Register::Rsi;
static constexpr Register kVersion = Register::R8, kWords[] = {Register::R9, Register::R10};

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

// A wide node of an LPM trie, lpm_wide.h: the run of the key's third byte.
void Lowering::lookup_lpm4(Label call) {
    using L = LpmLookupLayout;
    constexpr Register table = Register::Rax, node = Register::Rcx, word = Register::Rdx;
    constexpr Register entry = Register::Rax, values = Register::Rcx;
    jump_if(Condition::NotEqual, call, [&] { out_.cmp(Width::W32, Memory(kKey, 0), L::kKeyBits); });
    out_.mov(Width::W64, table, Memory(kMap, L::kTable));
    jump_if(Condition::Equal, call, [&] { out_.test(Width::W64, table, table); });
    out_.movzx(node, Width::W16, Memory(kKey, L::kFirstBits));
    out_.mov(Width::W64, node, Memory(table, node, Scale::X8, L::kPlaces));
    for (const s32 line : L::kLines) out_.prefetch(Memory(node, line));
    out_.movzx(word, Width::W8, Memory(kKey, L::kByte));
    out_.mov(Width::W32, entry, word);
    out_.shr(Width::W32, word, 5);
    out_.shiftx(Shift::Shr, Width::W32, entry, Memory(node, word, Scale::X4, L::kEnds), entry);
    out_.movzx(word, Width::W8, Memory(node, word, Scale::X1, L::kUpto));
    out_.popcnt(Width::W32, entry, entry);
    out_.sub(Width::W32, word, entry);
    out_.mov(Width::W32, entry, Memory(node, word, Scale::X4, L::kEntries));
    jump_if(Condition::Equal, call, [&] { out_.test(Width::W8, entry, L::kLeafBit); });
    out_.mov(Width::W64, values, Memory(kMap, L::kChunks));
    out_.mov(Width::W32, word, entry);
    out_.shr(Width::W32, word, L::kChunkShift);
    out_.mov(Width::W64, word, Memory(values, word, Scale::X8, 0));
    static_assert(L::kValueStep == 2);
    out_.lea(Width::W64, Register::Rax,
             Memory(word, entry, Scale::X2, -L::kValueStep * L::kLeafBit));
}

// rax = the upper half of the hash's product, as upper_hash_key().
void Lowering::hash_key(u32 key_size) {
    using L = HashLookupLayout;
    const Width width = key_size == 4 ? Width::W32 : Width::W64;
    out_.mov(width, kWords[0], Memory(kKey, 0));
    out_.mov(Width::W64, Register::Rax, kWords[0]);
    out_.xor_(Width::W64, Register::Rax, Memory(kMap, L::kSeedA));
    if (key_size == 16) {
        out_.mov(Width::W64, kWords[1], Memory(kKey, 8));
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
void Lowering::lookup_hash(u32 key_size, Label call, Label miss) {
    using L = HashLookupLayout;
    constexpr Register bucket = Register::Rax, tag = Register::Rdx, each = Register::Rcx;
    hash_key(key_size);
    out_.mov(Width::W64, tag, Register::Rax);
    out_.shr(Width::W64, tag, L::kTagShift);
    out_.cmp(Width::W32, tag, L::kTagBits);
    out_.adc(Width::W64, tag, -1);
    out_.shr(Width::W64, bucket, L::kOffsetShift);
    out_.and_(Width::W64, bucket, Memory(kMap, L::kOffsetMask));
    out_.add(Width::W64, bucket, Memory(kMap, L::kBuckets));
    out_.mov(Width::W32, kVersion, Memory(bucket, L::kVersion));
    out_.mov(Width::W64, each, Memory(kMap, L::kEachByte));
    out_.imul(Width::W64, tag, each);
    out_.xor_(Width::W64, tag, Memory(bucket, L::kTags));
    out_.add(Width::W64, tag, each);
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
    const LookupShape shape = shape_of(unit_, unit_.ops[i]);
    const u32 number = lookups_++;
    const Label call = lookup_label(number, LookupLabel::Call);
    if (shape == LookupShape::Lpm4) {
        lookup_lpm4(call);
    } else {
        lookup_hash(key_size_of(shape), call, lookup_label(number, LookupLabel::Miss));
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
    call_helper(unit_.ops[i]);
    const u32 test = null_test_behind(i);
    if (test != i) {
        const Op& branch = unit_.ops[test];
        jump_if(branch.code == BPF_JEQ ? Condition::Equal : Condition::NotEqual,
                insn_label(branch.target),
                [&] { out_.test(Width::W64, Register::Rax, Register::Rax); });
    }
    out_.jump(lookup_label(number, LookupLabel::Back));
}

void Lowering::rest_of_lookups(u32 begin, u32 end, u32 number) {
    for (u32 i = begin; i < end; i++) {
        if (is_written_out(unit_.ops[i])) rest_of_lookup(i, number++);
    }
}

}  // namespace barebpf::x86
