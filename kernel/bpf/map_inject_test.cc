// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose into maps and their freelist: an NMI before each instruction of an operation runs every
// operation on the same map; a CPU stops before each instruction while others go on; interrupts and NMIs at random.
// Nothing deadlocks, is lost, handed out twice, or read that was never written.
#include "kernel/bpf/map_inject_test.h"
#include "kernel/bpf/hashtab.h"
#include "kernel/bpf/percpu_freelist.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using inject::Trace;
using test::Found;
using test::trace;

class Subject : public test::PairMap {
public:
    // As many elements as it may hold can be inserted, and no more.
    void expect_whole(u32 entries) {
        for (u32 key = 0; key < 2000; ++key) erase(key);
        host::rcu_barrier();
        for (u32 key = 0; key < entries; ++key) ASSERT_EQ(update(key, 1), 0) << key;
        EXPECT_EQ(update(entries, 1), -to_int(Errno::TooBig));
    }
};

// What interrupts: all operations, on keys of its own and on those that the interrupted code works on.
class Intruder : public test::Tally {
public:
    static constexpr u32 kOwn = test::NeighbourKeys::kCount;

    explicit Intruder(Subject* subject) : subject_(subject), keys_(subject->map, 1, 1000) {}
    static void run(void* argument) { static_cast<Intruder*>(argument)->once(); }

    void once() {
        const u32 turn = next_turn();
        const u32 slot = turn % kOwn;
        const u32 key = keys_[slot];
        count_bad(subject_->look(key) != (there_[slot] ? Found::Present : Found::Absent));
        const bool erase = there_[slot] && turn % 3 == 0;
        const s64 result =
            erase ? subject_->erase(key)
                  : subject_->update(key, turn, there_[slot] ? BPF_EXIST : BPF_NOEXIST);
        if (may_be_refused(result, -to_int(Errno::TooBig))) there_[slot] = !erase;
        // What the interrupted operation is about: any answer but a torn one.
        for (u32 theirs = 0; theirs < 3; ++theirs) {
            count_bad(subject_->look(theirs) == Found::Torn);
        }
    }

private:
    Subject* subject_;
    test::NeighbourKeys keys_;
    bool there_[kOwn] = {};
};

using Operation = test::Operation<Subject, Found>;  // after: of key 1

const Operation kOperations[] = {
    {"replace", [](Subject& s) { s.update(1, 1); },
     [](Subject& s) { return s.update(1, 2, BPF_EXIST); }, Found::Present},
    {"insert", [](Subject& s) { s.erase(1); },
     [](Subject& s) { return s.update(1, 3, BPF_NOEXIST); }, Found::Present},
    {"erase", [](Subject& s) { s.update(1, 4); }, [](Subject& s) { return s.erase(1); },
     Found::Absent},
    {"look up", [](Subject& s) { s.update(1, 5); },
     [](Subject& s) { return s.look(1) == Found::Present ? s64{0} : s64{-1}; }, Found::Present},
};

class MapInject : public ::testing::Test {
public:
    static constexpr u32 kEntries = 12;

    void each_hash(void (MapInject::*test)()) {
        for (const u32 flags : {0u, u32{BPF_F_NO_PREALLOC}}) {
            subject_.make(BPF_MAP_TYPE_HASH, kEntries, flags);
            for (u32 key = 0; key < 3; ++key) ASSERT_EQ(subject_.update(key, 0), 0);
            (this->*test)();
            subject_.expect_whole(kEntries);
            test::drop_map(subject_.map);
        }
    }
    void nmi_before_each_instruction();
    void others_go_on_while_one_stands_still();
    void storm(inject::Kind kind);
    void storm_of_interrupts() { storm(inject::Kind::Irq); }
    void storm_of_nmis() { storm(inject::Kind::Nmi); }

    host::Cpu::Entry inside_;
    Subject subject_;
    bool skipped_ = false;
};

