// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose into full LRU maps: an NMI before each instruction of an operation inserts, and so
// evicts, replaces and deletes on the same map; a CPU stands still before each instruction while others
// insert; NMIs and interrupts at random. Nothing deadlocks, is lost or torn, and the interrupted
// operation succeeds.
#include "kernel/bpf/hashtab_lru.h"
#include "testkit/inject.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using hashtab::LruHashMap;
using host::Atomic;
using host::Order;
using inject::Trace;

Trace trace;  // a quarter of a megabyte

struct Value {
    u64 words[2];
};
Value value_of(u32 key, u32 counter) {
    const u64 word = u64{key} << 32 | counter;
    return {{word, word}};
}

class Subject {
public:
    void make(u32 flags) {
        bpf_attr attr{};
        attr.map_type = BPF_MAP_TYPE_LRU_HASH;
        attr.key_size = 4;
        attr.value_size = sizeof(Value);
        attr.max_entries = 8 * host::possible_cpus();  // batches of two
        attr.map_flags = flags;
        const MapOps* ops = map_ops(attr.map_type);
        map = ops->create(attr).release();
        map_init_from_attr(map, ops, attr);
        for (u32 key = 100'000; key < 100'000 + 3 * map->max_entries; ++key) {
            ASSERT_EQ(update(key, 0), 0);
        }
    }
    void destroy() {
        expect_whole();
        map_put(map);
        host::rcu_barrier();
    }
    s64 update(u32 key, u32 counter, u64 flags = BPF_ANY) {
        host::RcuReadGuard rcu;
        const Value value = value_of(key, counter);
        return map->ops->update(map, &key, &value, flags);
    }
    s64 erase(u32 key) {
        host::RcuReadGuard rcu;
        return map->ops->erase(map, &key);
    }
    void reference(u32 key) {
        host::RcuReadGuard rcu;
        map->ops->lookup(map, &key);
    }
    enum Found { Absent, Present, Torn };
    Found look(u32 key) {
        host::RcuReadGuard rcu;
        Value value{};
        if (map->ops->copy_value(map, &key, &value, 0)) return Absent;
        return value.words[0] == value.words[1] && value.words[0] >> 32 == key ? Present : Torn;
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

    Map* map = nullptr;
};

// What interrupts: a new key each time, so that something is evicted, and now and then a deletion.
class Intruder {
public:
    explicit Intruder(Subject* subject) : subject_(subject) {}
    static void run(void* argument) { static_cast<Intruder*>(argument)->once(); }

    void once() {
        const u32 turn = turns_.fetch_add(1, Order::Relaxed);
        const s64 result = subject_->update(1000 + turn, turn, BPF_NOEXIST);
        if (result == 0) {
            count(done_);
            if (subject_->look(1000 + turn) != Subject::Present) count(bad_);
            if (turn % 3 == 0) subject_->erase(1000 + turn);
        } else if (result != -to_int(Errno::Busy) && result != -to_int(Errno::NoMem)) {
            count(bad_);
        }
        if (turn % 4 == 1) subject_->erase(11);  // theirs, perhaps in a list that they have locked
        subject_->reference(1);
        subject_->update(2, turn, BPF_EXIST);
        for (u32 theirs = 0; theirs < 3; ++theirs) {
            if (subject_->look(theirs) == Subject::Torn) count(bad_);
        }
    }
    u32 turns() const { return turns_.load(Order::Relaxed); }
    u32 done() const { return done_.load(Order::Relaxed); }
    u32 bad() const { return bad_.load(Order::Relaxed); }

private:
    static void count(Atomic<u32>& counter) { counter.fetch_add(1, Order::Relaxed); }

    Subject* subject_;
    Atomic<u32> turns_{}, done_{}, bad_{};
};

struct Operation {
    const char* name;
    void (*prepare)(Subject& subject);
    s64 (*run)(Subject& subject);
    Subject::Found after;  // of key 1
};

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
     Subject::Present},
    {"replace", [](Subject& s) { s.update(1, 1); },
     [](Subject& s) { return s.update(1, 2, BPF_EXIST); }, Subject::Present},
    {"erase", [](Subject& s) { s.update(1, 4); }, [](Subject& s) { return s.erase(1); },
     Subject::Absent},
};

struct Attempt {
    Subject* subject;
    const Operation* operation;
    s64 result;
};

NOINLINE void run_operation(void* argument) {
    auto* run = static_cast<Attempt*>(argument);
    run->result = run->operation->run(*run->subject);
}

class LruInject : public ::testing::Test {
protected:
    bool record(const Operation& operation) {
        operation.prepare(subject_);
        Attempt run{&subject_, &operation, 0};
        const bool can = trace.record(Trace::Where::Everywhere, run_operation, &run);
        if (can) {
            EXPECT_EQ(run.result, 0) << operation.name;
        }
        return can;
    }
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
            if (!record(operation)) {
                subject_.destroy();
                GTEST_SKIP() << "no single steps here";
            }
            u32 refused = 0;
            inject::at_each_instruction(
                trace, host::cpu_id(),
                [&] {
                    operation.prepare(subject_);
                    Attempt run{&subject_, &operation, 0};
                    run_operation(&run);
                    refused += run.result != 0;
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
        inject::Hold hold(trace[i], 1);
        Atomic<u32> done{};
        test::run_on_cpus(test::cpus_up_to(3), [&](u32 cpu) {
            if (cpu == 1) {
                Attempt run{&subject_, &operation, 0};
                run_operation(&run);
                if (run.result != 0) bad.fetch_add(1, Order::Relaxed);
                done.store(1, Order::Release);
                return;
            }
            while (!hold.is_held() && !done.load(Order::Acquire)) host::spin_hint();
            if (cpu == 2) {
                for (u32 key = 0; key < 6; ++key) {
                    if (subject_.update(5000 + i * 6 + key, i)) bad.fetch_add(1, Order::Relaxed);
                }
                return;
            }
            if (hold.is_held()) ++stood;
            if (subject_.look(1) == Subject::Torn) bad.fetch_add(1, Order::Relaxed);
            hold.release();
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
            if (!record(operation)) {
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
