// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "testkit/test.h"
#include "testkit/user/user.h"

namespace barebpf::user {
namespace {

using host::Cpu;

TEST(CpuSlots, EntryNestsAndTells) {
    EXPECT_FALSE(backend::Rcu::read_held());
    Cpu::Entry outer;
    EXPECT_FALSE(outer.nested());
    EXPECT_TRUE(backend::Rcu::read_held());
    EXPECT_LT(host::cpu_id(), host::possible_cpus());
    {
        Cpu::Entry inner;
        EXPECT_TRUE(inner.nested());
    }
    EXPECT_TRUE(backend::Rcu::read_held());
}

TEST(CpuSlots, CountIsFixedWhileSomebodyIsInside) {
    EXPECT_FALSE(set_cpu_count(0));
    EXPECT_FALSE(set_cpu_count(65));
    {
        Cpu::Entry inside;
        EXPECT_FALSE(set_cpu_count(4));
    }
    EXPECT_EQ(host::possible_cpus(), 8u);
    EXPECT_TRUE(set_cpu_count(64));
    { EntryOn last(63); }
    EXPECT_TRUE(set_cpu_count(8));
}

// More threads than slots: everybody gets in, never two on one slot, and waiters are not forgotten.
TEST(CpuSlots, OneOwnerAtATime) {
    ASSERT_TRUE(set_cpu_count(2));
    constexpr u32 kThreads = 6;
    std::atomic<u32> owners[2] = {};
    std::atomic<u32> clashes{0};
    std::atomic<u32> done{0};
    std::vector<std::thread> threads;
    for (u32 t = 0; t < kThreads; ++t) {
        threads.emplace_back([&] {
            for (u32 i = 0; i < 300; ++i) {
                Cpu::Entry inside;
                for (u32 turn = 0; turn < 3; ++turn) {
                    auto& owner = owners[host::cpu_id()];
                    if (owner.fetch_add(1) != 0) ++clashes;
                    if (i % 64 == 0) std::this_thread::yield();
                    owner.fetch_sub(1);
                    Cpu::yield_point();
                }
            }
            ++done;
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(clashes, 0u);
    EXPECT_EQ(done, kThreads);
    EXPECT_TRUE(set_cpu_count(8));
}

// A thread that never leaves, but passes yield points, lets the others in.
TEST(CpuSlots, YieldPointGivesTheSlotToWhoWaits) {
    ASSERT_TRUE(set_cpu_count(1));
    std::atomic<bool> stop{false};
    std::atomic<bool> inside{false};
    std::thread holder([&] {
        Cpu::Entry entry;
        inside = true;
        while (!stop) Cpu::yield_point();
    });
    while (!inside) std::this_thread::yield();
    for (u32 i = 0; i < 20; ++i) Cpu::Entry entry;
    stop = true;
    holder.join();
    EXPECT_TRUE(set_cpu_count(8));
}

void yield_while_pinned() {
    Cpu::Entry inside;
    Cpu::Pin pin;
    backend::yield_slow();
}

TEST(CpuSlotsDeathTest, OutsideIsToldAtOnce) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
#if defined(BAREBPF_LOCK_VALIDATOR)
    EXPECT_DEATH(host::cpu_id(), "host::Cpu::Entry");
    EXPECT_DEATH(yield_while_pinned(), "inside a Pin");
#endif
}

void count(void* counter) {
    ++*static_cast<std::atomic<u32>*>(counter);
}

TEST(Interrupts, WaitWhileTheyAreOff) {
    EntryOn inside(3);
    std::atomic<u32> ran{0};
    EXPECT_TRUE(send_irq(3, count, &ran));
    EXPECT_EQ(ran, 1u);
    {
        host::IrqOff off;
        EXPECT_TRUE(send_irq(3, count, &ran));
        EXPECT_TRUE(send_irq(3, count, &ran));
        {
            host::IrqOff nested;
            EXPECT_EQ(ran, 1u);
        }
        EXPECT_EQ(ran, 1u);
    }
    EXPECT_EQ(ran, 3u);
    EXPECT_FALSE(send_irq(5, count, &ran));  // nobody is there
}

TEST(Interrupts, AnNmiIsNeverDeferred) {
    EntryOn inside(0);
    struct Seen {
        std::atomic<u32> ran{0};
        bool in_nmi = false;
        bool nested_entry = false;
    } seen;
    host::IrqOff off;
    EXPECT_FALSE(host::in_nmi());
    send_nmi(
        0,
        [](void* to) {
            auto* what = static_cast<Seen*>(to);
            ++what->ran;
            what->in_nmi = host::in_nmi();
            Cpu::Entry entry;
            what->nested_entry = entry.nested();
        },
        &seen);
    EXPECT_EQ(seen.ran, 1u);
    EXPECT_TRUE(seen.in_nmi);
    EXPECT_TRUE(seen.nested_entry);
    EXPECT_FALSE(host::in_nmi());
}

TEST(Interrupts, ReachAnotherCpu) {
    std::atomic<u32> ran{0};
    std::atomic<u32> phase{0};
    std::thread target([&] {
        EntryOn inside(1);
        phase = 1;
        while (phase == 1) std::this_thread::yield();
    });
    while (phase == 0) std::this_thread::yield();
    for (u32 i = 0; i < 100; ++i) {
        EXPECT_TRUE(send_irq(1, count, &ran));
        EXPECT_TRUE(send_nmi(1, count, &ran));
    }
    while (ran < 200) std::this_thread::yield();
    phase = 2;
    target.join();
    EXPECT_EQ(ran, 200u);
}

struct NmiClass {
    static constexpr host::LockClass kClass{"nmi_test", 30};
};

bool try_lock_in_any_context(host::SpinLock<NmiClass>& lock) NO_THREAD_SAFETY_ANALYSIS {
    host::IrqState irq;
    if (!lock.acquire_in_any_context(&irq)) return false;
    host::Guard<host::SpinLock<NmiClass>, host::Adopt> guard(lock, irq);
    return true;
}

// The holder is what the NMI interrupted, on this CPU or on another: it must come back either way.
// Who is sent NMIs without end still comes and goes: none holds it where it is neither inside nor outside.
TEST(Interrupts, NmisWithoutEndHoldNobodyUp) {
    std::atomic<u32> ran{0};
    std::atomic<bool> stop{false};
    std::atomic<u32> rounds{0};
    std::thread sender([&] {
        while (!stop) send_nmi(1, count, &ran);
    });
    std::thread target([&] {
        for (u32 i = 0; i < 2000 && !stop; ++i) {
            EntryOn inside(1);
            ++rounds;
        }
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (rounds < 2000 && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    stop = true;
    sender.join();
    target.join();
    EXPECT_EQ(rounds, 2000u);
}

TEST(Interrupts, AnNmiGivesUpOnAHeldLock) {
    struct State {
        host::SpinLock<NmiClass> lock;
        std::atomic<int> taken{-1};
    } state;
    auto attempt = [](void* to) {
        auto* what = static_cast<State*>(to);
        what->taken = try_lock_in_any_context(what->lock);
    };
    EntryOn inside(0);
    {
        host::Guard<host::SpinLock<NmiClass>, host::IrqSave> guard(state.lock);
        send_nmi(0, attempt, &state);
        EXPECT_EQ(state.taken, 0);
        std::atomic<u32> phase{0};
        std::thread other([&] {
            EntryOn on_one(1);
            phase = 1;
            while (phase == 1) std::this_thread::yield();
        });
        while (phase == 0) std::this_thread::yield();
        state.taken = -1;
        send_nmi(1, attempt, &state);
        while (state.taken < 0) std::this_thread::yield();
        EXPECT_EQ(state.taken, 0);
        phase = 2;
        other.join();
    }
    send_nmi(0, attempt, &state);
    EXPECT_EQ(state.taken, 1);
}

}  // namespace
}  // namespace barebpf::user
