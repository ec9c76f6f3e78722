// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose into full LRU maps: an NMI before each instruction of an operation inserts, and so
// evicts, replaces and deletes on the same map; a CPU stands still before each instruction while others
// insert; NMIs and interrupts at random. Nothing deadlocks, is lost or torn, and the interrupted
// operation succeeds.
#include "kernel/bpf/hashtab_lru.h"
#include "kernel/bpf/map_inject_test.h"

namespace barebpf {
namespace {

using hashtab::LruHashMap;
using host::Atomic;
using host::Order;
using test::Found;
using test::trace;

class Subject : public test::PairMap {
public:
    void make(u32 flags) {
        PairMap::make(BPF_MAP_TYPE_LRU_HASH, 8 * host::possible_cpus(), flags);  // batches of two
        for (u32 key = 100'000; key < 100'000 + 3 * map->max_entries; ++key) {
            ASSERT_EQ(update(key, 0), 0);
        }
    }
    void destroy() {
        expect_whole();
        test::drop_map(map);
    }
    void reference(u32 key) {
        host::RcuReadGuard rcu;
        map->ops->lookup(map, &key);
    }
    // Every element is in the table or free, once.
    void expect_whole() {
        // What an NMI could not give back comes back with the next insertions.
        for (u32 key = 200'000; key < 200'008; ++key) EXPECT_EQ(update(key, 0), 0);
        const BpfLruList::Census census = static_cast<LruHashMap*>(map)->lru.census();
        EXPECT_TRUE(census.sound);
        EXPECT_EQ(census.returned, 0u);
        EXPECT_EQ(census.total(), map->max_entries);
        u32 keys = 0;
        u32 at, next;
        s64 error = map->ops->next_key(map, nullptr, &at);
        for (; error == 0; ++keys, at = next) error = map->ops->next_key(map, &at, &next);
        EXPECT_EQ(census.total() - census.free - census.local_free, keys);
    }
};

// What interrupts: a new key each time, so that something is evicted, and now and then a deletion.
class Intruder : public test::Tally {
public:
    explicit Intruder(Subject* subject) : subject_(subject) {}
    static void run(void* argument) { static_cast<Intruder*>(argument)->once(); }

    void once() {
        const u32 turn = next_turn();
        if (may_be_refused(subject_->update(1000 + turn, turn, BPF_NOEXIST))) {
            count_bad(subject_->look(1000 + turn) != Found::Present);
            if (turn % 3 == 0) subject_->erase(1000 + turn);
        }
        if (turn % 4 == 1) subject_->erase(11);  // theirs, perhaps in a list that they have locked
        subject_->reference(1);
        subject_->update(2, turn, BPF_EXIST);
        for (u32 theirs = 0; theirs < 3; ++theirs) {
            count_bad(subject_->look(theirs) == Found::Torn);
        }
    }

private:
    Subject* subject_;
};

using Operation = test::Operation<Subject, Found>;  // after: of key 1

// The insertion of one more than a batch: the lists are filled up on the way.
const Operation kOperations[] = {
    {"insert and evict", [](Subject& s) { s.erase(1); },
     [](Subject& s) {
         s64 error = 0;
         for (const u32 key : {10u, 11u, 12u, 1u}) {
             if (const s64 e = s.update(key, 3)) error = e;
         }
         for (const u32 key : {10u, 11u, 12u}) s.erase(key);
         return error;
     },
     Found::Present},
    {"replace", [](Subject& s) { s.update(1, 1); },
     [](Subject& s) { return s.update(1, 2, BPF_EXIST); }, Found::Present},
    {"erase", [](Subject& s) { s.update(1, 4); }, [](Subject& s) { return s.erase(1); },
     Found::Absent},
};

class LruInject : public ::testing::Test {
protected:
    void storm(inject::Kind kind);
    void others_go_on(const Operation& operation);

