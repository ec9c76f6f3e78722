// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Grace periods under load. Readers follow a pointer and look at what it points to; the writer
// replaces it, and the callback poisons the old object at once: a reader that sees poison was let
// down.
#include "kernel/host/contract.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Cpu;
using host::Order;

constexpr u64 kGood = 0x600d600d600d600d;
constexpr u64 kPoison = 0xdeaddeaddeaddead;

struct Node {
    host::RcuHead head;
    u64 value;
    Atomic<u64>* freed;
    Node* next_dead;
};

// Poisoned objects stay what they are until the test is over: memory that is used again at once
// would look good to a reader that came too late.
Atomic<Node*> graveyard{nullptr};

void bury(Node* node) {
    node->next_dead = graveyard.load(Order::Relaxed);
    while (!graveyard.compare_exchange(node->next_dead, node, Order::Release, Order::Relaxed)) {
    }
}

void empty_graveyard() {
    Node* node = graveyard.exchange(nullptr, Order::Acquire);  // pairs with the release in bury()
    while (node) {
        Node* next = node->next_dead;
        delete node;
        node = next;
    }
}

void poison(host::RcuHead* head) {
    Node* node = reinterpret_cast<Node*>(head);
    node->value = kPoison;
    Atomic<u64>* freed = node->freed;
    bury(node);
    freed->fetch_add(1, Order::Release);
}

struct World {
    host::RcuPointer<Node> pointer;
    Atomic<u64> made{};
    Atomic<u64> freed{};
    Atomic<u64> bad{};
    Atomic<u64> reads{};

    World() { pointer.publish(make()); }
    ~World() {
        delete pointer.get_locked();
        empty_graveyard();
    }
    Node* make() {
        made.fetch_add(1, Order::Relaxed);
        return new Node{{}, kGood, &freed, nullptr};
    }
    void replace(bool process) {
        Node* old = pointer.exchange(make());
        if (process) {
            host::call_rcu_process(&old->head, poison);
        } else {
            host::call_rcu(&old->head, poison);
        }
    }
    void read() {
        host::RcuReadGuard guard;
        Node* node = pointer.dereference();
        for (u32 i = 0; i < 20; ++i) {
            if (node->value != kGood) bad.fetch_add(1, Order::Relaxed);
            // Now and then lose the processor in the middle, so that a short grace period shows.
            if (i == 10 && reads.fetch_add(1, Order::Relaxed) % 32 == 0) test::lose_processor();
        }
    }
    // All but the one that is published.
    void expect_all_freed() {
        EXPECT_EQ(freed.load(Order::Acquire), made.load(Order::Relaxed) - 1);
        EXPECT_EQ(bad.load(Order::Relaxed), 0u);
    }
};

TEST(Rcu, ReadersNeverSeeFreedObjects) {
    World world;
    test::run_on_cpus(test::cpus_up_to(4), [&](u32 cpu) {
        for (u32 i = 0; i < 4000; ++i) {
            if (cpu < 2) {
                world.read();
            }
            if (cpu >= 2 || test::cpus() < 4) {
                world.replace(cpu % 2);
                if (i % 100 == 0) host::synchronize_rcu();
                if (i % 1000 == 0) host::rcu_barrier();
            }
            Cpu::yield_point();
        }
    });
    Cpu::Entry inside;
    world.replace(false);
    host::rcu_barrier();
    world.expect_all_freed();
}

// Callers that enter and leave all the time, as those of bpf(2) do.
TEST(Rcu, EnteringAndLeavingIsEnough) {
    World world;
    Atomic<u32> stop{};
    test::run_outside_on_cpus(test::cpus_up_to(2), [&](u32 cpu) {
        while (cpu == 1 && !stop.load(Order::Relaxed)) {
            Cpu::Entry inside;
            world.read();
        }
        for (u32 i = 0; cpu == 0 && i < 5000; ++i) {
            Cpu::Entry inside;
            world.replace(i % 2);
        }
        stop.store(1, Order::Relaxed);
    });
    // Everybody has left, so everything queued has run, without anybody asking.
    world.expect_all_freed();
}

