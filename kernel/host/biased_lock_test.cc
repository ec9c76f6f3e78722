// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/host/biased_lock.h"

#include "kernel/host/contract.h"
#include "testkit/inject.h"
#include "testkit/test.h"

namespace barebpf::host {
namespace {

struct TestClass {
    static constexpr LockClass kClass{"biased_test", 10};
};
constexpr u32 kAfter = 4;
// Everywhere, also where the fences are whole and BiasedLock is a SpinLock.
using Lock = BiasedSpinLock<TestClass, kAfter>;

// The analysis does not know that what is interrupted may have the lock.
template <class Inside>
bool with(Lock& lock, Inside inside) NO_THREAD_SAFETY_ANALYSIS {
    Lock::State state;
    if (!lock.acquire_in_any_context(&state)) return false;
    Guard<Lock, Adopt> guard(lock, state);
    inside();
    return true;
}
bool take(Lock& lock) {
    return with(lock, [] {});
}
bool try_take(Lock& lock) NO_THREAD_SAFETY_ANALYSIS {
    Lock::State state;
    if (!lock.try_acquire(&state)) return false;
    Guard<Lock, Adopt> guard(lock, state);
    return true;
}
void take_often(Lock& lock, u32 times) {
    for (u32 i = 0; i < times; ++i) EXPECT_TRUE(take(lock));
}

// function() on that CPU alone, everybody else outside.
template <class Function>
void on_cpu(u32 wanted, Function function) {
    test::run_on_cpus(wanted + 1, [&](u32 cpu) {
        if (cpu == wanted) function();
    });
}

// In NMI context, on this CPU.
template <class Function>
void in_nmi_here(Function function) {
    EXPECT_TRUE(machine::send_nmi(
        cpu_id(), [](void* self) { (*static_cast<Function*>(self))(); }, &function));
}

TEST(BiasedLock, IsWhoseItWasFirst) {
    Cpu::Entry inside;
    Lock lock;
    EXPECT_TRUE(take(lock));
    EXPECT_TRUE(lock.is_biased_to(cpu_id()));
    EXPECT_TRUE(take(lock));
    EXPECT_TRUE(try_take(lock));
    { Guard<Lock, IrqSave> guard(lock); }
    {
        IrqOff irq_off;
        Guard<Lock, NoIrq> guard(lock);
    }
    EXPECT_TRUE(lock.is_biased_to(cpu_id()));
}

TEST(BiasedLock, IsAskedBackOnceAndThenWhoseItIsOften) {
    NEEDS_CPUS(2);
    Lock lock;
    on_cpu(0, [&] { take_often(lock, 1); });
    on_cpu(1, [&] {
        EXPECT_FALSE(try_take(lock));  // does not ask
        EXPECT_TRUE(lock.is_biased_to(0));
        take_often(lock, kAfter - 1);
        EXPECT_FALSE(lock.is_biased_to(0));
        EXPECT_FALSE(lock.is_biased_to(1));
        EXPECT_TRUE(try_take(lock));
        EXPECT_TRUE(lock.is_biased_to(1));
        take_often(lock, 3);
    });
    on_cpu(0, [&] {
        Guard<Lock, IrqSave> guard(lock);
        EXPECT_FALSE(lock.is_biased_to(1));
    });
    // In turns it is nobody's.
    for (u32 turn = 1; turn < 4 * kAfter; ++turn) {
        on_cpu(turn % 2, [&] { take_often(lock, turn % 2 ? 1 : kAfter - 1); });
        EXPECT_FALSE(lock.is_biased_to(0) || lock.is_biased_to(1));
    }
}

TEST(BiasedLock, FailsAtOnceWhereThisCpuIsInside) {
    Cpu::Entry inside;
    Lock lock;
    for (u32 turn = 0; turn < 2; ++turn) {  // by the spin lock, and as owner
        EXPECT_EQ(lock.is_biased_to(cpu_id()), turn == 1);
        const bool came_in = with(lock, [&] {
            EXPECT_FALSE(take(lock));
            EXPECT_FALSE(try_take(lock));
            in_nmi_here([&] {
                EXPECT_FALSE(take(lock));
                EXPECT_FALSE(try_take(lock));
            });
        });
        EXPECT_TRUE(came_in);
        in_nmi_here([&] { EXPECT_TRUE(take(lock)); });
    }
}

// An NMI asks for the lock, does not get it in time, and goes; the owner and the next find it in order.
TEST(BiasedLock, AnNmiThatGivesUpLeavesItAskedFor) {
    NEEDS_CPUS(2);
    Lock lock;
    Atomic<u32> step{};
    const auto reach = [&](u32 wanted) {
        while (step.load(Order::Acquire) < wanted) test::lose_processor();
    };
    test::run_on_cpus(2, [&](u32 cpu) {
        if (cpu == 0) {
            take_often(lock, 1);
            const bool came_in = with(lock, [&] {
                step.store(1, Order::Release);
                reach(2);
                EXPECT_FALSE(lock.is_biased_to(0));
                in_nmi_here([&] { EXPECT_FALSE(take(lock)); });
            });
            EXPECT_TRUE(came_in);
            take_often(lock, kAfter - 1);
            EXPECT_FALSE(lock.is_biased_to(0));
            take_often(lock, 1);
            EXPECT_TRUE(lock.is_biased_to(0));
            step.store(3, Order::Release);
        } else {
            reach(1);
            in_nmi_here([&] { EXPECT_FALSE(take(lock)); });
            step.store(2, Order::Release);
            reach(3);
            take_often(lock, 1);
        }
    });
    EXPECT_FALSE(lock.is_biased_to(0));
}

// What the lock protects, in plain words.
struct Visited {
    Lock lock;
    u64 visits = 0, again = 0;
    Atomic<u64> expected{}, refused{};

