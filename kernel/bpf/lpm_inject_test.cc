// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose into the LPM trie: an NMI before each instruction of an operation runs every operation on
// the same trie; a CPU stops before each instruction while others look up; NMIs at random on all CPUs.
#include "kernel/bpf/lpm_model_test.h"
#include "kernel/bpf/map_inject_test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using test::trace;

struct Key {
    u32 length;
    u8 data[4];
};

// Operations without allocation of their own, for NMIs.
class Subject {
public:
    void make() {
        map = test::make_map(lpm_test::trie_attr(4, 64));
        ASSERT_NE(map, nullptr);
    }
    static Key key(u32 number, u32 length) {
        return {length, {10, static_cast<u8>(number / 16), static_cast<u8>(number * 16), 0}};
    }
    s64 update(const Key& key, u64 value, u64 flags = BPF_ANY) {
        host::RcuReadGuard rcu;
        return map->ops->update(map, &key, &value, flags);
    }
    s64 erase(const Key& key) {
        host::RcuReadGuard rcu;
        return map->ops->erase(map, &key);
    }
    s64 look(Key key) {
        host::RcuReadGuard rcu;
        key.length = 32;
        const void* value = map->ops->lookup(map, &key);
        return value ? static_cast<s64>(host::atomic_at<u64>(value).load(Order::Relaxed)) : -1;
    }

    Map* map = nullptr;
};

const Key kStaying[] = {{8, {10, 0, 0, 0}}, {20, {10, 0, 16, 0}}, {24, {10, 0, 17, 0}}};
const Key kOurs = {24, {10, 0, 18, 0}};

// What interrupts: prefixes of its own beside, above and below those that the interrupted code works on.
class Intruder : public test::Tally {
public:
    explicit Intruder(Subject* subject) : subject_(subject) {}
    static void run(void* argument) { static_cast<Intruder*>(argument)->once(); }
    void once() {
        static constexpr Key kOwn[] = {
            {12, {10, 0, 0, 0}}, {22, {10, 0, 16, 0}}, {28, {10, 0, 17, 32}}, {32, {10, 0, 18, 5}}};
        const u32 slot = next_turn() % 4;
        const bool erase = there_[slot];
        const s64 result = erase ? subject_->erase(kOwn[slot])
                                 : subject_->update(kOwn[slot], 500 + slot, BPF_NOEXIST);
        if (may_be_refused(result)) there_[slot] = !erase;
        count_bad(erase && result == -to_int(Errno::NoMem));
        count_bad(there_[3] && subject_->look(kOwn[3]) != 503);
        for (const Key& key : kStaying) count_bad(subject_->look(key) < 0);
    }
    void withdraw() {
        while (there_[0] || there_[1] || there_[2] || there_[3]) {
            if (there_[turns() % 4]) {
                once();
            } else {
                next_turn();
            }
        }
    }

private:
    Subject* subject_;
    bool there_[4] = {};
};

using Operation = test::Operation<Subject, s64>;  // after: what our key finds

const Operation kOperations[] = {
    {"replace", [](Subject& s) { s.update(kOurs, 1); },
     [](Subject& s) { return s.update(kOurs, 2, BPF_EXIST); }, 2},
    {"insert", [](Subject& s) { s.erase(kOurs); },
     [](Subject& s) { return s.update(kOurs, 3, BPF_NOEXIST); }, 3},
    {"erase", [](Subject& s) { s.update(kOurs, 4); }, [](Subject& s) { return s.erase(kOurs); },
     101},
    {"look up", [](Subject& s) { s.update(kOurs, 5); },
     [](Subject& s) { return s.look(kOurs) == 5 ? s64{0} : s64{-1}; }, 5},
};

class LpmInject : public ::testing::Test {
protected:
    void SetUp() override {
        subject_.make();
        for (u32 i = 0; i < 3; ++i) ASSERT_EQ(subject_.update(kStaying[i], 100 + i), 0);
    }
    void TearDown() override { test::drop_map(subject_.map); }
    host::Cpu::Entry inside_;
    Subject subject_;
};

