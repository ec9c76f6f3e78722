// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose into the count of a map's elements: an NMI before each instruction takes whatever is free, or
// others do while a CPU stands still there. Whoever knows of a free place gets it, also while it moves.
#include "kernel/bpf/element_limit.h"
#include "kernel/bpf/map_inject_test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using test::trace;

constexpr u32 kAhead = 2;  // places of a move

class LimitRun {
public:
    ~LimitRun() { limit_.destroy(); }
    // All but so many are in use.
    void make(u32 still_free) {
        limit_.destroy();
        limit_.~ElementLimit();
        new (&limit_) ElementLimit;
        places_ = kAhead * 8 * host::possible_cpus();
        ASSERT_TRUE(limit_.create(places_, owner_));
        in_use_.store(0, Order::Relaxed);
        bad_.store(0, Order::Relaxed);
        free_.store(places_ - still_free, Order::Relaxed);
        host::Cpu::Pin pin;
        take_free();
        free_.store(still_free, Order::Relaxed);
    }
    void give() {
        in_use_.fetch_sub(1, Order::Relaxed);
        limit_.give();
        free_.fetch_add(1, Order::Release);  // pairs with the acquires below
    }
    // If one is known to be free.
    void take_one() {
        u32 there = free_.load(Order::Relaxed);
        while (there && !free_.compare_exchange(there, there - 1, Order::Acquire, Order::Relaxed)) {
        }
        if (there) take();
    }
    void take_free() {
        for (u32 count = free_.exchange(0, Order::Acquire); count; --count) take();
    }
    // All that there are, and not one more.
    void expect_all() {
        host::Cpu::Pin pin;
        take_free();
        EXPECT_FALSE(limit_.take());
        EXPECT_EQ(in_use_.load(Order::Relaxed), places_);
        EXPECT_EQ(bad_.load(Order::Relaxed), 0u);
    }

private:
    void take() {
        const bool taken = limit_.take();
        (taken ? in_use_ : bad_).fetch_add(1, Order::Relaxed);
    }

    host::MemoryOwner owner_;
    ElementLimit limit_;
    u32 places_ = 0;
    Atomic<u32> in_use_{}, bad_{};
    Atomic<u32> free_{};  // of which others may know
};

// What a CPU does, and with how many free places it begins.
struct Operation {
    const char* name;
    u32 (*still_free)();
    void (*run)(void* argument);
};

NOINLINE void give_until_some_go_back(void* argument) {
    host::Cpu::Pin pin;
    for (u32 i = 0; i < 2 * kAhead + 1; ++i) static_cast<LimitRun*>(argument)->give();
}
NOINLINE void take_with_some_ahead(void* argument) {
    host::Cpu::Pin pin;
    static_cast<LimitRun*>(argument)->take_one();
}

const Operation kOperations[] = {
    {"give", [] { return 0u; }, give_until_some_go_back},
    {"take", [] { return 2 * kAhead * host::possible_cpus(); }, take_with_some_ahead},
};

class ElementLimitInject : public ::testing::Test {
protected:
    // For each operation, which is recorded; until one is not.
    template <class Run>
    void each(Run run) {
        for (const Operation& operation : kOperations) {
            run_.make(operation.still_free());
            if (!trace.record(inject::Trace::Where::Everywhere, operation.run, &run_)) {
                GTEST_SKIP() << "no single steps here";
            }
            EXPECT_GT(trace.size(), 20u) << operation.name;
            run(operation);
        }
    }
    host::Cpu::Entry inside_;
    LimitRun run_;
};

TEST_F(ElementLimitInject, AnNmiBeforeEachInstruction) {
    each([this](const Operation& operation) {
        u32 hits = 0;
        for (u32 i = 0; i < trace.size(); ++i) {
            run_.make(operation.still_free());
            {
                // Not before what it is made and looked at by, which are the same instructions.
                inject::Breakpoint here(
                    trace[i], host::cpu_id(),
                    [](void* argument) { static_cast<LimitRun*>(argument)->take_free(); }, &run_);
                operation.run(&run_);
                hits += here.hit();
            }
            run_.expect_all();
        }
        EXPECT_GT(hits, trace.size() / 2) << operation.name;
    });
}

TEST_F(ElementLimitInject, OthersGoOnWhileACpuStandsStill) {
    NEEDS_CPUS(2);
    each([this](const Operation& operation) {
        u32 stood = 0;
        for (u32 i = 0; i < trace.size(); ++i) {
            run_.make(operation.still_free());
            stood += test::while_one_stands_still(
                trace[i], test::cpus_up_to(3), [&] { operation.run(&run_); },
                [this](u32) { run_.take_free(); });
            run_.expect_all();
        }
        EXPECT_GT(stood, trace.size() / 2) << operation.name;
    });
}

}  // namespace
}  // namespace barebpf
