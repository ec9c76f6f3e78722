// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Relaxed mode, by the litmus tests of the literature: what C++ forbids is not seen, what it allows is, but for load
// buffering, which the model leaves out (explore.h).
#include <gtest/gtest.h>

#include "testkit/explore/explore.h"

namespace barebpf {
namespace {

using explore::check;
using explore::Finding;
using explore::Outcome;
using explore::Scenario;
using host::Order;

// The orders of a test: of stores, of loads, and of fences between the two accesses of a CPU (Relaxed: none).
struct Orders {
    Order store = Order::Relaxed;
    Order load = Order::Relaxed;
    Order store_fence = Order::Relaxed;
    Order load_fence = Order::Relaxed;
};

struct Litmus : Scenario {
    explicit Litmus(const Orders& given) : o(given) {}
    const Orders o;
    host::Atomic<u32> x, y;
    u32 r[4] = {};

    static void fence(Order order) {
        if (order != Order::Relaxed) host::fence(order);
    }
    void write(host::Atomic<u32>& to, u32 value = 1) { to.store(value, o.store); }
    u32 read(const host::Atomic<u32>& from) { return from.load(o.load); }
    void finish() override { check(!weak(), "the weak outcome"); }
    virtual bool weak() const = 0;
};

// Message passing.
struct MP : Litmus {
    using Litmus::Litmus;
    void cpu(u32 number) override {
        if (number == 0) {
            x.store(1, Order::Relaxed);
            fence(o.store_fence);
            write(y);
        } else {
            r[0] = read(y);
            fence(o.load_fence);
            r[1] = x.load(Order::Relaxed);
        }
    }
    bool weak() const override { return r[0] == 1 && r[1] == 0; }
};

// Store buffering.
struct SB : Litmus {
    using Litmus::Litmus;
    void cpu(u32 number) override {
        write(number ? y : x);
        fence(o.store_fence);
        r[number] = read(number ? x : y);
    }
    bool weak() const override { return r[0] == 0 && r[1] == 0; }
};

// The same with one heavy fence, on CPU 0, or none.
template <bool kHeavy>
struct UnequalSB : Litmus {
    using Litmus::Litmus;
    void cpu(u32 number) override {
        write(number ? y : x);
        if (kHeavy && number == 0) {
            host::heavy_fence();
        } else {
            host::light_fence();
        }
        r[number] = read(number ? x : y);
    }
    bool weak() const override { return r[0] == 0 && r[1] == 0; }
};

// Load buffering.
struct LB : Litmus {
    using Litmus::Litmus;
    void cpu(u32 number) override {
        r[number] = read(number ? y : x);
        write(number ? x : y);
    }
    bool weak() const override { return r[0] == 1 && r[1] == 1; }
};

// Independent reads of independent writes.
struct IRIW : Litmus {
    using Litmus::Litmus;
    void cpu(u32 number) override {
        if (number < 2) return write(number ? y : x);
        const bool swap = number == 3;
        const u32 first = read(swap ? y : x);
        fence(o.load_fence);
        const u32 second = read(swap ? x : y);
        r[(number - 2) * 2] = first;
        r[(number - 2) * 2 + 1] = second;
    }
    bool weak() const override { return r[0] == 1 && r[1] == 0 && r[2] == 1 && r[3] == 0; }
};

// Write to read causality: CPU 1 passes on what it saw.
struct WRC : Litmus {
    using Litmus::Litmus;
    void cpu(u32 number) override {
        if (number == 0) return x.store(1, Order::Relaxed);
        if (number == 1) {
            r[0] = read(x);
            write(y);
            return;
        }
        r[1] = read(y);
        r[2] = x.load(Order::Relaxed);
    }
    bool weak() const override { return r[0] == 1 && r[1] == 1 && r[2] == 0; }
};

// Coherence: two loads of one atomic never go back, nor does a load after one's own store.
struct CoRR : Litmus {
    using Litmus::Litmus;
    void cpu(u32 number) override {
        if (number == 0) {
            x.store(1, Order::Relaxed);
            x.store(2, Order::Relaxed);
            return;
        }
        r[0] = x.load(Order::Relaxed);
        r[1] = x.load(Order::Relaxed);
    }
    bool weak() const override { return r[1] < r[0]; }
};
struct CoWR : Litmus {
    using Litmus::Litmus;
    void cpu(u32 number) override {
        if (number == 0) return x.store(5, Order::Relaxed);
        x.store(1, Order::Relaxed);
        r[0] = x.load(Order::Relaxed);
    }
    bool weak() const override { return r[0] == 0; }
};

// A read-modify-write by a third CPU in the middle does not end what a release began.
struct ReleaseSequence : Litmus {
    using Litmus::Litmus;
    void cpu(u32 number) override {
        if (number == 0) {
            x.store(1, Order::Relaxed);
            write(y);
        } else if (number == 1) {
            u32 one = 1;
            y.compare_exchange(one, 2, Order::Relaxed, Order::Relaxed);
        } else {
            r[0] = read(y);
            r[1] = x.load(Order::Relaxed);
        }
    }
    bool weak() const override { return r[0] == 2 && r[1] == 0; }
};

// Of two read-modify-writes each sees the other or is seen by it.
struct TwoRmw : Litmus {
    using Litmus::Litmus;
    void cpu(u32 number) override { r[number] = x.fetch_add(1, Order::Relaxed); }
    bool weak() const override { return r[0] == r[1]; }
};

template <class Test>
Outcome run(u32 cpus, const Orders& orders, bool relaxed = true) {
    return explore::explore<Test>({.name = "litmus",
                                   .cpus = cpus,
                                   .bound = 6,
                                   .relaxed = relaxed,
                                   .schedules = 200'000,
                                   .random_schedules = 0},
                                  orders);
}

template <class Test>
void allowed(u32 cpus, const Orders& orders) {
    const Outcome outcome = run<Test>(cpus, orders);
    EXPECT_EQ(outcome.finding, Finding::Check) << outcome.summary();
    EXPECT_EQ(outcome.what, "the weak outcome");
    // It is the memory, not the order of steps.
    const Outcome sequential = run<Test>(cpus, orders, false);
    EXPECT_TRUE(bool(sequential)) << sequential.report;
}

template <class Test>
void forbidden(u32 cpus, const Orders& orders) {
    const Outcome outcome = run<Test>(cpus, orders);
    EXPECT_TRUE(bool(outcome)) << outcome.report;
    EXPECT_EQ(outcome.complete, 6) << outcome.summary();
}

constexpr Orders kRelaxed{};
constexpr Orders kReleaseAcquire{.store = Order::Release, .load = Order::Acquire};
constexpr Orders kSequential{.store = Order::SeqCst, .load = Order::SeqCst};

TEST(Litmus, MessagePassing) {
    allowed<MP>(2, kRelaxed);
    allowed<MP>(2, {.store = Order::Release});
    allowed<MP>(2, {.load = Order::Acquire});
    forbidden<MP>(2, kReleaseAcquire);
    forbidden<MP>(2, {.store_fence = Order::Release, .load_fence = Order::Acquire});
    forbidden<MP>(2, {.load = Order::Acquire, .store_fence = Order::Release});
    forbidden<MP>(2, {.store = Order::Release, .load_fence = Order::Acquire});
    allowed<MP>(2, {.store_fence = Order::Acquire, .load_fence = Order::Release});
}

TEST(Litmus, StoreBuffering) {
    allowed<SB>(2, kRelaxed);
    allowed<SB>(2, kReleaseAcquire);
    allowed<SB>(2, {.store_fence = Order::AcqRel});
    forbidden<SB>(2, kSequential);
    forbidden<SB>(2, {.store_fence = Order::SeqCst});
}

TEST(Litmus, UnequalFences) {
    allowed<UnequalSB<false>>(2, kRelaxed);
    forbidden<UnequalSB<true>>(2, kRelaxed);
}

TEST(Litmus, LoadBufferingIsNotModelled) {
    forbidden<LB>(2, kReleaseAcquire);
    forbidden<LB>(2, kRelaxed);  // C++ allows it
}

TEST(Litmus, IndependentReads) {
    allowed<IRIW>(4, kRelaxed);
    allowed<IRIW>(4, kReleaseAcquire);
    const Outcome outcome = explore::explore<IRIW>({.name = "litmus",
                                                    .cpus = 4,
                                                    .bound = 4,
                                                    .relaxed = true,
                                                    .schedules = 200'000,
                                                    .random_schedules = 0},
                                                   kSequential);
    EXPECT_TRUE(bool(outcome)) << outcome.report;
    const Outcome fences = explore::explore<IRIW>({.name = "litmus",
                                                   .cpus = 4,
                                                   .bound = 4,
                                                   .relaxed = true,
                                                   .schedules = 200'000,
                                                   .random_schedules = 0},
                                                  Orders{.load_fence = Order::SeqCst});
    EXPECT_TRUE(bool(fences)) << fences.report;
}

TEST(Litmus, Causality) {
    allowed<WRC>(3, kRelaxed);
    forbidden<WRC>(3, kReleaseAcquire);
}

TEST(Litmus, Coherence) {
    forbidden<CoRR>(2, kRelaxed);
    forbidden<CoWR>(2, kRelaxed);
    forbidden<TwoRmw>(2, kRelaxed);
}

TEST(Litmus, ReleaseSequences) {
    allowed<ReleaseSequence>(3, {.load = Order::Acquire});
    forbidden<ReleaseSequence>(3, kReleaseAcquire);
}

// ── Words of several sizes ────────────────────────────────────────────────────────────────────

// Neighbours in the same eight bytes, each of its own size, are as far from each other as any two atomics.
struct Neighbours : Litmus {
    using Litmus::Litmus;
    struct alignas(8) {
        host::Atomic<u32> unused;
        host::Atomic<u16> data;
        host::Atomic<u8> flag;
    } words;
    void cpu(u32 number) override {
        if (number == 0) {
            words.unused.store(7, Order::Relaxed);
            words.data.store(1, Order::Relaxed);
            words.flag.store(1, o.store);
        } else {
            r[0] = words.flag.load(o.load);
            r[1] = words.data.load(Order::Relaxed);
        }
    }
    bool weak() const override { return r[0] == 1 && r[1] == 0; }
};

TEST(Litmus, NeighboursOfSeveralSizes) {
    allowed<Neighbours>(2, kRelaxed);
    forbidden<Neighbours>(2, kReleaseAcquire);
}

// A part of a word, and all of it: the model has no history that fits both.
template <class Whole, u32 kPart>
struct Overlapping : Litmus {
    using Litmus::Litmus;
    alignas(8) host::Atomic<u8> bytes[8];
    void cpu(u32 number) override {
        if (number == 0) {
            bytes[kPart].store(1, Order::Relaxed);
        } else {
            host::atomic_at<Whole>(bytes).fetch_add(1, Order::Relaxed);
        }
    }
    bool weak() const override { return false; }
};

template <class Whole, u32 kPart>
void reported(const char* size) {
    const Outcome outcome = run<Overlapping<Whole, kPart>>(2, kRelaxed);
    EXPECT_EQ(outcome.finding, Finding::Overlap) << outcome.summary();
    EXPECT_NE(outcome.what.find(size), std::string::npos) << outcome.what;
    EXPECT_NE(outcome.what.find("an atomic of 1 bytes at scenario+"), std::string::npos)
        << outcome.what;
    const size_t first_site = outcome.what.find("testkit/explore/litmus_test.cc:");
    ASSERT_NE(first_site, std::string::npos) << outcome.what;
    EXPECT_NE(outcome.what.find("testkit/explore/litmus_test.cc:", first_site + 1),
              std::string::npos)
        << outcome.what;
    // In order, nothing is lost by it.
    const Outcome sequential = run<Overlapping<Whole, kPart>>(2, kRelaxed, false);
    EXPECT_TRUE(bool(sequential)) << sequential.report;
}

TEST(Litmus, OverlappingAtomicsAreReported) {
    reported<u64, 0>("an atomic of 8 bytes at scenario+");
    reported<u64, 7>("an atomic of 8 bytes at scenario+");
    reported<u32, 3>("an atomic of 4 bytes at scenario+");
    const Outcome apart = run<Overlapping<u32, 4>>(2, kRelaxed);
    EXPECT_TRUE(bool(apart)) << apart.report;
}

// Across two of the model's granules. (Not through an Atomic: sanitizers do not let one be there.)
struct Crooked : Litmus {
    using Litmus::Litmus;
    alignas(8) u8 bytes[16] = {};
    void cpu(u32) override {
        explore::on_store(bytes + 6, 4, 1, Order::Relaxed, {__builtin_FILE(), __builtin_LINE()});
    }
    bool weak() const override { return false; }
};

TEST(Litmus, CrookedAtomicsAreReported) {
    const Outcome outcome = run<Crooked>(2, kRelaxed);
    EXPECT_EQ(outcome.finding, Finding::Overlap) << outcome.summary();
    EXPECT_NE(outcome.what.find("is not aligned"), std::string::npos) << outcome.what;
}

// ── Locks and grace periods hand on what was written ──────────────────────────────────────────

struct UnderLockClass {
    static constexpr host::LockClass kClass{"litmus", 10};
};

struct UnderLock : Litmus {
    using Litmus::Litmus;
    host::SpinLock<UnderLockClass> lock;
    void cpu(u32) override {
        host::Guard<host::SpinLock<UnderLockClass>, host::IrqSave> guard(lock);
        x.store(x.load(Order::Relaxed) + 1, Order::Relaxed);
    }
    bool weak() const override { return x.load(Order::Relaxed) != 3; }
};

struct AfterGracePeriod : Litmus {
    using Litmus::Litmus;
    void cpu(u32 number) override {
        if (number == 0) {
            x.store(1, Order::Relaxed);
            host::synchronize_rcu();
            y.store(1, Order::Relaxed);
        } else {
            host::RcuReadGuard guard;
            r[0] = y.load(Order::Relaxed);
            r[1] = x.load(Order::Relaxed);
        }
    }
    // A section that sees what comes after a grace period began after its start.
    bool weak() const override { return r[0] == 1 && r[1] == 0; }
};

TEST(Litmus, LocksAndGracePeriods) {
    forbidden<UnderLock>(3, kRelaxed);
    forbidden<AfterGracePeriod>(2, kRelaxed);
}

}  // namespace
}  // namespace barebpf
