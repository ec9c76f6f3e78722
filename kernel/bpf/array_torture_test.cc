// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Torture for arrays of values: BPF_F_LOCK and words without it; counters of each CPU.
#include "kernel/bpf/arraymap.h"
#include "kernel/bpf/map_torture_test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using test::Random;

// ── ARRAY ─────────────────────────────────────────────────────────────────────────────────────

class ArrayTorture : public test::MapTorture<> {
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
    void turn(Random& random, u32 index) {
        const bool locked = index < kLocked;
        const u64 flag = locked ? BPF_F_LOCK : 0;
        Value value{~0u, 0, Words::of(index, random.below(1u << 24))};
        if (random.one_in(2)) {
            const s64 result = map_->ops->update(map_, &index, &value, flag);
            verdict_.expect(result == 0, "no update");
        } else if (random.one_in(4)) {
            walk();
        } else {
            const s64 result = map_->ops->copy_value(map_, &index, &value, flag);
            verdict_.expect(result == 0 && value.lock == 0, "no look-up");
            verdict_.expect(value.words.is_of(index, locked),
                            locked ? "torn under a lock" : "torn");
        }
    }
    void walk() {
        struct Census : ElementVisitor {
            u32 count = 0;
            bool sound = true;
            static bool visit_one(ElementVisitor* visitor, const void* key, void* value) {
                auto* self = static_cast<Census*>(visitor);
                const u32 index = *static_cast<const u32*>(key);
                self->sound &= index == self->count++;
                const u64* words = static_cast<Value*>(value)->words.words;
                for (u32 i = 0; i < 6; ++i) {
                    const u64 word = host::atomic_at<u64>(words + i).load(Order::Relaxed);
                    self->sound &= Words::word_is_of(word, i, index);
                }
                return true;
            }
        } census;
        census.visit = Census::visit_one;
        map_->ops->for_each(map_, &census);
        verdict_.expect(census.count == kEntries && census.sound, "walk");
    }
};

TEST_F(ArrayTorture, WhatIsWrittenUnderALockIsNeverTorn) {
    make(test::map_attr(BPF_MAP_TYPE_ARRAY, 4, sizeof(Value), kEntries));
    map_->spin_lock_offset = 0;
    for (u32 index = 0; index < kEntries; ++index) {
        const Value value{0, 0, Words::of(index, 0)};
        ASSERT_EQ(map_->ops->update(map_, &index, &value, 0), 0);
    }
    test::torture(*this);
    for (u32 index = 0; index < kEntries; ++index) {
        const auto* value = static_cast<Value*>(map_->ops->lookup(map_, &index));
        EXPECT_EQ(value->lock, 0u) << index;
        EXPECT_TRUE(value->words.is_of(index, index < kLocked)) << index;
    }
}

// ── PERCPU_ARRAY ──────────────────────────────────────────────────────────────────────────────

class PercpuArrayTorture : public test::MapTorture<> {
public:
    using Value = test::Stamp<2>;
    // What process context counts in, what interrupts count in, what all write to.
    static constexpr u32 kCounters = 3, kInterruptCounters = 6, kEntries = 9;

    void work(Random& random, u32) {
        const InsideProgram inside;
        if (random.one_in(8)) return write_for_all_cpus(random);
        random.one_in(2) ? count(random.below(kCounters)) : write_or_read(random);
    }
    void interrupt(Random& random) {
        count(kCounters + random.below(kInterruptCounters - kCounters));
        write_or_read(random);
    }

protected:
    // Read and written one after the other: only this CPU, in this kind of context, may do so.
    void count(u32 index) {
        auto& counter = host::atomic_at<u64>(map_->ops->lookup(map_, &index));
        counter.store(counter.load(Order::Relaxed) + 1, Order::Relaxed);
        counted_[index].fetch_add(1, Order::Relaxed);
    }
    void write_or_read(Random& random) {
        const u32 index = kInterruptCounters + random.below(kEntries - kInterruptCounters);
        const Value value = Value::of(index, random.below(1u << 24));
        if (random.one_in(2)) {
            verdict_.expect(map_->ops->update(map_, &index, &value, BPF_ANY) == 0, "no update");
            return;
        }
        Value values[host::kMaxCpus];
        verdict_.expect(map_->ops->copy_value(map_, &index, values, 0) == 0, "no look-up");
        for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) {
            verdict_.expect(values[cpu].is_of(index, false), "a value that nobody wrote");
        }
    }
    void write_for_all_cpus(Random& random) {
        const u32 index = kInterruptCounters + random.below(kEntries - kInterruptCounters);
        Value values[host::kMaxCpus];
        for (Value& value : values) value = Value::of(index, random.below(1u << 24));
        const s64 result = map_->ops->update_from_user(map_, &index, values, BPF_ANY);
        verdict_.expect(result == 0, "no update of all");
    }

    Atomic<u64> counted_[kInterruptCounters]{};
};

TEST_F(PercpuArrayTorture, CountersOfAllCpusAddUp) {
    make(test::map_attr(BPF_MAP_TYPE_PERCPU_ARRAY, 4, sizeof(Value), kEntries));
    Random random(0);
    for (u32 i = 0; i < 100; ++i) write_for_all_cpus(random);
    test::torture(*this);
    for (u32 index = 0; index < kInterruptCounters; ++index) {
        Value values[host::kMaxCpus];
        ASSERT_EQ(map_->ops->copy_value(map_, &index, values, 0), 0);
        u64 sum = 0;
        for (u32 cpu = 0; cpu < host::possible_cpus(); ++cpu) sum += values[cpu].words[0];
        EXPECT_EQ(sum, counted_[index].load(Order::Relaxed)) << index;
        EXPECT_GT(sum, 0u) << index;
    }
}

}  // namespace
}  // namespace barebpf