// The last to leave runs what others could not.
TEST(Rcu, TheReaderThatWasInTheWayRunsTheCallbacks) {
    NEEDS_CPUS(2);
    World world;
    Atomic<u32> phase{};
    test::run_outside_on_cpus(2, [&](u32 cpu) {
        if (cpu == 1) {
            Cpu::Entry inside;
            phase.store(1, Order::Release);
            while (phase.load(Order::Acquire) == 1) test::lose_processor();
            return;
        }
        while (phase.load(Order::Acquire) == 0) test::lose_processor();
        {
            Cpu::Entry inside;
            world.replace(false);
        }
        EXPECT_EQ(world.freed.load(Order::Relaxed), 0u);
        phase.store(2, Order::Release);
    });
    EXPECT_EQ(world.freed.load(Order::Acquire), 1u);
}

// CPUs that stay inside, busy, and pass yield points: each lets the one that waits go on, though the answer of one
// of them to a kick is the end of that kick.
TEST(Rcu, YieldPointsOfAllLetAWaiterGoOn) {
    NEEDS_CPUS(2);
    constexpr u32 kYields = 20'000'000;
    Atomic<u32> done{}, given_up{};
    test::run_on_cpus(test::cpus_up_to(4), [&](u32 cpu) {
        if (cpu == 0) {
            for (u32 i = 0; i < 50; ++i) host::synchronize_rcu();
            host::rcu_barrier();
            done.store(1, Order::Release);
            return;
        }
        for (u32 i = 0; !done.load(Order::Acquire); ++i) {
            if (i == kYields) {
                given_up.fetch_add(1, Order::Relaxed);
                return;
            }
            Cpu::yield_point();
            if (i % 256 == 0) test::lose_processor();
            host::spin_hint();
        }
    });
    EXPECT_EQ(given_up.load(Order::Relaxed), 0u);
}

// A chain of objects, each of which releases the next and waits for readers doing so.
struct Link {
    host::RcuHead head;
    Link* next;
    u32* count;
};

void release_link(host::RcuHead* head) {
    Link* link = reinterpret_cast<Link*>(head);
    ++*link->count;
    host::synchronize_rcu();
    host::rcu_barrier();
    if (link->next) host::call_rcu_process(&link->next->head, release_link);
    delete link;
}

TEST(Rcu, ProcessCallbacksMayWaitThemselves) {
    u32 count = 0;
    {
        Cpu::Entry inside;
        Link* chain = nullptr;
        for (u32 i = 0; i < 100; ++i) chain = new Link{{}, chain, &count};
        host::call_rcu_process(&chain->head, release_link);
        host::rcu_barrier();
        EXPECT_GE(count, 1u);
    }
    Cpu::Entry inside;
    for (u32 i = 0; i < 100; ++i) host::rcu_barrier();
    EXPECT_EQ(count, 100u);
}

// call_rcu() from an NMI that hits call_rcu().
struct FromNmi {
    static constexpr u32 kCount = 200;
    host::RcuHead heads[kCount];
    Atomic<u32> called{};
    static inline Atomic<u32> freed{};

    // It allocates nothing. One that comes late finds that there were enough.
    static void call(void* self_pointer) {
        auto* self = static_cast<FromNmi*>(self_pointer);
        const u32 turn = self->called.fetch_add(1, Order::Relaxed);
        if (turn >= kCount) return;
        host::call_rcu(&self->heads[turn],
                       [](host::RcuHead*) { freed.fetch_add(1, Order::Relaxed); });
    }
};

TEST(Rcu, CallsFromNmisAreNotLost) {
    NEEDS_CPUS(2);
    World world;
    static FromNmi nmi;  // a late NMI may still look at it
    nmi.called.store(0, Order::Relaxed);
    nmi.freed.store(0, Order::Relaxed);
    Atomic<u32> target{~0u};
    Atomic<u32> stop{};
    test::run_outside_on_cpus(2, [&](u32 cpu) {
        if (cpu == 1) {
            Cpu::Entry inside;
            target.store(host::cpu_id(), Order::Release);
            while (!stop.load(Order::Acquire)) {
                world.replace(false);
                Cpu::yield_point();
                empty_graveyard();  // there is no reader, and no end to how many they could become
                test::lose_processor();
            }
            return;
        }
        while (target.load(Order::Acquire) == ~0u) test::lose_processor();
        while (nmi.called.load(Order::Relaxed) < FromNmi::kCount) {
            machine::send_nmi(target.load(Order::Relaxed), FromNmi::call, &nmi);
        }
        stop.store(1, Order::Release);
    });
    {
        Cpu::Entry inside;
        host::rcu_barrier();
    }
    EXPECT_EQ(nmi.freed.load(Order::Relaxed), FromNmi::kCount);
    world.expect_all_freed();
}

}  // namespace
}  // namespace barebpf
