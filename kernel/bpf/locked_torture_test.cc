// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Torture for values with a spin lock, in arrays and hashes: what is written with BPF_F_LOCK, and what is without.
#include "kernel/bpf/helpers_map.h"
#include "kernel/bpf/map_torture_test.h"

namespace barebpf {
namespace {

using host::Order;
using test::Random;

struct Kind {
    const char* name;
    u32 type, flags;
};
const Kind kKinds[] = {
    {"Array", BPF_MAP_TYPE_ARRAY, 0},
    {"Hash", BPF_MAP_TYPE_HASH, 0},
    {"HashOnDemand", BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC},
};

class LockedTorture : public test::MapTorture<::testing::TestWithParam<Kind>> {
public:
    using Words = test::Stamp<6>;
    struct Value {
        u32 lock, unused;
        Words words;
    };
    static constexpr u32 kLocked = 4;  // elements below are only written under their lock
    static constexpr u32 kEntries = 8;

    void work(Random& random, u32) {
        const InsideProgram inside;
        turn(random, random.below(kEntries));
    }
    // A lock may be held by what an NMI interrupts; an interrupt never comes then.
    void interrupt(Random& random) {
        turn(random,
             host::in_nmi() ? kLocked + random.below(kEntries - kLocked) : random.below(kEntries));
    }

protected:
    static bool is_array() { return GetParam().type == BPF_MAP_TYPE_ARRAY; }
    // In a hash a value that is written without the lock comes as a new element.
    static bool is_whole(u32 index) { return index < kLocked || !is_array(); }

    void turn(Random& random, u32 index) {
        const bool locked = index < kLocked;
        const u64 flag = locked ? BPF_F_LOCK : 0;
        Value value{~0u, 0, Words::of(index, random.below(1u << 24))};
        if (locked && random.one_in(4)) {
            write_as_programs_do(index, value.words);
        } else if (random.one_in(2)) {
            verdict_.succeeded(map_->ops->update(map_, &index, &value, flag | BPF_EXIST),
                               {Errno::NoMem}, "no update");
        } else if (random.one_in(4)) {
            walk();
        } else {
            const s64 result = copy(index, &value, flag);
            verdict_.expect(result == 0 && value.lock == 0, "no look-up");
            verdict_.expect(value.words.is_of(index, is_whole(index)),
                            locked ? "torn under a lock" : "torn");
        }
    }
    void write_as_programs_do(u32 index, const Words& words) {
        auto* value = static_cast<Value*>(map_->ops->lookup(map_, &index));
        if (!value) return verdict_.expect(false, "what stays is not found");
        const u64 lock = reinterpret_cast<u64>(&value->lock);
        spin_lock(lock, 0, 0, 0, 0);
        for (u32 i = 0; i < 6; ++i) {
            host::atomic_at<u64>(value->words.words + i).store(words.words[i], Order::Relaxed);
            for (u32 spins = 0; spins < 16; ++spins) host::spin_hint();  // so that others meet it
        }
        spin_unlock(lock, 0, 0, 0, 0);
    }
    s64 copy(u32 index, Value* value, u64 flag) {
        return map_->ops->copy_value(map_, &index, value, flag);
    }
    void walk() {
        struct Census : ElementVisitor {
            u32 seen = 0;
            bool sound = true;
            static bool visit_one(ElementVisitor* visitor, const void* key, void* value) {
                auto* self = static_cast<Census*>(visitor);
                const u32 index = *static_cast<const u32*>(key);
                self->seen |= 1u << index;
                const u64* words = static_cast<Value*>(value)->words.words;
                for (u32 i = 0; i < 6; ++i) {
                    const u64 word = host::atomic_at<u64>(words + i).load(Order::Relaxed);
                    self->sound &= !is_array() || Words::word_is_of(word, i, index);
                }
                return true;
            }
        } census;
        census.visit = Census::visit_one;
        map_->ops->for_each(map_, &census);
        // What is written in its place stays where it is.
        const u32 staying = is_array() ? (1u << kEntries) - 1 : (1u << kLocked) - 1;
        verdict_.expect((census.seen & staying) == staying && census.sound, "walk");
    }
};
INSTANTIATE_TEST_SUITE_P(Kinds, LockedTorture, ::testing::ValuesIn(kKinds),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST_P(LockedTorture, WhatIsWrittenUnderALockIsNeverTorn) {
    make(test::map_attr(GetParam().type, 4, sizeof(Value), kEntries, GetParam().flags));
    map_->spin_lock_offset = 0;
    for (u32 index = 0; index < kEntries; ++index) {
        const Value value{0, 0, Words::of(index, 0)};
        ASSERT_EQ(map_->ops->update(map_, &index, &value, 0), 0);
    }
    test::torture(*this);
    for (u32 index = 0; index < kEntries; ++index) {
        const auto* value = static_cast<Value*>(map_->ops->lookup(map_, &index));
        ASSERT_NE(value, nullptr) << index;
        EXPECT_EQ(value->lock, 0u) << index;
        EXPECT_TRUE(value->words.is_of(index, is_whole(index))) << index;
    }
}

}  // namespace
}  // namespace barebpf
