// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose into per-CPU hashes, walks by programs and batches: an NMI before each instruction, a CPU
// that stands still, interrupts and NMIs at random, several CPUs at once. map_inject_test.cc does the same for
// single elements of plain hashes.
#include "kernel/bpf/hashtab.h"
#include "kernel/bpf/map_inject_test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using inject::Trace;
using test::trace;

struct Kind {
    u32 type, flags;
};
constexpr Kind kKinds[] = {{BPF_MAP_TYPE_HASH, 0},
                           {BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC},
                           {BPF_MAP_TYPE_PERCPU_HASH, 0},
                           {BPF_MAP_TYPE_PERCPU_HASH, BPF_F_NO_PREALLOC}};

constexpr u32 kEntries = 16;
constexpr u32 kStaying = 3;  // keys 0, 1, 2 are always there
constexpr u32 kMaxCpus = host::kMaxCpus;

// A value is key << 32 | counter; a CPU's may be 0.
bool fits(u64 value, u32 key) {
    return value == 0 || value >> 32 == key;
}

class Subject {
public:
    void make(const Kind& kind) {
        map = test::make_map(test::map_attr(kind.type, 4, 8, kEntries, kind.flags));
        ASSERT_NE(map, nullptr);
        cpus = static_cast<u32>(value_size_for_user(map) / 8);
        for (u32 key = 0; key < kStaying; ++key) EXPECT_EQ(update(key, 0), 0);
    }
    void destroy() {
        for (u32 key = 0; key < 2000; ++key) erase(key);
        host::rcu_barrier();
        for (u32 key = 0; key < kEntries; ++key) EXPECT_EQ(update(key, 1), 0) << key;
        EXPECT_EQ(update(kEntries, 1), -to_int(Errno::TooBig));
        test::drop_map(map);
    }
    s64 update(u32 key, u32 counter, u64 flags = BPF_ANY) {
        host::RcuReadGuard rcu;
        const u64 value = u64{key} << 32 | counter;
        return map->ops->update(map, &key, &value, flags);
    }
    s64 erase(u32 key) {
        host::RcuReadGuard rcu;
        return map->ops->erase(map, &key);
    }
    // Whether key is there; *bad counts values that were never written for it.
    bool look(u32 key, Atomic<u32>& bad) {
        host::RcuReadGuard rcu;
        u64 values[kMaxCpus];
        if (map->ops->copy_value(map, &key, values, 0)) return false;
        for (u32 i = 0; i < cpus; ++i) {
            if (!fits(values[i], key)) bad.fetch_add(1, Order::Relaxed);
        }
        return true;
    }
    // All that a program's walk shows; the keys that stay once each, whatever happens meanwhile.
    void walk(Atomic<u32>& bad) {
        host::RcuReadGuard rcu;
        struct Census : ElementVisitor {
            u32 times[kStaying] = {};
            static bool visit_one(ElementVisitor* self, const void* key, void*) {
                const u32 number = host::atomic_at<u32>(key).load(Order::Relaxed);
                if (number < kStaying) ++static_cast<Census*>(self)->times[number];
                return true;
            }
        } census;
        census.visit = Census::visit_one;
        map->ops->for_each(map, &census);
        for (const u32 times : census.times) {
            if (times != 1) bad.fetch_add(1, Order::Relaxed);
        }
    }
    // The same by buckets, for bpf(2). An NMI may find a bucket locked.
    void collect(Atomic<u32>& bad) {
        host::RcuReadGuard rcu;
        static constexpr u32 kRoom = 2 * kEntries;
        u32 keys[kRoom], times[kStaying] = {}, busy = 0;
        u64 values[kRoom * 8];
        for (u32 bucket = 0;; ++bucket) {
            CollectedBucket out{reinterpret_cast<u8*>(keys), reinterpret_cast<u8*>(values),
                                cpus <= 8 ? kRoom : kRoom * 8 / cpus, 0};
            const s64 error = map->ops->collect_bucket(map, bucket, false, 0, &out);
            if (error == -to_int(Errno::NoEnt)) break;
            busy += error == -to_int(Errno::Busy);
            if (error || out.count > out.capacity) continue;
            for (u32 i = 0; i < out.count; ++i) {
                if (keys[i] < kStaying) ++times[keys[i]];
                for (u32 cpu = 0; cpu < cpus; ++cpu) {
                    if (!fits(values[i * cpus + cpu], keys[i])) bad.fetch_add(1, Order::Relaxed);
                }
            }
        }
        for (const u32 count : times) {
            if (count > 1 || (count == 0 && !busy)) bad.fetch_add(1, Order::Relaxed);
        }
    }

    Map* map = nullptr;
    u32 cpus = 0;
};

// What interrupts, or runs beside: everything, on keys of its own.
class Intruder : public test::Tally {
public:
    explicit Intruder(Subject* subject, u32 first = 1000)
        : subject_(subject), keys_(subject->map, 1, first) {}
    static void run(void* argument) { static_cast<Intruder*>(argument)->once(); }

    void once() {
        const u32 turn = next_turn();
        const u32 slot = turn % kOwn;
        const u32 key = keys_[slot];
        count_bad(subject_->look(key, bad_) != there_[slot]);
        const bool erase = there_[slot] && turn % 3 == 0;
        const s64 result =
            erase ? subject_->erase(key)
                  : subject_->update(key, turn, there_[slot] ? BPF_EXIST : BPF_NOEXIST);
        if (may_be_refused(result, -to_int(Errno::TooBig))) there_[slot] = !erase;
        for (u32 staying = 0; staying < kStaying; ++staying) subject_->look(staying, bad_);
        if (turn % 2) subject_->walk(bad_);
        if (turn % 4 == 0) subject_->collect(bad_);
    }

private:
    static constexpr u32 kOwn = test::NeighbourKeys::kCount;

