// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Look-ups that the compiler writes out: against the maps' own functions, in programs that use the result in different
// ways, and beside writers.
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "arch/x86/net/bpf_jit_program_test.h"
#include "kernel/bpf/lookup_layout.h"
#include "kernel/bpf/map_inject_test.h"
#include "testkit/machine.h"

#include <arch/cpu_features.h>

namespace barebpf::x86 {
namespace {

using host::Atomic;
using host::Order;
using test::append;
using test::call_helper;
using test::exit_insn;
using test::insn;
using test::Insns;
using test::mov_imm;
using test::mov_reg;
using test::TestProgram;

// What programs call: counts, and does what the map's function does.
u32 calls;
void* counting_lookup(Map* map, const void* key) {
    ++calls;
    return map->ops->lookup(map, key);
}

// What a program does with the result; each gives what `expected` says of the value's address.
enum class Use : u8 {
    Returned,      // the address
    NullJumps,     // if r0 == 0 goto: the value, or 7 more than null
    ValueJumps,    // if r0 != 0 goto: the same
    AlsoJumpedTo,  // the test has another way to it, with r0 = 0
    Copied,        // something stands before the test
    Narrow,        // the test looks at the lower half only
    InAFunction,   // another function calls, behind two that stand before it
    AddedUp,       // the value is an operand
    ReadTwice,     // the address is used again
    ReadByOthers,  // another way leads to where it is read, with the address of a 7
};
constexpr Use kUses[] = {Use::Returned,  Use::NullJumps,   Use::ValueJumps,  Use::AlsoJumpedTo,
                         Use::Copied,    Use::Narrow,      Use::InAFunction, Use::AddedUp,
                         Use::ReadTwice, Use::ReadByOthers};

Insns uses(Use use) {
    const bpf_insn value = insn(BPF_LDX | BPF_MEM | BPF_DW, 0, 0, 0, 0);
    const bpf_insn seven = insn(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 7);
    const auto jump = [](u32 code, s32 off) { return insn(code | BPF_K, 0, 0, off, 0); };
    switch (use) {
        case Use::Returned:
            return {exit_insn()};
        case Use::ValueJumps:
            return {jump(BPF_JMP | BPF_JNE, 2), seven, exit_insn(), value, exit_insn()};
        case Use::Copied:
            return {mov_reg(6, 0), jump(BPF_JMP | BPF_JEQ, 2), value, exit_insn(), seven,
                    exit_insn()};
        case Use::AddedUp:
            return {mov_imm(6, 0),
                    jump(BPF_JMP | BPF_JEQ, 4),
                    insn(BPF_LDX | BPF_MEM | BPF_DW, 1, 0, 0, 0),
                    insn(BPF_ALU64 | BPF_ADD | BPF_X, 6, 1, 0, 0),
                    mov_reg(0, 6),
                    exit_insn(),
                    seven,
                    exit_insn()};
        case Use::ReadTwice:
            return {jump(BPF_JMP | BPF_JEQ, 5),
                    insn(BPF_LDX | BPF_MEM | BPF_DW, 1, 0, 0, 0),
                    value,
                    insn(BPF_ALU64 | BPF_ADD | BPF_X, 0, 1, 0, 0),
                    insn(BPF_ALU64 | BPF_RSH | BPF_K, 0, 0, 0, 1),
                    exit_insn(),
                    seven,
                    exit_insn()};
        case Use::Narrow:
            return {jump(BPF_JMP32 | BPF_JEQ, 2), value, exit_insn(), seven, exit_insn()};
        default:
            return {jump(BPF_JMP | BPF_JEQ, 2), value, exit_insn(), seven, exit_insn()};
    }
}

// Where the program has its key.
enum class KeyAt : u8 { Register, Stack, StackSeenTwice, OneOfTwo, Sum, SumOfWritten, Behind };
constexpr KeyAt kKeysAt[] = {KeyAt::Register, KeyAt::Stack, KeyAt::StackSeenTwice,
                             KeyAt::OneOfTwo, KeyAt::Sum,   KeyAt::SumOfWritten,
                             KeyAt::Behind};

// Copies the key behind R1 to the stack: R2.
Insns copy_key(s32 size, s32 begin) {
    Insns insns;
    for (s32 i = 0; i < size; i += 4) {
        insns.push_back(insn(BPF_LDX | BPF_MEM | BPF_W, 3, 1, i, 0));
        insns.push_back(insn(BPF_STX | BPF_MEM | BPF_W, 10, 3, begin + i, 0));
    }
    append(insns, {mov_reg(2, 10), insn(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, begin)});
    return insns;
}

// R2 = the key's address, as a sum of that register and `other`.
Insns sum_of(u32 reg, u32 other) {
    Insns insns = {mov_reg(reg, 1)};
    test::load_imm64(insns, other, 0x1234'5678'9abc);
    append(insns, {insn(BPF_ALU64 | BPF_SUB | BPF_X, reg, other, 0, 0), mov_reg(2, reg),
                   insn(BPF_ALU64 | BPF_ADD | BPF_X, 2, other, 0, 0)});
    return insns;
}
// R6 = 40 behind the key's address; R2 = that address.
Insns behind_key() {
    return {insn(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 40),
            insn(BPF_LDX | BPF_MEM | BPF_DW, 6, 10, -8, 0),
            insn(BPF_ALU64 | BPF_ADD | BPF_X, 6, 1, 0, 0),
            insn(BPF_STX | BPF_MEM | BPF_DW, 10, 6, -8, 0),  // whole before R2 is made of it
            insn(BPF_LDX | BPF_MEM | BPF_B, 3, 10, -8, 0),
            mov_reg(2, 6),
            insn(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -40)};
}

// The key behind R1 as R2.
Insns key_for(const Map* map, KeyAt at) {
    if (at == KeyAt::Register) return {mov_reg(2, 1)};
    if (at == KeyAt::Sum) return sum_of(0, 1);
    if (at == KeyAt::SumOfWritten) return sum_of(4, 3);  // of registers that a look-up writes
    if (at == KeyAt::Behind) return behind_key();
    const s32 size = static_cast<s32>(map->key_size), begin = -size - 16;
    Insns insns = copy_key(size, begin);
    // Of odd keys it stays there; others are copied once more, to a place that is zero for odd ones.
    if (at == KeyAt::OneOfTwo) {
        const s32 second = begin - size - 16;
        for (s32 i = 0; i < size; i += 4) {
            insns.push_back(insn(BPF_ST | BPF_MEM | BPF_W, 10, 0, second + i, 0));
        }
        const Insns copy = copy_key(size, second);
        append(insns, {insn(BPF_LDX | BPF_MEM | BPF_W, 3, 1, size == 8 ? 4 : 0, 0),
                       insn(BPF_JMP | BPF_JSET | BPF_K, 3, 0, static_cast<s32>(copy.size()), 1)});
        append(insns, copy);
    }
    // Somebody else looks at the address: what it makes of it, nothing, is added to the key.
    if (at == KeyAt::StackSeenTwice) {
        append(insns, {mov_reg(3, 2), insn(BPF_ALU64 | BPF_SUB | BPF_X, 3, 10, 0, 0),
                       insn(BPF_ALU64 | BPF_ADD | BPF_K, 3, 0, 0, -begin),
                       insn(BPF_LDX | BPF_MEM | BPF_W, 4, 10, begin, 0),
                       insn(BPF_ALU64 | BPF_ADD | BPF_X, 4, 3, 0, 0),
                       insn(BPF_STX | BPF_MEM | BPF_W, 10, 4, begin, 0)});
    }
    return insns;
}

// R1: the key. Each but Returned gives the value, or 7.
Insns program_for(const Map* map, Use use, KeyAt at) {
    Insns insns;
    const Insns key = key_for(map, at);
    const s32 rest = static_cast<s32>(key.size()) + 3;  // to behind the call
    if (use == Use::InAFunction) {
        insns = {insn(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1), exit_insn()};
    } else if (use == Use::AlsoJumpedTo) {
        // No key: to the test behind the call.
        insns = {mov_imm(0, 0), insn(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, rest, 0)};
    } else if (use == Use::ReadByOthers) {
        insns = {insn(BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 7), mov_reg(0, 10),
                 insn(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, -8),
                 insn(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, rest + 1, 0)};
    }
    append(insns, key);
    test::load_imm64(insns, 1, reinterpret_cast<u64>(map));
    insns.push_back(call_helper(0));
    append(insns, uses(use));
    return insns;
}

class CompiledLookup : public TestProgram {
public:
    explicit CompiledLookup(Map* map, Use use, KeyAt at = KeyAt::Register)
        : TestProgram(program_for(map, use, at), {reinterpret_cast<const void*>(&counting_lookup)}),
          map_(map),
          use_(use) {
        prog()->calls[0].shape = map->ops->lookup_shape;
    }
    void expect_same(const void* key) {
        const void* value = map_->ops->lookup(map_, key);
        u64 expected = reinterpret_cast<u64>(value);
        if (use_ != Use::Returned) {
            expected = value ? host::atomic_at<u64>(value).load(Order::Relaxed) : 7;
        }
        ASSERT_EQ(run(const_cast<void*>(key), 0), expected) << int(use_);
    }

private:
    Map* map_;
    Use use_;
};

struct Key {
    u64 words[2];
};

class BpfJitLookup : public barebpf::test::WithMap<::testing::TestWithParam<u32>> {
protected:
    void make_hash(u32 entries, u32 value_size = 8) {
        make(barebpf::test::map_attr(BPF_MAP_TYPE_HASH, GetParam(), value_size, entries));
    }
    s64 update(const Key& key, u64 value) {
        host::RcuReadGuard guard;
        return map_->ops->update(map_, &key, &value, BPF_ANY);
    }
    s64 erase(const Key& key) {
        host::RcuReadGuard guard;
        return map_->ops->erase(map_, &key);
    }
    static Key key_of(u32 number) { return {{number | u64{number} << 40, ~u64{number}}}; }
};
INSTANTIATE_TEST_SUITE_P(KeySizes, BpfJitLookup, ::testing::Values(4u, 8u, 16u),
                         [](const auto& chosen) { return std::to_string(chosen.param); });

// In a full map one element of some fifty is chained, and one look-up of some thirty finds its tag at another's first.
TEST_P(BpfJitLookup, AgreesWithTheMapsOwn) {
    constexpr u32 kEntries = 1000;
    make_hash(kEntries);
    for (u32 i = 0; i < kEntries; ++i) ASSERT_EQ(update(key_of(i), 100 + i), 0);
    LowerOptions plain, bmi2, far;
    plain.bmi2 = false;
    bmi2.bmi2 = arch::cpu_features().bmi2;
    bmi2.keep_within_lines = false;
    far.bmi2 = bmi2.bmi2;
    far.direct_calls = false;
    const auto expect_all_same = [&](Use use, KeyAt at) {
        CompiledLookup lookup(map_, use, at);
        for (const LowerOptions& options : {plain, bmi2, far}) {
            ASSERT_TRUE(lookup.compile(options));
            host::RcuReadGuard guard;
            for (u32 i = 0; i < 2 * kEntries; ++i) {
                const Key key = key_of(i);
                lookup.expect_same(&key);
            }
            if (use == Use::AlsoJumpedTo || use == Use::ReadByOthers) {
                EXPECT_EQ(lookup.run(nullptr, 0), 7u);
            }
        }
    };
    for (const Use use : kUses) {
        for (const KeyAt at : kKeysAt) expect_all_same(use, at);
    }
}

TEST_P(BpfJitLookup, MostCallNothing) {
    if (!arch::cpu_features().bmi2) GTEST_SKIP() << "without BMI2 nothing is written out";
    constexpr u32 kEntries = 1000;
    make_hash(kEntries);
    for (u32 i = 0; i < kEntries; ++i) ASSERT_EQ(update(key_of(i), i), 0);
    for (const Use use : kUses) {
        CompiledLookup lookup(map_, use);
        ASSERT_TRUE(lookup.compile());
        for (const u32 first : {0u, kEntries}) {
            calls = 0;
            for (u32 i = first; i < first + kEntries; ++i) {
                Key key = key_of(i);
                lookup.run(&key, 0);
            }
            EXPECT_LT(calls, kEntries / 8) << (first ? "misses" : "hits");
            EXPECT_GT(calls, 0u);
        }
    }
}

// A jump between leaves with the key's address in use: it is there.
TEST_P(BpfJitLookup, AnotherWayLooksAtTheKey) {
    constexpr u32 kEntries = 100;
    make_hash(kEntries);
    for (u32 i = 0; i < kEntries; ++i) ASSERT_EQ(update(key_of(i), i), 0);
    Insns insns = copy_key(static_cast<s32>(GetParam()), -32);
    append(insns, {insn(BPF_LDX | BPF_MEM | BPF_W, 3, 1, 0, 0),
                   insn(BPF_JMP | BPF_JSET | BPF_K, 3, 0, 4, 1)});
    test::load_imm64(insns, 1, reinterpret_cast<u64>(map_));
    append(insns,
           {call_helper(0), exit_insn(), insn(BPF_LDX | BPF_MEM | BPF_W, 0, 2, 0, 0), exit_insn()});
    TestProgram program(insns, {reinterpret_cast<const void*>(&counting_lookup)});
    program.prog()->calls[0].shape = map_->ops->lookup_shape;
    ASSERT_TRUE(program.compile());
    host::RcuReadGuard guard;
    for (u32 i = 0; i < 2 * kEntries; ++i) {
        Key key = key_of(i);
        const u64 found = reinterpret_cast<u64>(map_->ops->lookup(map_, &key));
        EXPECT_EQ(program.run(&key, 0), i % 2 ? i : found) << i;
    }
}

// Other values stand elsewhere.
TEST_P(BpfJitLookup, LargerValuesAreFoundToo) {
    make_hash(100, 16);
    EXPECT_EQ(map_->ops->lookup_shape, LookupShape::Call);
    host::RcuReadGuard guard;
    for (u32 i = 0; i < 100; ++i) {
        const Key key = key_of(i);
        const u64 value[2] = {i, i};
        ASSERT_EQ(map_->ops->update(map_, &key, value, BPF_ANY), 0);
    }
    CompiledLookup lookup(map_, Use::NullJumps);
    ASSERT_TRUE(lookup.compile());
    for (u32 i = 0; i < 200; ++i) {
        const Key key = key_of(i);
        lookup.expect_same(&key);
    }
}

TEST_P(BpfJitLookup, WhatChangesIsSeen) {
    constexpr u32 kEntries = 40;
    make_hash(kEntries);
    CompiledLookup lookup(map_, Use::ValueJumps);
    ASSERT_TRUE(lookup.compile());
    std::mt19937 random(5);
    for (u32 turn = 0; turn < barebpf::test::rounds(20'000); ++turn) {
        const Key key = key_of(random() % (2 * kEntries));
        random() % 2 ? update(key, turn) : erase(key);
        host::RcuReadGuard guard;
        lookup.expect_same(&key);
        const Key other = key_of(random() % (2 * kEntries));
        lookup.expect_same(&other);
    }
}

// The one element of a map has one key, then the other, and is looked for under a key made of both, which has their tag
// and bucket: its words may be there one after the other, but not in one version of the bucket. (A key of one word is
// read at once.)
class BpfJitMixedKeys : public barebpf::test::WithMap<> {
protected:
    void SetUp() override {
        make(barebpf::test::map_attr(BPF_MAP_TYPE_HASH, sizeof(Key), 8, 1));
        std::mt19937_64 random(3);
        first_ = {{random(), random()}};
        do {
            second_ = {{random(), random()}};
            mixed_ = {{first_.words[0], second_.words[1]}};
        } while (tag_of(second_) != tag_of(first_) || tag_of(mixed_) != tag_of(first_));
        lookup_.emplace(map_, Use::Returned);
        ASSERT_TRUE(lookup_->compile());
    }
    void TearDown() override {
        lookup_.reset();
        WithMap::TearDown();
    }
    u64 tag_of(const Key& key) const {
        return hashtab::hash_to_bucket<16>(static_cast<HashMap*>(map_), &key).tag;
    }
    void put(const Key& key, const Key& in_place_of) {
        const u64 value = 1;
        map_->ops->erase(map_, &in_place_of);
        map_->ops->update(map_, &key, &value, BPF_ANY);
    }
    bool finds_mixed() {
        Key key = mixed_;
        return lookup_->run(&key, 0) != 0;
    }

    Key first_, second_, mixed_;
    std::optional<CompiledLookup> lookup_;
};

TEST_F(BpfJitMixedKeys, AreNotFoundBesideAWriter) {
    Atomic<u32> found{};
    barebpf::test::run_on_cpus(barebpf::test::cpus_up_to(2), [&](u32 cpu) {
        for (u32 turn = 0; turn < barebpf::test::rounds(200'000); ++turn) {
            {
                host::Cpu::Pin pin;
                host::RcuReadGuard guard;
                if (cpu == 0) {
                    turn % 2 ? put(first_, second_) : put(second_, first_);
                } else if (finds_mixed()) {
                    found.fetch_add(1, Order::Relaxed);
                }
            }
            if (turn % 64 == 0) host::Cpu::yield_point();
        }
    });
    EXPECT_EQ(found.load(Order::Relaxed), 0u);
}

TEST_F(BpfJitMixedKeys, AreNotFoundWhereAnNmiWrites) {
    host::Cpu::Pin pin;
    host::RcuReadGuard guard;
    u32 found = 0;
    auto operation = [&] {
        put(first_, second_);
        found += finds_mixed();
    };
    const auto call = [](void* self) { (*static_cast<decltype(operation)*>(self))(); };
    if (!barebpf::test::trace.record(inject::Trace::Where::Everywhere, call, &operation)) {
        GTEST_SKIP() << "needs single steps";
    }
    inject::at_each_instruction(barebpf::test::trace, host::cpu_id(), operation,
                                [&] { put(second_, first_); });
    EXPECT_EQ(found, 0u);
}

// ── LPM ───────────────────────────────────────────────────────────────────────────────────────

struct Prefix {
    u32 length;
    u32 address;  // first byte first
};
Prefix prefix_of(u32 address, u32 length) {
    return {length, __builtin_bswap32(address)};
}

enum class Table : u8 { Growing, Standing };  // lpm_shortcut.h

class BpfJitLpmLookup : public barebpf::test::WithMap<::testing::TestWithParam<Table>> {
protected:
    void make_trie() {
        const u32 entries = is_standing() ? lpm::Standing::kFrom : 1 << 16;
        make(barebpf::test::map_attr(BPF_MAP_TYPE_LPM_TRIE, sizeof(Prefix), 8, entries,
                                     BPF_F_NO_PREALLOC));
        ASSERT_EQ(trie()->standing != nullptr, is_standing());
    }
    static bool is_standing() { return GetParam() == Table::Standing; }
    LpmTrie* trie() { return static_cast<LpmTrie*>(map_); }
    // From then on there is a table, filled by the updates that follow.
    void want_table() {
        if (!is_standing()) trie()->grow_at.store(1, Order::Relaxed);
    }
    void add(u32 address, u32 length) {
        const Prefix prefix = prefix_of(address, length);
        const u64 value = u64{address} << 8 | length;
        host::RcuReadGuard guard;
        ASSERT_EQ(map_->ops->update(map_, &prefix, &value, BPF_ANY), 0);
    }
    // All first 16 bits are those of few blocks.
    void add_some(u32 count) {
        for (u32 i = 0; i < count; ++i) {
            const bool deep = random_() % 8 == 0;
            add(address(), deep ? 25 + random_() % 8 : 4 + random_() % 21);
            if (i % 64 == 0) host::Cpu::yield_point();
        }
    }
    u32 address() {
        return 0x0a000000 + (random_() % 16 << 16 | random_() % 16 << 12 | random_() % 4096);
    }
    void expect_same(CompiledLookup& lookup, u32 count) {
        host::RcuReadGuard guard;
        for (u32 i = 0; i < count; ++i) {
            const Prefix key = prefix_of(address(), 32);
            lookup.expect_same(&key);
        }
        const Prefix elsewhere = prefix_of(0xc0a80101, 32);
        lookup.expect_same(&elsewhere);
        const Prefix shorter = prefix_of(address(), 20);  // which a program may look for
        lookup.expect_same(&shorter);
    }

    std::mt19937 random_{7};
};
INSTANTIATE_TEST_SUITE_P(Tables, BpfJitLpmLookup,
                         ::testing::Values(Table::Growing, Table::Standing),
                         [](const auto& chosen) {
                             return std::string(chosen.param == Table::Standing ? "Standing"
                                                                                : "Growing");
                         });

TEST_P(BpfJitLpmLookup, AgreesWithTheMapsOwn) {
    make_trie();
    const auto expect_all_same = [&](u32 count) {
        for (const Use use : kUses) {
            for (const KeyAt at : kKeysAt) {
                CompiledLookup lookup(map_, use, at);
                ASSERT_TRUE(lookup.compile());
                expect_same(lookup, count);
                add_some(40);
                expect_same(lookup, 500);
                if (use == Use::ReadByOthers) {
                    EXPECT_EQ(lookup.run(nullptr, 0), 7u);
                }
            }
        }
    };
    expect_all_same(100);  // nothing or little is there, and no table
    want_table();
    add_some(1500);
    ASSERT_NE(trie()->shortcut.get_locked(), nullptr);
    expect_all_same(1500);
}

// R6, of which the key's address was made, is another's when the look-up has come to nothing.
TEST_P(BpfJitLpmLookup, AnAddressWhoseBaseChanges) {
    make_trie();
    want_table();
    add_some(1500);
    Insns insns = behind_key();
    insns.push_back(mov_imm(6, 77));
    test::load_imm64(insns, 1, reinterpret_cast<u64>(map_));
    append(insns, {call_helper(0), insn(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1, 0), exit_insn(),
                   mov_reg(0, 6), exit_insn()});
    TestProgram program(insns, {reinterpret_cast<const void*>(&counting_lookup)});
    program.prog()->calls[0].shape = map_->ops->lookup_shape;
    ASSERT_TRUE(program.compile());
    host::RcuReadGuard guard;
    for (u32 i = 0; i < 3000; ++i) {
        Prefix key = prefix_of(i % 3 ? address() : 0xc0a80101, 32);
        void* found = map_->ops->lookup(map_, &key);
        ASSERT_EQ(program.run(&key, 0), found ? reinterpret_cast<u64>(found) : 77);
    }
}

// Adds up the values of so many keys, eight bytes behind R1 and on; `kept`: R9 has something for the end.
Insns sum_of_values(const Map* map, s32 keys, bool kept) {
    Insns insns = {mov_reg(6, 1), mov_imm(7, 0), mov_imm(8, keys)};
    if (kept) insns.push_back(mov_imm(9, 5));
    const size_t begin = insns.size();
    append(insns, {mov_reg(2, 6), insn(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, 8)});
    test::load_imm64(insns, 1, reinterpret_cast<u64>(map));
    append(insns, {call_helper(0), insn(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 2, 0),
                   insn(BPF_LDX | BPF_MEM | BPF_DW, 3, 0, 0, 0),
                   insn(BPF_ALU64 | BPF_ADD | BPF_X, 7, 3, 0, 0),
                   insn(BPF_ALU64 | BPF_ADD | BPF_K, 6, 0, 0, 8),
                   insn(BPF_ALU64 | BPF_ADD | BPF_K, 8, 0, 0, -1)});
    const s32 back = static_cast<s32>(begin) - static_cast<s32>(insns.size()) - 1;
    insns.push_back(insn(BPF_JMP | BPF_JNE | BPF_K, 8, 0, back, 0));
    insns.push_back(mov_reg(0, 7));
    if (kept) insns.push_back(insn(BPF_ALU64 | BPF_ADD | BPF_X, 0, 9, 0, 0));
    insns.push_back(exit_insn());
    return insns;
}

TEST_P(BpfJitLpmLookup, InALoop) {
    make_trie();
    want_table();
    add_some(1500);
    constexpr u32 kKeys = 1000;
    std::vector<Prefix> keys(kKeys + 1);
    for (Prefix& key : keys) key = prefix_of(address(), 32);
    u64 sum = 0;
    host::RcuReadGuard guard;
    for (u32 i = 1; i <= kKeys; ++i) {
        const void* found = map_->ops->lookup(map_, &keys[i]);
        if (found) sum += host::atomic_at<u64>(found).load(Order::Relaxed);
    }
    for (const bool kept : {false, true}) {
        TestProgram program(sum_of_values(map_, kKeys, kept),
                            {reinterpret_cast<const void*>(&counting_lookup)});
        program.prog()->calls[0].shape = map_->ops->lookup_shape;
        ASSERT_TRUE(program.compile());
        EXPECT_EQ(program.run(keys.data(), 0), sum + (kept ? 5 : 0));
    }
}

TEST_P(BpfJitLpmLookup, MostCallNothing) {
    make_trie();
    if (map_->ops->lookup_shape == LookupShape::Call) GTEST_SKIP() << "without POPCNT";
    want_table();
    add(0x0a000000, 8);
    for (u32 i = 0; i < 2000; ++i) add(address() & ~0xffu, 24);
    ASSERT_NE(trie()->shortcut.get_locked(), nullptr);
    CompiledLookup lookup(map_, Use::NullJumps);
    ASSERT_TRUE(lookup.compile());
    calls = 0;
    expect_same(lookup, 1000);
    EXPECT_LT(calls, 10u);
    EXPECT_GT(calls, 0u);
}

}  // namespace
}  // namespace barebpf::x86
