// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/arraymap.h"

#include <cstring>
#include <vector>

#include "kernel/bpf/map_test.h"

namespace barebpf {
namespace {

bpf_attr array_attr(u32 value_size, u32 entries, u32 flags = 0) {
    return test::map_attr(BPF_MAP_TYPE_ARRAY, 4, value_size, entries, flags);
}

class ArrayMapTest : public test::WithMap<> {
protected:
    s64 update(u32 index, u64 value, u64 flags = 0) {
        return map_->ops->update(map_, &index, &value, flags);
    }
    u64* lookup(u32 index) { return static_cast<u64*>(map_->ops->lookup(map_, &index)); }
};

TEST_F(ArrayMapTest, ElementsExistFromTheStart) {
    for (const u32 flags : {0u, u32{BPF_F_MMAPABLE}}) {
        make(array_attr(8, 5, flags));
        for (u32 i = 0; i < 5; ++i) {
            ASSERT_NE(lookup(i), nullptr);
            EXPECT_EQ(*lookup(i), u64{0});
        }
        EXPECT_EQ(lookup(5), nullptr);
        EXPECT_EQ(lookup(~0u), nullptr);
        EXPECT_EQ(update(4, 7), 0);
        EXPECT_EQ(*lookup(4), u64{7});
        EXPECT_EQ(update(4, 8, BPF_EXIST), 0);
        EXPECT_EQ(update(4, 9, BPF_NOEXIST), -to_int(Errno::Exist));
        EXPECT_EQ(update(5, 9), -to_int(Errno::TooBig));
        EXPECT_EQ(update(5, 9, BPF_NOEXIST), -to_int(Errno::TooBig));
        EXPECT_EQ(update(4, 9, 3), -to_int(Errno::Inval));
        EXPECT_EQ(update(4, 9, BPF_F_LOCK), -to_int(Errno::Inval));
        EXPECT_EQ(*lookup(4), u64{8});
        const u32 index = 4;
        EXPECT_EQ(map_->ops->erase(map_, &index), -to_int(Errno::Inval));
        if (flags == 0) map_put(map_);
    }
}

TEST_F(ArrayMapTest, ValuesAreEightBytesApart) {
    for (const u32 size : {1u, 7u, 8u, 9u, 100u}) {
        make(array_attr(size, 3));
        std::vector<u8> value(size, 0xab);
        const u32 index = 1;
        ASSERT_EQ(map_->ops->update(map_, &index, value.data(), 0), 0);
        const u8* base = reinterpret_cast<u8*>(lookup(0));
        const u32 step = (size + 7) / 8 * 8;
        for (u32 i = 0; i < 3 * step; ++i) {
            ASSERT_EQ(base[i], i >= step && i < step + size ? 0xab : 0) << size << " " << i;
        }
        map_put(map_);
    }
    map_ = nullptr;
}

TEST_F(ArrayMapTest, KeysComeInOrder) {
    make(array_attr(8, 3));
    u32 next = 99;
    const auto after = [&](u32 key) { return map_->ops->next_key(map_, &key, &next); };
    EXPECT_EQ(map_->ops->next_key(map_, nullptr, &next), 0);
    EXPECT_EQ(next, 0u);
    EXPECT_EQ(after(0), 0);
    EXPECT_EQ(next, 1u);
    EXPECT_EQ(after(2), -to_int(Errno::NoEnt));
    EXPECT_EQ(after(3), 0);
    EXPECT_EQ(next, 0u);
    EXPECT_EQ(after(~0u), 0);
    EXPECT_EQ(next, 0u);
}

TEST_F(ArrayMapTest, ChecksAreLinuxs) {
    const auto error = [](auto change) {
        bpf_attr attr = array_attr(8, 4);
        change(attr);
        const auto checked = kArrayMapOps.check_attr(attr);
        if (!checked) return to_int(checked.error());
        auto made = kArrayMapOps.create(attr);
        return made ? 0 : to_int(made.error());
    };
    EXPECT_EQ(error([](bpf_attr& a) { a.key_size = 8; }), to_int(Errno::Inval));
    EXPECT_EQ(error([](bpf_attr& a) { a.value_size = 0; }), to_int(Errno::Inval));
    EXPECT_EQ(error([](bpf_attr& a) { a.max_entries = 0; }), to_int(Errno::Inval));
    EXPECT_EQ(error([](bpf_attr& a) { a.map_flags = BPF_F_NO_PREALLOC; }), to_int(Errno::Inval));
    EXPECT_EQ(error([](bpf_attr& a) { a.map_flags = BPF_F_PRESERVE_ELEMS; }), to_int(Errno::Inval));
    EXPECT_EQ(error([](bpf_attr& a) { a.value_size = 0x80000000; }), to_int(Errno::TooBig));
    EXPECT_EQ(error([](bpf_attr& a) {
                  a.value_size = 0x7fffffff;
                  a.max_entries = ~0u;
              }),
              to_int(Errno::NoMem));
}

TEST_F(ArrayMapTest, DirectValuesAreForArraysOfOne) {
    make(array_attr(100, 1));
    EXPECT_EQ(map_->ops->direct_value(map_, 0).value(), reinterpret_cast<u64>(lookup(0)));
    EXPECT_EQ(map_->ops->direct_value(map_, 99).value(), reinterpret_cast<u64>(lookup(0)) + 99);
    EXPECT_EQ(map_->ops->direct_value(map_, 100).error(), Errno::Inval);
    map_put(map_);
    make(array_attr(100, 2));
    EXPECT_EQ(map_->ops->direct_value(map_, 0).error(), Errno::NotSupp);
}

// Runs the few instructions that emit_lookup() may use.
u64 run(const bpf_insn* insns, u32 count, const void* key) {
    u64 r[11] = {};
    r[2] = reinterpret_cast<u64>(key);
    for (u32 pc = 0; pc < count; ++pc) {
        const bpf_insn& insn = insns[pc];
        u64& dst = r[insn.dst_reg];
        switch (insn.code) {
            case BPF_LDX | BPF_MEM | BPF_W:
                dst = *reinterpret_cast<const u32*>(r[insn.src_reg] + static_cast<u64>(insn.off));
                break;
            case BPF_JMP | BPF_JGE | BPF_K:
                if (dst >= static_cast<u64>(s64{insn.imm})) pc += static_cast<u32>(insn.off);
                break;
            case BPF_ALU | BPF_AND | BPF_K:
                dst = static_cast<u32>(dst) & u32(insn.imm);
                break;
            case BPF_ALU64 | BPF_LSH | BPF_K:
                dst <<= insn.imm;
                break;
            case BPF_ALU64 | BPF_MUL | BPF_K:
                dst *= static_cast<u64>(s64{insn.imm});
                break;
            case BPF_ALU64 | BPF_ADD | BPF_X:
                dst += r[insn.src_reg];
                break;
            case BPF_ALU64 | BPF_MOV | BPF_K:
                dst = static_cast<u64>(s64{insn.imm});
                break;
            case BPF_LD | BPF_IMM | BPF_DW:
                dst = u32(insn.imm) | u64{u32(insns[pc + 1].imm)} << 32;
                ++pc;
                break;
            case BPF_JMP | BPF_JA:
                pc += static_cast<u32>(insn.off);
                break;
            default:
                ADD_FAILURE() << "opcode " << u32{insn.code};
                return 0;
        }
    }
    return r[0];
}

TEST_F(ArrayMapTest, InlinedLookupsAgreeWithTheFunction) {
    for (const u32 size : {1u, 8u, 16u, 24u}) {
        for (const bool privileged : {true, false}) {
            make(array_attr(size, 5));
            map_->bypass_spec_v1 = privileged;
            bpf_insn insns[16];
            const u32 count = map_->ops->emit_lookup(map_, insns, 16);
            ASSERT_GT(count, 0u);
            EXPECT_EQ(map_->ops->emit_lookup(map_, insns, 3), 0u);
            for (const u32 key : {0u, 1u, 4u, 5u, 7u, 8u, 0x80000000u, ~0u}) {
                EXPECT_EQ(run(insns, count, &key), reinterpret_cast<u64>(lookup(key))) << key;
            }
            map_put(map_);
        }
    }
    map_ = nullptr;
}

// A word is never half old and half new.
TEST_F(ArrayMapTest, WordsAreNotTorn) {
    NEEDS_CPUS(2);
    make(array_attr(8, 1));
    host::Atomic<u32> torn{};
    test::run_on_cpus(test::cpus_up_to(3), [&](u32 cpu) {
        for (u32 i = 0; i < 50000; ++i) {
            if (cpu == 0) {
                update(0, i * u64{0x100000001});
            } else {
                u64 value;
                const u32 key = 0;
                map_->ops->copy_value(map_, &key, &value, 0);
                if (value >> 32 != (value & 0xffffffff)) torn.fetch_add(1, host::Order::Relaxed);
            }
        }
    });
    EXPECT_EQ(torn.load(host::Order::Relaxed), 0u);
}

// A spin lock in the value is neither read nor written, and BPF_F_LOCK keeps values whole.
TEST_F(ArrayMapTest, LockedValuesAreWhole) {
    NEEDS_CPUS(2);
    struct Value {
        u32 head;
        u32 lock;
        u32 words[6];
    };
    for (const s32 offset : {4, 0}) {
        make(array_attr(sizeof(Value), 1));
        map_->spin_lock_offset = offset;
        const u32 key = 0;
        host::Atomic<u32> torn{};
        test::run_on_cpus(test::cpus_up_to(3), [&](u32 cpu) {
            for (u32 i = 0; i < 20000; ++i) {
                Value value{};
                if (cpu == 0) {
                    value.lock = value.head = 0xdeadbeef;
                    for (u32& word : value.words) word = i;
                    map_->ops->update(map_, &key, &value, BPF_F_LOCK);
                } else {
                    map_->ops->copy_value(map_, &key, &value, BPF_F_LOCK);
                    for (u32 word : value.words) {
                        if (word != value.words[0]) torn.fetch_add(1, host::Order::Relaxed);
                    }
                }
            }
        });
        EXPECT_EQ(torn.load(host::Order::Relaxed), 0u);
        Value value{};
        map_->ops->copy_value(map_, &key, &value, 0);
        EXPECT_EQ(offset ? value.lock : value.head, 0u);
        EXPECT_EQ(offset ? value.head : value.lock, 0xdeadbeef);
        EXPECT_EQ(reinterpret_cast<u32*>(lookup(0))[offset / 4], 0u);
        map_put(map_);
    }
    map_ = nullptr;
}

}  // namespace
}  // namespace barebpf
