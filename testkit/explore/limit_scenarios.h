// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Scenarios for the count of a map's elements at its limit: while places move, whoever may have one gets one. Alone, and in
// a hash that takes its places before it knows whether it needs them.
#pragma once

#include "kernel/bpf/element_limit.h"
#include "testkit/explore/hashtab_scenarios.h"

namespace barebpf::explore {

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

// ── A hash without preallocation ──────────────────────────────────────────────────────────────

// Some more elements find room, and one CPU has a place of its own. It inserts a key that is there; what it takes
// for that beforehand it gives back. The other inserts new keys until the map says that it is full.
template <bool kPlenty>
struct HashAtLimit : HashScenario {
    static constexpr u32 kFirst = 10'000;  // of the keys that nobody else uses
    host::Atomic<u32> elements{};          // that have found room
    u32 entries = 16 * host::possible_cpus();
    // As many as are plenty, and the CPU's own.
    u32 still_free = kPlenty ? 4 * host::possible_cpus() + 1 : 1;

    void setup() override {
        make(entries, BPF_F_NO_PREALLOC);
        check(insert(keys[0]) == 0, "no room");
        while (elements.load(Order::Relaxed) <= entries - still_free) {
            check(insert_next() == 0, "no room");
        }
        const u32 last = elements.load(Order::Relaxed) - 1;
        check(erase(kFirst + last) == 0, "a delete failed");  // its place stays with this CPU
        elements.store(last, Order::Relaxed);
    }
    s64 insert(u32 key) {
        const s64 result = update(key, 1, BPF_NOEXIST);
        if (result == 0) {
            check(elements.fetch_add(1, Order::Relaxed) < entries, "an element too many");
        }
        return result;
    }
    s64 insert_next() { return insert(kFirst + elements.load(Order::Relaxed)); }

    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number == 0) {
            check(insert(keys[0]) == -to_int(Errno::Exist), "a key is there twice");
            return;
        }
        s64 result;
        while ((result = insert_next()) == 0) {
        }
        check(result == -to_int(Errno::TooBig), "an insert failed");
        // Where there were plenty, the other may have one of them on its hands.
        const u32 missing = entries - elements.load(Order::Relaxed);
        check(missing <= (kPlenty ? 1 : 0), "the map is full too early");
    }
    void nmi(u32) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        const s64 result = insert(keys[0]);
        check(result == -to_int(Errno::Exist) || result == -to_int(Errno::Busy),
              "a key is there twice");
    }
    void finish() override {
        const u32 count = elements.load(Order::Relaxed);
        if (count < entries) check(insert_next() == 0, "nobody is at it, and a place is missing");
        check(insert_next() == -to_int(Errno::TooBig), "there is an element too many");
        check(walk() == entries, "elements are lost, or there twice");
        for (u32 i = 1; i < entries; ++i) check(erase(kFirst + i) == 0, "an element is lost");
        end(1);
    }
};

}  // namespace barebpf::explore
