// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The explorer itself: it finds what is wrong, with as few deviations as that takes; it runs it again; it finds nothing
// in what is right.
#include <gtest/gtest.h>

#include "testkit/explore/explore.h"

namespace barebpf {
namespace {

using explore::check;
using explore::explore;
using explore::Finding;
using explore::Options;
using explore::Outcome;
using explore::Scenario;
using host::Order;

// ── Schedules ─────────────────────────────────────────────────────────────────────────────────

struct LostUpdate : Scenario {
    host::Atomic<u32> count;
    void cpu(u32) override { count.store(count.load(Order::Relaxed) + 1, Order::Relaxed); }
    void finish() override { check(count.load(Order::Relaxed) == 2, "an update is lost"); }
};

TEST(Explorer, FindsALostUpdateWithOnePreemption) {
    const Outcome none = explore<LostUpdate>({.name = "lost", .bound = 0, .random_schedules = 0});
    EXPECT_TRUE(bool(none)) << none.report;
    const Outcome one = explore<LostUpdate>({.name = "lost", .bound = 1, .random_schedules = 0});
    EXPECT_EQ(one.finding, Finding::Check);
    EXPECT_EQ(one.replay, "lost:0.1>1") << one.report;
    EXPECT_LT(one.schedules, 20u);
}

struct Increments : Scenario {
    host::Atomic<u32> count;
    void cpu(u32) override {
        for (int i = 0; i < 3; ++i) count.fetch_add(1, Order::Relaxed);
    }
    void finish() override { check(count.load(Order::Relaxed) == 9, "an update is lost"); }
};

TEST(Explorer, FindsNothingWhereNothingIs) {
    const Outcome outcome =
        explore<Increments>({.name = "increments", .cpus = 3, .bound = 3, .random_schedules = 200});
    EXPECT_TRUE(bool(outcome)) << outcome.report;
    EXPECT_EQ(outcome.complete, 3);
}

TEST(Explorer, RunsAFindingAgainFromItsReplayString) {
    const Options options{.name = "lost", .bound = 2, .random_schedules = 0};
    const Outcome found = explore<LostUpdate>(options);
    const Outcome again = explore::replay(options, explore::maker_of<LostUpdate>(), found.replay);
    EXPECT_EQ(again.finding, found.finding);
    EXPECT_EQ(again.what, found.what);
    const auto steps = [](const Outcome& outcome) {
        return outcome.report.substr(outcome.report.find("\n  CPU"));
    };
    EXPECT_EQ(steps(again), steps(found));
    EXPECT_NE(steps(found).find("explorer_test.cc"), std::string::npos) << found.report;
    const Outcome fine = explore::replay(options, explore::maker_of<LostUpdate>(), "lost:");
    EXPECT_TRUE(bool(fine)) << fine.report;
    for (const char* bad : {"lost", "lost:1", "lost:1.2", "lost:1.2>", "lost:1.2?"}) {
        EXPECT_FALSE(bool(explore::replay(options, explore::maker_of<LostUpdate>(), bad))) << bad;
    }
}

// What only a random search may find, because it takes more deviations than the bound, comes back as a short string.
struct Relay : Scenario {
    host::Atomic<u32> turn;
    void cpu(u32 number) override {
        for (u32 i = 0; i < 4; ++i) {
            u32 mine = i * 2 + number;
            turn.compare_exchange(mine, mine + 1, Order::Relaxed, Order::Relaxed);
        }
    }
    void finish() override { check(turn.load(Order::Relaxed) != 8, "passed eight times"); }
};

TEST(Explorer, FindsAtRandomWhatTakesManyPreemptions) {
    const Outcome outcome =
        explore<Relay>({.name = "relay", .bound = 2, .random_schedules = 20'000, .seed = 3});
    ASSERT_EQ(outcome.finding, Finding::Check);
    EXPECT_EQ(outcome.complete, 2);
    const Outcome again =
        explore::replay({.name = "relay"}, explore::maker_of<Relay>(), outcome.replay);
    EXPECT_EQ(again.what, outcome.what);
    const Outcome same =
        explore<Relay>({.name = "relay", .bound = 2, .random_schedules = 20'000, .seed = 3});
    EXPECT_EQ(same.replay, outcome.replay);
    EXPECT_EQ(same.schedules, outcome.schedules);
}

struct Unsteady : Scenario {
    static inline u32 calls = 0;
    host::Atomic<u32> word;
    void cpu(u32) override {
        for (u32 i = calls++ % 3; i < 3; ++i) word.store(i, Order::Relaxed);
    }
};

TEST(Explorer, NoticesAScenarioThatIsNotTheSameEachTime) {
    const Outcome outcome = explore<Unsteady>({.name = "unsteady"});
    EXPECT_EQ(outcome.finding, Finding::Nondeterminism) << outcome.report;
}

// ── Locks ─────────────────────────────────────────────────────────────────────────────────────

struct LowClass {
    static constexpr host::LockClass kClass{"low", 10};
};
using Lock = host::SpinLock<LowClass>;
template <class Mode>
using Guard = host::Guard<Lock, Mode>;

struct LockedUpdate : Scenario {
    Lock lock;
    host::Atomic<u32> count;
    void cpu(u32) override {
        Guard<host::IrqSave> guard(lock);
        count.store(count.load(Order::Relaxed) + 1, Order::Relaxed);
    }
    void finish() override { check(count.load(Order::Relaxed) == 3, "an update is lost"); }
};

TEST(Explorer, ALockIsALock) {
    EXPECT_HOLDS(explore<LockedUpdate>({.name = "locked", .cpus = 3, .bound = 3}));
}

struct SwappedLocks : Scenario {
    Lock locks[2];
    void cpu(u32 number) override NO_THREAD_SAFETY_ANALYSIS {
        Guard<host::IrqSave> first(locks[number]);
        Guard<host::NoIrq> second(locks[1 - number]);
    }
};

TEST(Explorer, FindsADeadlockOfTwoLocks) {
    EXPECT_HOLDS(explore<SwappedLocks>({.name = "swapped", .bound = 0, .random_schedules = 0}));
    const Outcome outcome = explore<SwappedLocks>({.name = "swapped", .bound = 1});
    EXPECT_EQ(outcome.finding, Finding::Deadlock) << outcome.report;
    EXPECT_NE(outcome.what.find("CPU 1 waits for lock"), std::string::npos) << outcome.what;
    EXPECT_LT(outcome.schedules, 20u);
}

// A lock with interrupts on: what interrupts its holder and takes it waits for ever, and an NMI may not even try.
struct LockInNmi : Scenario {
    Lock lock;
    void cpu(u32) override { Guard<host::NoIrq> guard(lock); }
    void nmi(u32) override { Guard<host::NoIrq> guard(lock); }
};
struct TryInNmi : Scenario {
    Lock lock;
    host::Atomic<u32> busy, had;
    void cpu(u32) override { take(&had); }
    void nmi(u32 number) override { take(number ? &had : &busy); }
    void take(host::Atomic<u32>* count) NO_THREAD_SAFETY_ANALYSIS {
        host::IrqState irq;
        if (!lock.acquire_in_any_context(&irq)) return;
        Guard<host::Adopt> guard(lock, irq);
        count->fetch_add(1, Order::Relaxed);
    }
};

TEST(Explorer, InjectsNmis) {
    EXPECT_HOLDS(explore<LockInNmi>({.name = "nmi_lock"}));
    EXPECT_EQ(explore<LockInNmi>({.name = "nmi_lock", .nmis = 1}).finding, Finding::Contract);
    EXPECT_HOLDS(explore<TryInNmi>({.name = "nmi_try", .bound = 3, .nmis = 2}));
}

struct Spinning : Scenario {
    host::Atomic<u32> flag;
    void cpu(u32 number) override {
        if (number == 0)
            flag.store(1, Order::Release);
        else
            while (!flag.load(Order::Acquire)) host::spin_hint();
    }
};
struct SpinningForEver : Scenario {
    host::Atomic<u32> flag;
    void cpu(u32) override {
        while (!flag.load(Order::Acquire)) host::spin_hint();
    }
};

TEST(Explorer, WaitsEndOrAreFound) {
    EXPECT_HOLDS(explore<Spinning>({.name = "spinning", .cpus = 3, .bound = 3}));
    const Outcome outcome = explore<SpinningForEver>({.name = "for_ever", .max_steps = 1000});
    EXPECT_EQ(outcome.finding, Finding::Livelock);
}

// A sleeper that looks before it takes its ticket misses the wake-up in between.
template <bool kTicketFirst>
struct Sleeper : Scenario {
    host::WaitQueue queue;
    host::Atomic<u32> data;
    void cpu(u32 number) override {
        if (number == 0) {
            data.store(1, Order::Release);
            queue.wake_all();
            return;
        }
        u64 ticket = kTicketFirst ? explore::wake_ticket(queue) : 0;
        if (data.load(Order::Acquire)) return;
        if (!kTicketFirst) ticket = explore::wake_ticket(queue);
        explore::sleep_on(queue, ticket);
        check(data.load(Order::Acquire), "woken for nothing");
    }
};

TEST(Explorer, FindsALostWakeUp) {
    EXPECT_HOLDS(explore<Sleeper<true>>({.name = "ticket_first", .bound = 3}));
    EXPECT_EQ(explore<Sleeper<false>>({.name = "ticket_late", .bound = 3}).finding,
              Finding::Deadlock);
}

// ── Read-copy-update and memory ───────────────────────────────────────────────────────────────

struct Thing {
    host::RcuHead rcu;
    host::Atomic<u64> value;
    host::MemoryOwner* owner;
};

enum class Way { ReadSection, NoReadSection, FreeAtOnce, FreeTwice, Synchronize, Forget };

template <Way kWay>
struct Replaced : Scenario {
    host::MemoryOwner owner;
    host::RcuPointer<Thing> pointer;

    Thing* make(u64 value) {
        auto* thing =
            static_cast<Thing*>(host::alloc(sizeof(Thing), host::AllocContext::Atomic, owner));
        thing->value.store(value, Order::Relaxed);
        thing->owner = &owner;
        return thing;
    }
    static void destroy(host::RcuHead* head) {
        auto* thing = reinterpret_cast<Thing*>(head);
        host::free(thing, sizeof(Thing), *thing->owner);
    }
    void drop(Thing* thing) {
        if (kWay == Way::FreeAtOnce) return destroy(&thing->rcu);
        if (kWay == Way::Forget) return;
        if (kWay == Way::Synchronize) {
            host::synchronize_rcu();
            return destroy(&thing->rcu);
        }
        host::call_rcu(&thing->rcu, destroy);
        if (kWay == Way::FreeTwice) destroy(&thing->rcu);
    }

    void setup() override { pointer.publish(make(1)); }
    void cpu(u32 number) override {
        if (number == 0) return drop(pointer.exchange(make(2)));
        if (kWay == Way::NoReadSection) return read();
        host::RcuReadGuard guard;
        read();
    }
    void read() {
        const u64 value = pointer.dereference()->value.load(Order::Relaxed);
        check(value == 1 || value == 2, "a value that nobody wrote");
    }
    void finish() override { destroy(&pointer.exchange(nullptr)->rcu); }
};

TEST(Explorer, GracePeriodsAreKept) {
    EXPECT_HOLDS(explore<Replaced<Way::ReadSection>>({.name = "rcu", .cpus = 3, .bound = 2}));
    EXPECT_HOLDS(explore<Replaced<Way::Synchronize>>({.name = "rcu_sync", .cpus = 3, .bound = 2}));
    EXPECT_HOLDS(explore<Replaced<Way::ReadSection>>(
        {.name = "rcu_relaxed", .cpus = 3, .bound = 2, .relaxed = true}));
    EXPECT_HOLDS(explore<Replaced<Way::Synchronize>>(
        {.name = "rcu_sync_relaxed", .bound = 2, .relaxed = true}));
}

TEST(Explorer, FindsUseAfterFree) {
    const Options options{.name = "free", .bound = 2, .random_schedules = 0};
    EXPECT_EQ(explore<Replaced<Way::NoReadSection>>(options).finding, Finding::Memory);
    const Outcome outcome = explore<Replaced<Way::FreeAtOnce>>(options);
    EXPECT_EQ(outcome.finding, Finding::Memory);
    EXPECT_NE(outcome.what.find("freed"), std::string::npos) << outcome.what;
    EXPECT_EQ(explore<Replaced<Way::FreeTwice>>(options).finding, Finding::Memory);
    EXPECT_EQ(explore<Replaced<Way::Forget>>(options).finding, Finding::Leak);
}

struct NoMemory : Scenario {
    host::MemoryOwner owner;
    host::Buffer<u64> first, second;
    host::Atomic<u32> outcome;
    void cpu(u32) override {
        if (!first.allocate(4, host::AllocContext::MaySleep, owner))
            return outcome.store(1, Order::Relaxed);
        if (!second.allocate(4, host::AllocContext::MaySleep, owner))
            return outcome.store(2, Order::Relaxed);
    }
    void finish() override {
        check(outcome.load(Order::Relaxed) != 2, "the second allocation failed");
        first.reset();
        second.reset();
    }
};

TEST(Explorer, LetsAllocationsFail) {
    EXPECT_HOLDS(explore<NoMemory>({.name = "memory", .cpus = 1}));
    const Outcome outcome =
        explore<NoMemory>({.name = "memory", .cpus = 1, .failed_allocations = 1});
    EXPECT_EQ(outcome.finding, Finding::Check);
    EXPECT_NE(outcome.replay.find('x'), std::string::npos) << outcome.replay;
}

struct Sleepy : Scenario {
    void cpu(u32) override {
        host::RcuReadGuard guard;
        host::synchronize_rcu();
    }
};

TEST(Explorer, FindsSleepInAReadSection) {
    EXPECT_EQ(explore<Sleepy>({.name = "sleepy"}).finding, Finding::Contract);
}

// A page that stands twice in a mapping is one.
struct TwicePages : Scenario {
    host::MemoryOwner owner;
    host::MappedPages pages;
    void setup() override { check(pages.create(3, 1, owner), "no pages"); }
    host::Atomic<u64>& word(u32 page) {
        return host::atomic_at<u64>(static_cast<u8*>(pages.address()) + page * host::kPageSize + 8);
    }
    void cpu(u32 number) override {
        if (number == 0) {
            word(2).store(7, Order::Relaxed);
            word(0).store(1, Order::Release);
        } else if (word(0).load(Order::Acquire)) {
            check(word(4).load(Order::Relaxed) == 7, "the other view is another page");
            check(word(3).load(Order::Relaxed) == 0, "the wrong page");
        }
    }
    void finish() override { pages.destroy(); }
};

TEST(Explorer, MapsPagesTwice) {
    EXPECT_HOLDS(explore<TwicePages>({.name = "pages"}));
    EXPECT_HOLDS(explore<TwicePages>({.name = "pages_relaxed", .relaxed = true}));
}

}  // namespace
}  // namespace barebpf