TEST_F(LpmInject, AnNmiBeforeEachInstruction) {
    for (const Operation& operation : kOperations) {
        Intruder intruder(&subject_);
        if (!test::record(subject_, operation)) GTEST_SKIP() << "no single steps here";
        u32 wrong = 0;
        inject::at_each_instruction(
            trace, host::cpu_id(),
            [&] {
                operation.prepare(subject_);
                wrong += test::attempt(subject_, operation) != 0;
                // The intruder's own prefix above may answer for one that has gone.
                const s64 found = subject_.look(kOurs);
                wrong += found != operation.after && !(operation.after == 101 && found == 501);
                for (u32 i = 0; i < 3; ++i) {
                    const s64 stays = subject_.look(kStaying[i]);
                    wrong += stays != 100 + i && stays < 500;
                }
                host::Cpu::yield_point();
            },
            [&] { intruder.once(); });
        EXPECT_EQ(wrong, 0u) << operation.name;
        EXPECT_EQ(intruder.bad(), 0u) << operation.name;
        // Most of an operation is under the lock, where an intruder is refused.
        EXPECT_GT(intruder.done(), intruder.turns() / 16) << operation.name;
        intruder.withdraw();
    }
}

// A look-up never waits for who stands still, whatever that one holds.
TEST_F(LpmInject, LookupsGoOnWhileAWriterStandsStill) {
    NEEDS_CPUS(2);
    for (const Operation& operation : kOperations) {
        if (!test::record(subject_, operation)) GTEST_SKIP() << "no single steps here";
        Atomic<u32> bad{};
        u32 stood = 0;
        for (u32 i = 0; i < trace.size(); i += 7) {
            operation.prepare(subject_);
            const auto count = [&](bool wrong) {
                if (wrong) bad.fetch_add(1, Order::Relaxed);
            };
            stood += test::while_one_stands_still(
                trace[i], 2, [&] { count(test::attempt(subject_, operation) != 0); },
                [&](u32) {
                    for (u32 k = 0; k < 3; ++k) count(subject_.look(kStaying[k]) != 100 + k);
                    count(subject_.look(kOurs) < 0);
                });
            ASSERT_EQ(bad.load(Order::Relaxed), 0u) << operation.name << " instruction " << i;
        }
        EXPECT_GT(stood, trace.size() / 14) << operation.name;
    }
}

TEST_F(LpmInject, NmisAtRandomOnAllCpus) {
    const u32 kNmis = test::rounds(2000);
    const u32 cpus = test::cpus_up_to(2);
    Atomic<u32> bad{}, enough{};
    Intruder intruder(&subject_);
    test::run_on_cpus(cpus, [&](u32 cpu) {
        const auto turn = [&] {
            if (cpu) {
                for (u32 i = 0; i < 3; ++i) {
                    if (subject_.look(kStaying[i]) < 0) bad.fetch_add(1, Order::Relaxed);
                }
            } else {
                for (const Operation& operation : kOperations) {
                    operation.prepare(subject_);
                    if (operation.run(subject_)) bad.fetch_add(1, Order::Relaxed);
                }
            }
            host::Cpu::yield_point();
        };
        if (cpu) {
            while (!enough.load(Order::Relaxed)) turn();
            return;
        }
        inject::Storm storm({.kind = inject::Kind::Nmi, .cpu_count = 1, .mean_gap_ns = 30'000},
                            Intruder::run, &intruder);
        while (storm.served() < kNmis) turn();
        enough.store(1, Order::Relaxed);
    });
    EXPECT_EQ(bad.load(Order::Relaxed), 0u);
    EXPECT_EQ(intruder.bad(), 0u);
    EXPECT_GT(intruder.done(), 0u);
    intruder.withdraw();
}

}  // namespace
}  // namespace barebpf