    bool visit() {
        return with(lock, [&] {
            const u64 before = visits;
            again = before + 1;
            visits = again;
        });
    }
    void visit_in_nmi() { (visit() ? expected : refused).fetch_add(1, Order::Relaxed); }
    static void in_storm(void* self) { static_cast<Visited*>(self)->visit_in_nmi(); }
};

// Each CPU has the lock for itself for a while, then all fight for it, then the next.
TEST(BiasedLock, NothingIsLostWhenItGoesFromHandToHand) {
    const u32 cpus = test::cpus_up_to(4);
    const u32 phases = test::rounds(400);
    Visited visited;
    Atomic<u32> arrived{}, biased{};
    test::run_on_cpus(cpus, [&](u32 cpu) {
        inject::Handler handler = Visited::in_storm;
        for (u32 phase = 0; phase < phases; ++phase) {
            const bool alone = phase % 2;
            const u32 turns = alone ? 2 * kAfter : 50;
            for (u32 i = 0; i < turns && (!alone || phase / 2 % cpus == cpu); ++i) {
                EXPECT_TRUE(visited.visit());
                visited.expected.fetch_add(1, Order::Relaxed);
                if (!alone && i % 16 == cpu) machine::send_nmi(cpu, handler, &visited);
            }
            if (alone && visited.lock.is_biased_to(cpu)) biased.fetch_add(1, Order::Relaxed);
            arrived.fetch_add(1, Order::AcqRel);
            while (arrived.load(Order::Acquire) < (phase + 1) * cpus) {
                Cpu::yield_point();
                test::lose_processor();
            }
        }
    });
    EXPECT_EQ(visited.visits, visited.expected.load(Order::Relaxed));
    EXPECT_EQ(visited.again, visited.visits);
    EXPECT_GE(biased.load(Order::Relaxed), phases / 2);
}

// CPU 0, whose lock it is, stands still at random instructions until CPU 1 is inside, or can not get there.
struct Sleeper : Visited {
    Atomic<u32> wanted{}, inside{};

