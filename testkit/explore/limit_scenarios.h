// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Scenarios for the count of a map's elements at its limit: while places move, whoever may have one gets one.
#pragma once

#include "kernel/bpf/element_limit.h"
#include "testkit/explore/explore.h"

namespace barebpf::explore {

using host::Order;

// Who wants a place first claims one that is known to be free, so take() must not fail; in the end there are as many as
// in the beginning.
struct LimitScenario : Scenario {
    static constexpr u32 kAhead = 2;  // as few as a CPU moves at once
    ElementLimit limit;
    host::MemoryOwner owner;
    host::Atomic<u32> free_places{};

    void make(u32 still_free) {
        const u32 places = kAhead * 8 * host::possible_cpus();
        check(limit.create(places, owner), "no memory");
        free_places.store(places, Order::Relaxed);
        while (free_places.load(Order::Relaxed) > still_free) claim_and_take();
    }
    // False: none is known to be free.
    bool claim_and_take() {
        u32 there = free_places.load(Order::Relaxed);
        do {
            if (there == 0) return false;
            // The acquire pairs with give(): its place has been given.
        } while (!free_places.compare_exchange(there, there - 1, Order::Acquire, Order::Relaxed));
        check(limit.take(), "a free place is not found");
        return true;
    }
    void give() {
        limit.give();
        free_places.fetch_add(1, Order::Release);  // pairs with claim_and_take()
    }
    void nmi(u32) override {
        host::Cpu::Pin pin;
        if (claim_and_take()) give();
    }
    void finish() override {
        const u32 count = free_places.load(Order::Relaxed);
        for (u32 i = 0; i < count; ++i) check(claim_and_take(), "a place is lost");
        check(!limit.take(), "a place too many");
        limit.destroy();
    }
};

// All are in use. One CPU gives so many that it gives some back, twice; the others want what it gave.
struct LimitGiveBack : LimitScenario {
    void setup() override { make(0); }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        if (number == 0) {
            for (u32 i = 0; i < 3 * kAhead + 1; ++i) give();
        } else {
            for (u32 i = 0; i < 2 * kAhead && claim_and_take(); ++i) {
            }
        }
    }
};

// Just so many are free that who takes one fetches some ahead; the others want all the rest.
struct LimitFetch : LimitScenario {
    void setup() override { make(2 * kAhead * host::possible_cpus()); }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        while (claim_and_take() && number == 1) {
        }
    }
};

// There is always a free place for who claims one, but never long with the same CPU.
struct LimitGiveAndTake : LimitScenario {
    void setup() override { make(0); }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        if (number == 0) {
            claim_and_take();
            return;
        }
        for (u32 i = 0; i < 2; ++i) {
            give();
            claim_and_take();
        }
        give();
    }
};

}  // namespace barebpf::explore