void MapInject::nmi_before_each_instruction() {
    Intruder intruder(&subject_);
    for (const Operation& operation : kOperations) {
        if (!test::record(subject_, operation)) {
            skipped_ = true;
            return;
        }
        u32 refused = 0;
        inject::at_each_instruction(
            trace, host::cpu_id(),
            [&] {
                operation.prepare(subject_);
                refused += test::attempt(subject_, operation) != 0;
                EXPECT_EQ(subject_.look(1), operation.after) << operation.name;
                host::Cpu::yield_point();  // what was deleted comes back
            },
            [&] { intruder.once(); });
        EXPECT_EQ(refused, 0u) << operation.name;
    }
    EXPECT_EQ(intruder.bad(), 0u);
    // Refused where the interrupted code held the very bucket, or what it has freed is still waiting for readers.
    EXPECT_GT(intruder.done(), intruder.turns() / 8);
}

TEST_F(MapInject, AnNmiBeforeEachInstructionOfAHashOperation) {
    each_hash(&MapInject::nmi_before_each_instruction);
    if (skipped_) GTEST_SKIP() << "no single steps here";
}

// A look-up never waits for who stands still, whatever that one holds; who wants to write waits for a holder of the
// same bucket and then goes on.
void MapInject::others_go_on_while_one_stands_still() {
    if (test::cpus() < 2) {
        skipped_ = true;
        return;
    }
    const u32 writers = test::cpus() > 2 ? 1 : 0;
    for (const Operation& operation : kOperations) {
        if (!test::record(subject_, operation)) {
            skipped_ = true;
            return;
        }
        Atomic<u32> bad{};
        u32 stood = 0;
        // Not every one: the neighbours of an instruction are in the same state.
        for (u32 i = 0; i < trace.size(); i += 7) {
            operation.prepare(subject_);
            const auto count = [&](bool wrong) {
                if (wrong) bad.fetch_add(1, Order::Relaxed);
            };
            stood += test::while_one_stands_still(
                trace[i], 2 + writers, [&] { count(test::attempt(subject_, operation) != 0); },
                [&](u32 cpu) {
                    if (cpu == 2) return count(subject_.update(2, i, BPF_EXIST) != 0);
                    for (const u32 key : {0u, 2u}) count(subject_.look(key) != Found::Present);
                    count(subject_.look(1) == Found::Torn);
                });
            ASSERT_EQ(bad.load(Order::Relaxed), 0u) << operation.name << " instruction " << i;
            EXPECT_EQ(subject_.look(1), operation.after) << operation.name;
        }
        EXPECT_GT(stood, trace.size() / 14) << operation.name;
    }
}

TEST_F(MapInject, OthersGoOnWhileACpuStandsStillInAHashOperation) {
    each_hash(&MapInject::others_go_on_while_one_stands_still);
    if (skipped_) GTEST_SKIP() << "no single steps here, or one CPU only";
}

