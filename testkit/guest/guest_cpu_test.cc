// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// CPUs, interrupts and NMIs, locks, RCU and waiting, as the guest has them.
#include "testkit/guest/guest.h"
#include "testkit/guest/test_object_test.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf::guest {
namespace {

using host::Cpu;

void count(void* counter) {
    static_cast<Atomic<u32>*>(counter)->fetch_add(1, Order::AcqRel);
}

u32 value_of(const Atomic<u32>& counter) {
    return counter.load(Order::Acquire);
}

void spin_until(const Atomic<u32>& counter, u32 value) {
    while (value_of(counter) < value) backend::spin_hint();
}

TEST(GuestCpus, EachRunsItsPart) {
    static Atomic<u32> ran[kMaxGuestCpus];
    for (u32 turn = 1; turn <= 50; ++turn) {
        test::run_on_cpus(test::cpus(), [](u32 cpu) {
            if (host::cpu_id() == cpu && backend::Rcu::read_held())
                ran[cpu].fetch_add(1, Order::Relaxed);
        });
        for (u32 cpu = 0; cpu < test::cpus(); ++cpu) EXPECT_EQ(ran[cpu].load(Order::Relaxed), turn);
    }
    for (auto& counter : ran) counter.store(0, Order::Relaxed);
}

TEST(GuestCpus, EntryNests) {
    EXPECT_FALSE(backend::Rcu::read_held());
    {
        Cpu::Entry outer;
        EXPECT_TRUE(backend::Rcu::read_held());
        { Cpu::Entry inner; }
        EXPECT_TRUE(backend::Rcu::read_held());
    }
    EXPECT_FALSE(backend::Rcu::read_held());
}

TEST(GuestInterrupts, WaitWhileTheyAreOff) {
    Atomic<u32> ran;
    EXPECT_TRUE(machine::send_irq(0, count, &ran));
    EXPECT_EQ(value_of(ran), 1u);
    {
        host::IrqOff off;
        EXPECT_TRUE(machine::send_irq(0, count, &ran));
        EXPECT_FALSE(machine::send_irq(0, count, &ran));  // one is before it
        {
            host::IrqOff nested;
            EXPECT_EQ(value_of(ran), 1u);
        }
        EXPECT_EQ(value_of(ran), 1u);
    }
    spin_until(ran, 2);
    EXPECT_EQ(value_of(ran), 2u);
    EXPECT_FALSE(machine::send_irq(test::cpus(), count, &ran));
    EXPECT_FALSE(machine::send_nmi(test::cpus(), count, &ran));
}

TEST(GuestInterrupts, AnNmiIsNeverDeferred) {
    static Atomic<u32> ran;
    static bool in_nmi;
    static bool inside;
    ran.store(0, Order::Relaxed);
    in_nmi = inside = false;
    host::IrqOff off;
    EXPECT_FALSE(host::in_nmi());
    EXPECT_TRUE(machine::send_nmi(
        0,
        [](void*) {
            ran.fetch_add(1, Order::Relaxed);
            in_nmi = host::in_nmi();
            inside = backend::Rcu::read_held();
        },
        nullptr));
    EXPECT_EQ(value_of(ran), 1u);
    EXPECT_TRUE(in_nmi);
    EXPECT_TRUE(inside);
    EXPECT_FALSE(host::in_nmi());
    EXPECT_FALSE(backend::Rcu::read_held());
}

// To and from everybody, running or idle, interrupts on or off: each request that was taken is carried out.
TEST(GuestInterrupts, NoneIsLost) {
    static Atomic<u32> ran;
    static Atomic<u32> sent;
    ran.store(0, Order::Relaxed);
    sent.store(0, Order::Relaxed);
    test::run_on_cpus(test::cpus(), [](u32 cpu) {
        for (u32 i = 0; i < 2000; ++i) {
            const u32 to = (cpu + i) % kMaxGuestCpus;
            const bool off = i % 5 == 0;
            const auto irq = off ? Cpu::irq_save() : Cpu::IrqState{};
            if (machine::send_irq(to, count, &ran)) sent.fetch_add(1, Order::Relaxed);
            if (machine::send_nmi(to, count, &ran)) sent.fetch_add(1, Order::Relaxed);
            if (off) Cpu::irq_restore(irq);
        }
    });
    for (u32 i = 0; i < 1000 && value_of(ran) != value_of(sent); ++i) sleep_ns(1000000);
    EXPECT_EQ(value_of(ran), value_of(sent));
    EXPECT_GT(value_of(sent), 100u);
}

struct NmiClass {
    static constexpr host::LockClass kClass{"guest_test", 30};
};
using TestLock = host::SpinLock<NmiClass>;

bool try_lock(TestLock& lock) NO_THREAD_SAFETY_ANALYSIS {
    host::IrqState irq;
    if (!lock.acquire_in_any_context(&irq)) return false;
    host::Guard<TestLock, host::Adopt> guard(lock, irq);
    return true;
}

// NMIs hit whatever a CPU does, critical sections of the same lock included: nobody waits for ever, and the lock
// excludes.
TEST(GuestInterrupts, NmisOnALockThatTheyInterrupt) {
    static TestLock lock;
    static u64 plain;
    static Atomic<u32> taken_in_nmi;
    plain = 0;
    taken_in_nmi.store(0, Order::Relaxed);
    constexpr u32 kTurns = 3000;
    test::run_on_cpus(test::cpus(), [](u32 cpu) {
        for (u32 i = 0; i < kTurns; ++i) {
            if (i % 4 == 0) {
                machine::send_nmi((cpu + 1) % test::cpus(),
                                  [](void*) {
                                      if (try_lock(lock)) taken_in_nmi.fetch_add(1, Order::Relaxed);
                                  },
                                  nullptr);
            }
            host::Guard<TestLock, host::IrqSave> guard(lock);
            ++plain;
        }
    });
    EXPECT_EQ(plain, u64{kTurns} * test::cpus());
    EXPECT_GT(value_of(taken_in_nmi), 0u);
}

// ── RCU ───────────────────────────────────────────────────────────────────────────────────────

constexpr u64 kGood = 0x600d600d600d600d;
constexpr u64 kBad = 0xdeaddeaddeaddead;
constexpr u32 kNodes = 512;

struct Node {
    host::RcuHead head;
    Atomic<u64> value;
    Atomic<u32> in_use;
};
Node nodes[kNodes];
host::RcuPointer<Node> current;
Atomic<u32> let_down;
Atomic<u32> retired;
Atomic<u32> freed;

// Poisoned, and free for use again only now.
void free_node(host::RcuHead* head) {
    auto* node = reinterpret_cast<Node*>(head);
    node->value.store(kBad, Order::Relaxed);
    node->in_use.store(0, Order::Release);
    freed.fetch_add(1, Order::Relaxed);
}

Node* take_node() {
    for (Node& node : nodes) {
        u32 no = 0;
        if (!node.in_use.compare_exchange(no, 1, Order::AcqRel, Order::Relaxed)) continue;
        node.value.store(kGood, Order::Relaxed);
        return &node;
    }
    return nullptr;
}

// Any context, NMI included.
void replace_node() {
    Node* fresh = take_node();
    if (!fresh) return;
    Node* old = current.exchange(fresh);
    retired.fetch_add(1, Order::Relaxed);
    if (old) host::call_rcu(&old->head, free_node);
}

void read_node() {
    host::RcuReadGuard guard;
    const Node* node = current.dereference();
    for (u32 i = 0; node && i < 30; ++i) {
        if (node->value.load(Order::Relaxed) != kGood) let_down.fetch_add(1, Order::Relaxed);
    }
}

void read_and_replace(void*) {
    read_node();
    replace_node();
    read_node();
}

// Readers and writers on every CPU, in interrupts and NMIs too: no reader sees what was freed, nothing stays.
TEST(GuestRcu, UnderInterruptsAndNmis) {
    let_down.store(0, Order::Relaxed);
    retired.store(0, Order::Relaxed);
    freed.store(0, Order::Relaxed);
    {
        Cpu::Entry inside;
        replace_node();
    }
    test::run_on_cpus(test::cpus(), [](u32 cpu) {
        for (u32 i = 0; i < 2000; ++i) {
            read_node();
            if (i % 3 == 0) replace_node();
            if (i % 16 == 0) machine::send_irq((cpu + i) % test::cpus(), read_and_replace, nullptr);
            if (i % 16 == 8) machine::send_nmi((cpu + i) % test::cpus(), read_and_replace, nullptr);
            if (i % 200 == 0) host::synchronize_rcu();
            if (i % 999 == 0) host::rcu_barrier();
            Cpu::yield_point();
        }
    });
    EXPECT_EQ(value_of(let_down), 0u);
    Cpu::Entry inside;
    Node* last = current.exchange(nullptr);
    if (last) host::call_rcu(&last->head, free_node);
    host::rcu_barrier();
    EXPECT_EQ(value_of(freed), value_of(retired));
    for (Node& node : nodes) EXPECT_EQ(value_of(node.in_use), 0u);
}

// Everybody has left, so everything queued has run, without anybody asking: the last to leave does it, or an idle CPU.
TEST(GuestRcu, LeavingIsEnough) {
    freed.store(0, Order::Relaxed);
    static Node one;
    one.in_use.store(1, Order::Relaxed);
    {
        Cpu::Entry inside;
        host::call_rcu(&one.head, free_node);
        EXPECT_EQ(value_of(freed), 0u);
    }
    EXPECT_EQ(value_of(freed), 1u);
    // From an interrupt of an idle CPU.
    const u32 other = test::cpus() - 1;
    machine::send_irq(
        other, [](void*) { host::call_rcu(&one.head, free_node); }, nullptr);
    for (u32 i = 0; i < 1000 && value_of(freed) < 2; ++i) {
        sleep_ns(1000000);
        if (other == 0) Cpu::Entry inside;
    }
    EXPECT_EQ(value_of(freed), 2u);
}

// ── Waiting ───────────────────────────────────────────────────────────────────────────────────

class GuestWake : public testing::Test {
protected:
    void SetUp() override {
        Cpu::Entry inside;
        auto fd = host::install_fd(&object_, host::FileMode::ReadWrite);
        ASSERT_TRUE(fd.ok());
        fd_ = fd.value();
    }
    void TearDown() override { machine::close_fd(fd_); }
    TestObject object_;
    int fd_ = -1;
};

TEST_F(GuestWake, TimesOutAndSeesWhatIsReady) {
    const u64 start = host::Clock::monotonic_ns();
    EXPECT_EQ(wait_fd(fd_, kPollIn, 3000000), 0u);
    EXPECT_GE(host::Clock::monotonic_ns() - start, 3000000u);
    object_.make_ready();
    EXPECT_EQ(wait_fd(fd_, kPollIn, 0), kPollIn);
    EXPECT_EQ(wait_fd(fd_, 4, 0), 0u);
    EXPECT_EQ(poll_fd(fd_), kPollIn);
    EXPECT_EQ(wait_fd(fd_ + 1, kPollIn, 1000), 0u);
}

// No wake-up is lost, whatever it comes between, from process, interrupt or NMI context.
TEST_F(GuestWake, NoWakeUpIsLost) {
    if (test::cpus() < 2) GTEST_SKIP() << "needs 2 CPUs";
    static TestObject* object;
    static int fd;
    static Atomic<u32> rounds;
    static Atomic<u32> missed;
    object = &object_;
    fd = fd_;
    rounds.store(0, Order::Relaxed);
    missed.store(0, Order::Relaxed);
    constexpr u32 kRounds = 600;
    ASSERT_TRUE(start_on_cpu(
        1,
        [](void*, u32) {
            for (u32 i = 0; i < kRounds; ++i) {
                // After the first one there is no need to wait for the others.
                const u64 patience = missed.load(Order::Relaxed) ? 0 : 10'000'000'000;
                if (!wait_fd(fd, kPollIn, patience)) missed.fetch_add(1, Order::Relaxed);
                object->ready.store(0, Order::Release);
                rounds.fetch_add(1, Order::AcqRel);
            }
        },
        nullptr));
    auto wake = [](void*) { object->make_ready(); };
    for (u32 i = 0; i < kRounds; ++i) {
        for (u32 pause = 0; pause < i % 50 * 40; ++pause) backend::spin_hint();
        if (i % 3 == 0) {
            wake(nullptr);
        } else if (i % 3 == 1) {
            EXPECT_TRUE(machine::send_irq(0, wake, nullptr));
        } else {
            EXPECT_TRUE(machine::send_nmi(0, wake, nullptr));
        }
        spin_until(rounds, i + 1);
    }
    wait_for_cpu(1);
    EXPECT_EQ(value_of(missed), 0u);
    EXPECT_EQ(value_of(rounds), kRounds);
}

// An interrupt on the sleeping CPU itself makes the object ready.
TEST_F(GuestWake, TheSleepersOwnInterruptWakesIt) {
    if (test::cpus() < 2) GTEST_SKIP() << "needs 2 CPUs";
    static TestObject* object;
    static int fd;
    static Atomic<u32> got;
    object = &object_;
    fd = fd_;
    got.store(0, Order::Relaxed);
    ASSERT_TRUE(start_on_cpu(
        1, [](void*, u32) { got.store(wait_fd(fd, kPollIn, 10'000'000'000), Order::Release); },
        nullptr));
    sleep_ns(2000000);
    machine::send_irq(
        1, [](void*) { object->make_ready(); }, nullptr);
    wait_for_cpu(1);
    EXPECT_EQ(value_of(got), kPollIn);
}

}  // namespace
}  // namespace barebpf::guest
