// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Torture for per-CPU arrays: counters of each CPU. (Arrays: locked_torture_test.cc.)
#include "kernel/bpf/map_torture_test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using test::Random;

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