void MapInject::storm(inject::Kind kind) {
    constexpr u32 kInterrupts = 300;
    Intruder intruder(&subject_);
    Atomic<u32> bad{};
    test::run_on_cpus(1, [&](u32) {
        inject::Storm storm({.kind = kind, .cpu_count = 1, .mean_gap_ns = 30'000}, Intruder::run,
                            &intruder);
        while (storm.served() < kInterrupts) {
            for (const Operation& operation : kOperations) {
                operation.prepare(subject_);
                if (operation.run(subject_)) bad.fetch_add(1, Order::Relaxed);
                if (subject_.look(1) != operation.after) bad.fetch_add(1, Order::Relaxed);
            }
            host::Cpu::yield_point();
        }
    });
    EXPECT_EQ(bad.load(Order::Relaxed), 0u);
    EXPECT_EQ(intruder.bad(), 0u);
    EXPECT_GT(intruder.done(), 0u);
}

TEST_F(MapInject, AHashUnderInterruptsAtRandom) {
    each_hash(&MapInject::storm_of_interrupts);
}

TEST_F(MapInject, AHashUnderNmisAtRandom) {
    each_hash(&MapInject::storm_of_nmis);
}

struct ArrayRun {
    Subject* subject;
    u32 counter;
};

NOINLINE void update_array(void* argument) {
    auto* run = static_cast<ArrayRun*>(argument);
    run->subject->update(1, run->counter);
}

TEST_F(MapInject, AnNmiBeforeEachInstructionOfAnArrayUpdate) {
    subject_.make(BPF_MAP_TYPE_ARRAY, 4, 0);
    for (const u32 key : {1u, 2u}) ASSERT_EQ(subject_.update(key, 0), 0);
    ArrayRun run{&subject_, 1};
    if (!trace.record(Trace::Where::Everywhere, update_array, &run)) {
        test::drop_map(subject_.map);
        GTEST_SKIP() << "no single steps here";
    }
    u32 bad = 0;
    inject::at_each_instruction(
        trace, host::cpu_id(),
        [&] {
            ++run.counter;
            update_array(&run);
            if (subject_.look(1) != Found::Present || subject_.look(2) != Found::Present) ++bad;
        },
        [&] {
            if (subject_.update(2, run.counter)) ++bad;
            if (subject_.look(2) != Found::Present) ++bad;
        });
    EXPECT_EQ(bad, 0u);
    test::drop_map(subject_.map);
}

// ── percpu_freelist ──

struct Freelist {
    static constexpr u32 kCount = 6;

    auto link() {
        return [this](u32 index) -> Atomic<u32>& { return links[index]; };
    }
    void turn() {
        const u32 a = list.pop(link());
        const u32 b = list.pop(link());
        if (a) list.push(a, link());
        if (b) list.push(b, link());
    }
    // The first element is on top again, and what followed it is not: the worst for whoever was about to pop.
    void keep_second() {
        const u32 a = list.pop(link());
        kept = list.pop(link());
        if (a) list.push(a, link());
    }
    void give_back_kept() {
        if (kept) list.push(kept, link());
        kept = 0;
    }
    static void run(void* argument) { static_cast<Freelist*>(argument)->turn(); }

    u32 kept = 0;
    host::MemoryOwner owner;
    PercpuFreelist list;
    Atomic<u32> links[kCount + 1]{};
};

void expect_each_once(Freelist& freelist) {
    u32 seen[Freelist::kCount + 1] = {};
    while (const u32 index = freelist.list.pop(freelist.link())) ++seen[index];
    for (u32 i = 1; i <= Freelist::kCount; ++i) EXPECT_EQ(seen[i], 1u) << i;
    for (u32 i = 1; i <= Freelist::kCount; ++i) freelist.list.push(i, freelist.link());
}

TEST(FreelistInject, AnNmiBeforeEachInstruction) {
    host::Cpu::Entry inside;
    Freelist freelist;
    ASSERT_TRUE(freelist.list.create(freelist.owner));
    freelist.list.populate(1, Freelist::kCount, freelist.link());
    const bool can = trace.record(Trace::Where::Everywhere, Freelist::run, &freelist);
    if (can) {
        inject::at_each_instruction(
            trace, host::cpu_id(),
            [&] {
                Freelist::run(&freelist);
                freelist.give_back_kept();
                expect_each_once(freelist);
            },
            [&] { freelist.keep_second(); });
    }
    freelist.list.destroy();
    if (!can) GTEST_SKIP() << "no single steps here";
}

TEST(FreelistInject, NmisAtRandomOnEveryCpu) {
    constexpr u32 kNmis = 400;
    static Freelist freelist;
    {
        host::Cpu::Entry inside;
        ASSERT_TRUE(freelist.list.create(freelist.owner));
        freelist.list.populate(1, Freelist::kCount, freelist.link());
    }
    const u32 cpus = test::cpus_up_to(4);
    Atomic<u32> enough{};
    test::run_on_cpus(cpus, [&](u32 cpu) {
        if (cpu) {
            while (!enough.load(Order::Relaxed)) freelist.turn();
            return;
        }
        inject::Storm storm({.kind = inject::Kind::Nmi, .cpu_count = cpus}, Freelist::run,
                            &freelist);
        while (storm.served() < kNmis) freelist.turn();
        enough.store(1, Order::Relaxed);
    });
    host::Cpu::Entry inside;
    expect_each_once(freelist);
    freelist.list.destroy();
}

}  // namespace
}  // namespace barebpf