    host::Cpu::Entry inside_;
    Subject subject_;
};

TEST_F(LruInject, AnNmiBeforeEachInstruction) {
    for (const u32 flags : {0u, u32{BPF_F_NO_COMMON_LRU}}) {
        subject_.make(flags);
        Intruder intruder(&subject_);
        for (const Operation& operation : kOperations) {
            if (!test::record(subject_, operation)) {
                subject_.destroy();
                GTEST_SKIP() << "no single steps here";
            }
            u32 refused = 0;
            inject::at_each_instruction(
                trace, host::cpu_id(),
                [&] {
                    operation.prepare(subject_);
                    refused += test::attempt(subject_, operation) != 0;
                    EXPECT_EQ(subject_.look(1), operation.after) << operation.name;
                },
                [&] { intruder.once(); });
            EXPECT_EQ(refused, 0u) << operation.name;
        }
        EXPECT_EQ(intruder.bad(), 0u);
        EXPECT_GT(intruder.done(), intruder.turns() / 4);
        subject_.destroy();
    }
}

// Whatever the one that stands still holds, others look up without waiting; who inserts waits for a
// holder of its bucket or of the common list, and no longer.
void LruInject::others_go_on(const Operation& operation) {
    Atomic<u32> bad{};
    u32 stood = 0;
    // Not every one: the neighbours of an instruction are in the same state.
    const u32 step = trace.size() / 24 + 1;
    for (u32 i = 0; i < trace.size(); i += step) {
        operation.prepare(subject_);
        const auto count = [&](bool wrong) {
            if (wrong) bad.fetch_add(1, Order::Relaxed);
        };
        stood += test::while_one_stands_still(
            trace[i], test::cpus_up_to(3), [&] { count(test::attempt(subject_, operation) != 0); },
            [&](u32 cpu) {
                if (cpu == 0) return count(subject_.look(1) == Found::Torn);
                for (u32 key = 0; key < 6; ++key)
                    count(subject_.update(5000 + i * 6 + key, i) != 0);
            });
        ASSERT_EQ(bad.load(Order::Relaxed), 0u) << operation.name << " instruction " << i;
    }
    EXPECT_GT(stood, trace.size() / step / 3) << operation.name;
}

TEST_F(LruInject, OthersGoOnWhileACpuStandsStill) {
    NEEDS_CPUS(2);
    for (const u32 flags : {0u, u32{BPF_F_NO_COMMON_LRU}}) {
        subject_.make(flags);
        for (const Operation& operation : kOperations) {
            if (!test::record(subject_, operation)) {
                subject_.destroy();
                GTEST_SKIP() << "no single steps here";
            }
            others_go_on(operation);
        }
        subject_.destroy();
    }
}

void LruInject::storm(inject::Kind kind) {
    constexpr u32 kInterrupts = 300;
    for (const u32 flags : {0u, u32{BPF_F_NO_COMMON_LRU}}) {
        subject_.make(flags);
        Intruder intruder(&subject_);
        Atomic<u32> bad{};
        test::run_on_cpus(1, [&](u32) {
            inject::Storm storm({.kind = kind, .cpu_count = 1, .mean_gap_ns = 30'000},
                                Intruder::run, &intruder);
            while (storm.served() < kInterrupts) {
                for (const Operation& operation : kOperations) {
                    operation.prepare(subject_);
                    if (operation.run(subject_)) bad.fetch_add(1, Order::Relaxed);
                }
                host::Cpu::yield_point();
            }
        });
        EXPECT_EQ(bad.load(Order::Relaxed), 0u);
        EXPECT_EQ(intruder.bad(), 0u);
        EXPECT_GT(intruder.done(), intruder.turns() / 4);
        subject_.destroy();
    }
}

TEST_F(LruInject, NmisAtRandom) {
    storm(inject::Kind::Nmi);
}

TEST_F(LruInject, InterruptsAtRandom) {
    storm(inject::Kind::Irq);
}

}  // namespace
}  // namespace barebpf