    Subject* subject_;
    test::NeighbourKeys keys_;
    bool there_[kOwn] = {};
};

// One of each operation on key 1 and beside it.
struct Turn {
    Subject* subject;
    u32 what;
    Atomic<u32> bad{};
    s64 result = 0;

    static constexpr u32 kKinds = 5;
    NOINLINE static void run(void* argument) {
        auto* self = static_cast<Turn*>(argument);
        switch (self->what) {
            case 0:
                self->result = self->subject->update(1, 7, BPF_EXIST);
                break;
            case 1:
                self->result = self->subject->update(5, 8, BPF_NOEXIST);
                break;
            case 2:
                self->result = self->subject->erase(5);
                break;
            case 3:
                self->subject->walk(self->bad);
                break;
            default:
                self->subject->collect(self->bad);
        }
    }
    void prepare() {
        result = 0;
        what == 2 ? subject->update(5, 1) : subject->erase(5);
    }
};

class HashKindsInject : public ::testing::Test {
protected:
    template <class Test>
    void each_kind(Test test) {
        for (const Kind& kind : kKinds) {
            subject_.make(kind);
            test();
            subject_.destroy();
        }
    }
    bool record(Turn& turn) {
        turn.prepare();
        if (trace.record(Trace::Where::Everywhere, Turn::run, &turn)) return true;
        skipped_ = true;
        return false;
    }

    host::Cpu::Entry inside_;
    Subject subject_;
    bool skipped_ = false;
};

TEST_F(HashKindsInject, AnNmiBeforeEachInstruction) {
    each_kind([&] {
        Intruder intruder(&subject_);
        for (u32 what = 0; what < Turn::kKinds; ++what) {
            Turn turn{&subject_, what};
            if (!record(turn)) return;
            u32 refused = 0;
            inject::at_each_instruction(
                trace, host::cpu_id(),
                [&] {
                    turn.prepare();
                    Turn::run(&turn);
                    refused += turn.result != 0;
                    host::Cpu::yield_point();
                },
                [&] { intruder.once(); });
            EXPECT_EQ(refused, 0u) << what;
            EXPECT_EQ(turn.bad.load(Order::Relaxed), 0u) << what;
        }
        EXPECT_EQ(intruder.bad(), 0u);
        EXPECT_GT(intruder.done(), 0u);
    });
    if (skipped_) GTEST_SKIP() << "no single steps here";
}

// Look-ups and walks never wait for who stands still, whatever that one holds.
TEST_F(HashKindsInject, WalksGoOnWhileACpuStandsStill) {
    if (test::cpus() < 2) GTEST_SKIP() << "one CPU only";
    each_kind([&] {
        for (u32 what = 0; what < 3; ++what) {
            Turn turn{&subject_, what};
            if (!record(turn)) return;
            Atomic<u32> bad{};
            for (u32 i = 0; i < trace.size(); i += 29) {
                turn.prepare();
                test::while_one_stands_still(
                    trace[i], 2, [&] { Turn::run(&turn); },
                    [&](u32) {
                        subject_.walk(bad);
                        for (u32 key = 0; key < kStaying; ++key) {
                            if (!subject_.look(key, bad)) bad.fetch_add(1, Order::Relaxed);
                        }
                    });
                ASSERT_EQ(bad.load(Order::Relaxed), 0u) << what << " instruction " << i;
                ASSERT_EQ(turn.result, 0);
            }
        }
    });
    if (skipped_) GTEST_SKIP() << "no single steps here";
}

TEST_F(HashKindsInject, InterruptsAndNmisAtRandom) {
    constexpr u32 kInterrupts = 200;
    for (const inject::Kind kind : {inject::Kind::Irq, inject::Kind::Nmi}) {
        each_kind([&] {
            Intruder intruder(&subject_);
            Atomic<u32> bad{};
            test::run_on_cpus(1, [&](u32) {
                inject::Storm storm({.kind = kind, .cpu_count = 1, .mean_gap_ns = 30'000},
                                    Intruder::run, &intruder);
                for (u32 i = 0; storm.served() < kInterrupts; ++i) {
                    Turn turn{&subject_, i % Turn::kKinds};
                    turn.prepare();
                    Turn::run(&turn);
                    if (turn.result || turn.bad.load(Order::Relaxed))
                        bad.fetch_add(1, Order::Relaxed);
                    host::Cpu::yield_point();
                }
            });
            EXPECT_EQ(bad.load(Order::Relaxed), 0u);
            EXPECT_EQ(intruder.bad(), 0u);
            EXPECT_GT(intruder.done(), 0u);
        });
    }
}

// Several CPUs at once, without interrupts: walks and batches beside inserts and deletes.
TEST_F(HashKindsInject, WalksAndBatchesBesideWriters) {
    const u32 turns = test::rounds(3000);
    each_kind([&] {
        Atomic<u32> bad{};
        test::run_on_cpus(test::cpus_up_to(3), [&](u32 cpu) {
            Intruder writer(&subject_, 100 + cpu * 500);
            for (u32 i = 0; i < turns; ++i) {
                {
                    host::Cpu::Pin pin;
                    writer.once();
                }
                host::Cpu::yield_point();
            }
            bad.fetch_add(writer.bad(), Order::Relaxed);
        });
        EXPECT_EQ(bad.load(Order::Relaxed), 0u);
    });
}

}  // namespace
}  // namespace barebpf
