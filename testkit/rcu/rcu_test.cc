// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Grace periods under load. Readers follow a pointer and look at what it points to; the writer
// replaces it, and the callback poisons the old object at once: a reader that sees poison was let
// down.
#include <atomic>
#include <thread>

#include "kernel/host/contract.h"
#include "testkit/test.h"
#include "testkit/user/user.h"

namespace barebpf {
namespace {

using host::Cpu;

constexpr u64 kGood = 0x600d600d600d600d;
constexpr u64 kPoison = 0xdeaddeaddeaddead;

struct Node {
    host::RcuHead head;
    u64 value;
    std::atomic<u64>* freed;
    Node* next_dead;
};

// Poisoned objects stay what they are until the test is over: memory that is used again at once
// would look good to a reader that came too late.
std::atomic<Node*> graveyard{nullptr};

void bury(Node* node) {
    node->next_dead = graveyard.load();
    while (!graveyard.compare_exchange_weak(node->next_dead, node)) {
    }
}

void empty_graveyard() {
    Node* node = graveyard.exchange(nullptr);
    while (node) {
        Node* next = node->next_dead;
        delete node;
        node = next;
    }
}

void poison(host::RcuHead* head) {
    Node* node = reinterpret_cast<Node*>(head);
    node->value = kPoison;
    bury(node);
    ++*node->freed;
}

struct World {
    host::RcuPointer<Node> pointer;
    std::atomic<u64> made{0};
    std::atomic<u64> freed{0};
    std::atomic<u64> bad{0};
    std::atomic<u64> reads{0};

    Node* make() {
        ++made;
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
            if (node->value != kGood) ++bad;
            // Now and then lose the processor in the middle, so that a short grace period shows.
            if (i == 10 && ++reads % 32 == 0) std::this_thread::yield();
        }
    }
};

TEST(Rcu, ReadersNeverSeeFreedObjects) {
    World world;
    world.pointer.publish(world.make());
    test::run_on_cpus(4, [&](u32 cpu) {
        for (u32 i = 0; i < 4000; ++i) {
            if (cpu < 2) {
                world.read();
            } else {
                world.replace(cpu == 3);
                if (i % 100 == 0) host::synchronize_rcu();
                if (i % 1000 == 0) host::rcu_barrier();
            }
            Cpu::yield_point();
        }
    });
    Cpu::Entry inside;
    world.replace(false);
    host::rcu_barrier();
    EXPECT_EQ(world.bad, 0u);
    EXPECT_EQ(world.freed, world.made - 1);
    delete world.pointer.get_locked();
    empty_graveyard();
}

// Threads that enter and leave all the time, as callers of bpf(2) do.
TEST(Rcu, EnteringAndLeavingIsEnough) {
    World world;
    world.pointer.publish(world.make());
    std::atomic<bool> stop{false};
    std::thread reader([&] {
        while (!stop) {
            Cpu::Entry inside;
            world.read();
        }
    });
    for (u32 i = 0; i < 5000; ++i) {
        Cpu::Entry inside;
        world.replace(i % 2);
    }
    stop = true;
    reader.join();
    // Everybody has left, so everything queued has run, without anybody asking.
    EXPECT_EQ(world.freed, world.made - 1);
    EXPECT_EQ(world.bad, 0u);
    delete world.pointer.get_locked();
    empty_graveyard();
}

// The last to leave runs what others could not.
TEST(Rcu, TheReaderThatWasInTheWayRunsTheCallbacks) {
    World world;
    world.pointer.publish(world.make());
    std::atomic<u32> phase{0};
    std::thread reader([&] {
        user::EntryOn inside(2);
        phase = 1;
        while (phase == 1) std::this_thread::yield();
    });
    while (phase == 0) std::this_thread::yield();
    {
        user::EntryOn inside(1);
        world.replace(false);
    }
    EXPECT_EQ(world.freed, 0u);
    phase = 2;
    reader.join();
    EXPECT_EQ(world.freed, 1u);
    delete world.pointer.get_locked();
    empty_graveyard();
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
TEST(Rcu, CallsFromNmisAreNotLost) {
    World world;
    world.pointer.publish(world.make());
    std::atomic<u32> phase{0};
    std::thread target([&] {
        user::EntryOn inside(1);
        phase = 1;
        while (phase == 1) {
            world.replace(false);
            Cpu::yield_point();
            std::this_thread::yield();
        }
    });
    while (phase == 0) std::this_thread::yield();
    // The handler allocates nothing. An NMI that finds the target off its CPU does nothing, so what
    // was called is counted there.
    static Node nodes[200];
    static std::atomic<u64> called_in_nmi;
    static std::atomic<u64> freed_in_nmi;
    called_in_nmi = freed_in_nmi = 0;
    for (Node& node : nodes) {
        machine::send_nmi(
            1,
            [](void* to) {
                ++called_in_nmi;
                host::call_rcu(static_cast<host::RcuHead*>(to),
                               [](host::RcuHead*) { ++freed_in_nmi; });
            },
            &node.head);
    }
    // All signals are delivered before the target can notice the end.
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    phase = 2;
    target.join();
    Cpu::Entry inside;
    host::rcu_barrier();
    EXPECT_GT(called_in_nmi, 0u);
    EXPECT_EQ(freed_in_nmi, called_in_nmi);
    EXPECT_EQ(world.freed, world.made - 1);
    delete world.pointer.get_locked();
    empty_graveyard();
}

}  // namespace
}  // namespace barebpf
