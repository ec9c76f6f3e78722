// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The means by which tests commit faults: they come, where they should, and stop when they should.
#include "testkit/inject.h"

#include "testkit/test.h"

namespace barebpf::inject {
namespace {

using host::Atomic;
using host::Order;

struct LockClassHere {
    static constexpr host::LockClass kClass{"inject_test", 200};
};
using Lock = host::SpinLock<LockClassHere>;

struct Place {
    Lock lock;
    Atomic<u64> inside{};
    Atomic<u64> outside{};
};

NOINLINE void operation(void* argument) {
    auto* place = static_cast<Place*>(argument);
    place->outside.fetch_add(1, Order::Relaxed);
    {
        host::Guard<Lock, host::IrqSave> guard(place->lock);
        place->inside.fetch_add(1, Order::Relaxed);
    }
    place->outside.fetch_add(1, Order::Relaxed);
}

Trace everywhere;
Trace under_lock;

bool record_both(Place* place) {
    return everywhere.record(Trace::Where::Everywhere, operation, place) &&
           under_lock.record(Trace::Where::UnderLock, operation, place);
}

TEST(Inject, AStormInterruptsUntilItEnds) {
    for (const Kind kind : {Kind::Irq, Kind::Nmi}) {
        struct Seen {
            Atomic<u64> count{};
            Atomic<u64> not_in_nmi{};
        } seen;
        u64 after = 0;
        test::run_on_cpus(1, [&](u32 cpu) {
            {
                Storm storm(
                    {.kind = kind, .cpu_count = 8, .mean_gap_ns = 20'000},
                    [](void* argument) {
                        auto* to = static_cast<Seen*>(argument);
                        to->count.fetch_add(1, Order::Relaxed);
                        if (!host::in_nmi()) to->not_in_nmi.fetch_add(1, Order::Relaxed);
                    },
                    &seen);
                while (storm.served() < 50) host::spin_hint();
            }
            after = seen.count.load(Order::Relaxed);
            const u64 began = host::Clock::monotonic_ns();
            while (host::Clock::monotonic_ns() - began < 1'000'000) host::spin_hint();
        });
        EXPECT_EQ(seen.count.load(Order::Relaxed), after);
        EXPECT_EQ(seen.not_in_nmi.load(Order::Relaxed), kind == Kind::Nmi ? 0 : after);
    }
}

TEST(Inject, NmisComeWhileALockIsHeld) {
    struct Seen {
        Place place;
        Atomic<u64> while_held{};
    } seen;
    test::run_on_cpus(1, [&](u32 cpu) {
        Storm storm(
            {.kind = Kind::Nmi, .cpu_count = 8, .mean_gap_ns = 20'000},
            [](void* argument) {
                if (host::validator::held_outside_nmi()) {
                    static_cast<Seen*>(argument)->while_held.fetch_add(1, Order::Relaxed);
                }
            },
            &seen);
        while (seen.while_held.load(Order::Relaxed) < 20) {
            host::Guard<Lock, host::IrqSave> guard(seen.place.lock);
            for (u32 i = 0; i < 200; ++i) seen.place.inside.fetch_add(1, Order::Relaxed);
        }
    });
    EXPECT_GE(seen.while_held.load(Order::Relaxed), 20u);
}

// As one's handler keeps others off.
TEST(Inject, NmisDoNotNest) {
    struct Seen {
        Atomic<u32> depth[host::kMaxCpus]{};
        Atomic<u32> nested{};
    } seen;
    Atomic<u32> enough{};
    const u32 cpus = test::cpus_up_to(2);
    test::run_on_cpus(cpus, [&](u32 cpu) {
        if (cpu) {
            while (!enough.load(Order::Relaxed)) host::spin_hint();
            return;
        }
        Storm storm(
            {.kind = Kind::Nmi, .cpu_count = cpus, .mean_gap_ns = 20'000},
            [](void* argument) {
                auto* to = static_cast<Seen*>(argument);
                Atomic<u32>& depth = to->depth[host::cpu_id()];
                if (depth.fetch_add(1, Order::Relaxed)) to->nested.fetch_add(1, Order::Relaxed);
                for (u32 i = 0; i < 500; ++i) host::spin_hint();
                depth.fetch_sub(1, Order::Relaxed);
            },
            &seen);
        while (storm.served() < test::rounds(1000)) host::spin_hint();
        enough.store(1, Order::Relaxed);
    });
    EXPECT_EQ(seen.nested.load(Order::Relaxed), 0u);
}

TEST(Inject, ATraceKnowsWhereALockIsHeld) {
    host::Cpu::Entry entry;
    static Place place;
    if (!record_both(&place)) GTEST_SKIP() << "no single steps here";
    EXPECT_GT(everywhere.size(), 10u);
    EXPECT_LT(everywhere.size(), 2000u);
    EXPECT_GT(under_lock.size(), 2u);
    EXPECT_LT(under_lock.size(), everywhere.size());
    EXPECT_EQ(everywhere[0], reinterpret_cast<u64>(&operation));
    EXPECT_EQ(place.inside.load(Order::Relaxed), 2u);
}

TEST(Inject, ABreakpointIsMetOnceEachTime) {
    host::Cpu::Entry entry;
    static Place place;
    if (!record_both(&place)) GTEST_SKIP() << "no single steps here";
    u64 inside = place.inside.load(Order::Relaxed);
    struct Seen {
        u32 met, held, in_nmi;
    } seen{};
    for (u32 i = 0; i < under_lock.size(); ++i) {
        Breakpoint here(
            under_lock[i], host::cpu_id(),
            [](void* argument) {
                auto* to = static_cast<Seen*>(argument);
                ++to->met;
                to->held += host::validator::held_outside_nmi() == 1;
                to->in_nmi += host::in_nmi();
            },
            &seen);
        EXPECT_FALSE(here.hit());
        operation(&place);
        operation(&place);
        EXPECT_TRUE(here.hit());
        inside += 2;
    }
    EXPECT_EQ(place.inside.load(Order::Relaxed), inside);
    EXPECT_EQ(seen.met, under_lock.size());
    EXPECT_EQ(seen.held, under_lock.size());
    EXPECT_EQ(seen.in_nmi, under_lock.size());
}

NOINLINE void count_up(void* argument) {
    static_cast<Atomic<u64>*>(argument)->fetch_add(1, Order::Relaxed);
}

// It may run the very code that it interrupted.
TEST(Inject, AHandlerMeetsNoBreakpoint) {
    host::Cpu::Entry entry;
    static Atomic<u64> count;
    static Trace trace;
    if (!trace.record(Trace::Where::Everywhere, count_up, &count))
        GTEST_SKIP() << "no single steps here";
    const u64 before = count.load(Order::Relaxed);
    u64 turns = 0;
    at_each_instruction(
        trace, host::cpu_id(),
        [&] {
            count_up(&count);
            ++turns;
        },
        [] { count_up(&count); });
    EXPECT_EQ(turns, trace.size());
    EXPECT_EQ(count.load(Order::Relaxed), before + 2 * turns);
}

TEST(Inject, AHeldCpuStandsStillUntilReleased) {
    static Place place;
    bool can = false;
    test::run_on_cpus(1, [&](u32) { can = record_both(&place); });
    if (!can) GTEST_SKIP() << "no single steps here";
    const u64 inside = place.inside.load(Order::Relaxed);
    const u64 pc = under_lock[under_lock.size() / 2];
    Atomic<u32> done{}, early{};
    Hold hold(pc, 1);
    test::run_on_cpus(2, [&](u32 cpu) {
        if (cpu == 1) {
            operation(&place);
            done.store(1, Order::Release);
            return;
        }
        while (!hold.is_held()) host::spin_hint();
        const u64 began = host::Clock::monotonic_ns();
        while (host::Clock::monotonic_ns() - began < 1'000'000) {
            if (done.load(Order::Acquire)) early.store(1, Order::Relaxed);
        }
        hold.release();
        operation(&place);  // gets the lock that the other CPU held
    });
    EXPECT_EQ(early.load(Order::Relaxed), 0u);
    EXPECT_EQ(place.inside.load(Order::Relaxed), inside + 2);
}

TEST(Inject, EachAllocationFailsOnce) {
    host::Cpu::Entry entry;
    host::MemoryOwner owner;
    u32 failures = 0;
    const u32 allocations = fail_each_allocation(
        [&] {
            host::Buffer<u64> first, second, third;
            if (!first.allocate(10, host::AllocContext::MaySleep, owner)) return;
            if (!second.allocate(10, host::AllocContext::MaySleep, owner)) return;
            (void)third.allocate(10, host::AllocContext::MaySleep, owner);
        },
        [&](u32 n) { failures += n == failures; });
    EXPECT_EQ(allocations, 3u);
    EXPECT_EQ(failures, 3u);
    EXPECT_EQ(owner.bytes(), 0u);
}

}  // namespace
}  // namespace barebpf::inject