    static void in_storm(void* argument) {
        auto* self = static_cast<Sleeper*>(argument);
        const u32 number = self->wanted.fetch_add(1, Order::Relaxed) + 1;
        const u64 end = Clock::monotonic_ns() + 50'000;
        while (self->inside.load(Order::Acquire) != number && Clock::monotonic_ns() < end) {
            spin_hint();
        }
    }
    // For long enough that CPU 0 goes on meanwhile.
    void visit_slowly(u32 number) {
        const bool came_in = with(lock, [&] {
            const u64 before = visits;
            inside.store(number, Order::Release);
            const u64 end = Clock::monotonic_ns() + 10'000;
            while (Clock::monotonic_ns() < end) spin_hint();
            visits = before + 1;
        });
        EXPECT_TRUE(came_in);
        expected.fetch_add(1, Order::Relaxed);
    }
};

TEST(BiasedLock, TheOwnerMaySleepAnywhereOnItsWayIn) {
    NEEDS_CPUS(2);
    const u32 stops = test::rounds(2000);
    Sleeper sleeper;
    Atomic<u32> ended{};
    inject::Storm storm({.kind = inject::Kind::Nmi, .cpu_count = 1, .mean_gap_ns = 30'000},
                        Sleeper::in_storm, &sleeper);
    test::run_on_cpus(2, [&](u32 cpu) {
        if (cpu == 0) {
            while (storm.served() < stops) {
                for (u32 i = 0; i < 64; ++i) {
                    EXPECT_TRUE(sleeper.visit());
                    sleeper.expected.fetch_add(1, Order::Relaxed);
                }
                Cpu::yield_point();
            }
            ended.store(1, Order::Release);
            return;
        }
        for (u32 number = 0; !ended.load(Order::Acquire); Cpu::yield_point()) {
            const u32 wanted = sleeper.wanted.load(Order::Relaxed);
            if (wanted != number) sleeper.visit_slowly(number = wanted);
            spin_hint();
        }
    });
    EXPECT_EQ(sleeper.visits, sleeper.expected.load(Order::Relaxed));
}

// NMIs on every CPU ask for the lock all the time.
TEST(BiasedLock, AStormOfNmis) {
    const u32 cpus = test::cpus_up_to(3);
    const u32 turns = test::rounds(20000);
    Visited visited;
    {
        inject::Storm storm({.kind = inject::Kind::Nmi, .cpu_count = cpus, .mean_gap_ns = 100'000},
                            Visited::in_storm, &visited);
        test::run_on_cpus(cpus, [&](u32 cpu) {
            // Of unequal zeal, so that it is somebody's at times.
            for (u32 i = 0; i < turns >> 2 * cpu || storm.served() < test::rounds(300); ++i) {
                EXPECT_TRUE(visited.visit());
                visited.expected.fetch_add(1, Order::Relaxed);
                Cpu::yield_point();
            }
        });
    }
    EXPECT_EQ(visited.visits, visited.expected.load(Order::Relaxed));
}

inject::Trace trace;

NOINLINE void visit_twice(void* visited) {
    auto* self = static_cast<Visited*>(visited);
    self->visit();
    self->visit();
}

TEST(BiasedLock, AnNmiBeforeEachInstruction) {
    Cpu::Entry inside;
    Visited visited;
    if (!trace.record(inject::Trace::Where::Everywhere, visit_twice, &visited)) {
        GTEST_SKIP() << "no single steps here";
    }
    u64 whole = visited.visits;
    inject::at_each_instruction(
        trace, cpu_id(),
        [&] {
            visit_twice(&visited);
            whole += 2;
            EXPECT_EQ(visited.visits, whole + visited.expected.load(Order::Relaxed));
        },
        [&] { visited.visit_in_nmi(); });
    EXPECT_GT(visited.expected.load(Order::Relaxed), visited.refused.load(Order::Relaxed) / 4);
}

}  // namespace
}  // namespace barebpf::host
