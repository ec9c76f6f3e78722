// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Hash maps under many CPUs at once, and under NMIs.
//
// Every value is made from its key and a counter, so that a reader can tell whether what it found
// was ever written for that key: value = key << 32 | counter, twice.
#include <vector>

#include "kernel/bpf/hashtab.h"
#include "kernel/bpf/map_test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;

struct Key {
    u64 words[2];
};
struct Value {
    u64 words[2];
};

Key key_of(u32 number) {
    return {{number, ~u64{number}}};
}
Value value_of(u32 number, u32 counter) {
    const u64 word = u64{number} << 32 | counter;
    return {{word, word}};
}

class HashTorture : public test::WithMap<::testing::TestWithParam<u32>> {
protected:
    void make(u32 entries) {
        WithMap::make(
            test::map_attr(BPF_MAP_TYPE_HASH, sizeof(Key), sizeof(Value), entries, GetParam()));
    }
    s64 update(u32 number, u32 counter, u64 flags = BPF_ANY) {
        const Key key = key_of(number);
        const Value value = value_of(number, counter);
        return map_->ops->update(map_, &key, &value, flags);
    }
    s64 erase(u32 number) {
        const Key key = key_of(number);
        return map_->ops->erase(map_, &key);
    }
    const void* lookup(u32 number) {
        const Key key = key_of(number);
        return map_->ops->lookup(map_, &key);
    }
    // As bpf(2) reads: 0, or -errno; *wrong counts values that were never written for the key.
    s64 read(u32 number, Atomic<u32>* wrong) {
        const Key key = key_of(number);
        Value value{};
        const s64 error = map_->ops->copy_value(map_, &key, &value, 0);
        if (error == 0 && (value.words[0] != value.words[1] || value.words[0] >> 32 != number)) {
            wrong->fetch_add(1, Order::Relaxed);
        }
        return error;
    }
    u32 count_keys() {
        u32 count = 0;
        Key at, next;
        s64 error = map_->ops->next_key(map_, nullptr, &at);
        for (; error == 0; ++count, at = next) {
            error = map_->ops->next_key(map_, &at, &next);
        }
        return count;
    }
    // After the storm: the map still holds exactly as many elements as it may.
    void expect_whole(u32 entries, u32 numbers) {
        for (u32 i = 0; i < numbers; ++i) erase(i);
        EXPECT_EQ(count_keys(), 0u);
        host::rcu_barrier();
        for (u32 i = 0; i < entries; ++i) ASSERT_EQ(update(i, 1), 0) << i;
        EXPECT_EQ(update(entries, 1), -to_int(Errno::TooBig));
        EXPECT_EQ(count_keys(), entries);
    }
};
INSTANTIATE_TEST_SUITE_P(Kinds, HashTorture, ::testing::Values(0u, u32{BPF_F_NO_PREALLOC}),
                         [](const auto& kind) {
                             return std::string(kind.param ? "OnDemand" : "Preallocated");
                         });

// Keys that stay are found by every lookup, while they and their neighbours are replaced, deleted
// and inserted in the same few buckets.
TEST_P(HashTorture, KeysThatStayAreAlwaysFound) {
    constexpr u32 kEntries = 24;
    constexpr u32 kStaying = 8;
    constexpr u32 kTurns = 30000;
    make(kEntries);
    for (u32 i = 0; i < kStaying; ++i) ASSERT_EQ(update(i, 0), 0);
    Atomic<u32> missed{}, wrong{}, failed{};
    test::run_on_cpus(test::cpus_up_to(4), [&](u32 cpu) {
        for (u32 turn = 0; turn < kTurns; ++turn) {
            const u32 staying = (turn * 7 + cpu) % kStaying;
            const u32 passing = kStaying + (turn * 5 + cpu) % (2 * kEntries);
            {
                host::Cpu::Pin pin;
                host::RcuReadGuard rcu;
                if (cpu % 2) {
                    if (update(staying, turn, BPF_EXIST)) failed.fetch_add(1, Order::Relaxed);
                    update(passing, turn);
                    erase(passing);
                }
                if (!lookup(staying)) missed.fetch_add(1, Order::Relaxed);
                if (read(staying, &wrong)) missed.fetch_add(1, Order::Relaxed);
                read(passing, &wrong);
            }
            host::Cpu::yield_point();
        }
    });
    EXPECT_EQ(missed.load(Order::Relaxed), 0u);
    EXPECT_EQ(wrong.load(Order::Relaxed), 0u);
    EXPECT_EQ(failed.load(Order::Relaxed), 0u);
    expect_whole(kEntries, 100);
}

// A full map, everybody inserts and deletes everywhere.
TEST_P(HashTorture, NoElementIsLostOrDoubled) {
    constexpr u32 kEntries = 64;
    constexpr u32 kTurns = 20000;
    make(kEntries);
    Atomic<u32> wrong{};
    Atomic<u32> balance{};  // inserts less deletes
    test::run_on_cpus(test::cpus_up_to(4), [&](u32 cpu) {
        u32 random = cpu + 1;
        for (u32 turn = 0; turn < kTurns; ++turn) {
            random = random * 1664525 + 1013904223;
            const u32 number = (random >> 8) % (2 * kEntries);
            {
                host::Cpu::Pin pin;
                host::RcuReadGuard rcu;
                if (random >> 30 == 0) {
                    if (erase(number) == 0) balance.fetch_sub(1, Order::Relaxed);
                } else if (update(number, turn, BPF_NOEXIST) == 0) {
                    balance.fetch_add(1, Order::Relaxed);
                } else {
                    update(number, turn, BPF_EXIST);
                }
                read(number, &wrong);
            }
            host::Cpu::yield_point();
        }
    });
    EXPECT_EQ(wrong.load(Order::Relaxed), 0u);
    EXPECT_EQ(count_keys(), balance.load(Order::Relaxed));
    expect_whole(kEntries, 2 * kEntries);
}

// An NMI at any point of an operation runs every operation on the same map. It may be refused with
// EBUSY, and then nothing has happened.
struct NmiSoldier {
    static constexpr u32 kOwn = 4;  // numbers 1000..1003 belong to the NMI
    Map* map;
    Atomic<u32> count{};
    Atomic<u32> bad{};
    Atomic<u32> busy{};
    bool there[kOwn] = {};

    static void run(void* argument) { static_cast<NmiSoldier*>(argument)->once(); }
    void once() {
        const u32 turn = count.fetch_add(1, Order::Relaxed);
        const u32 slot = turn % kOwn;
        const Key key = key_of(1000 + slot);
        const Value value = value_of(1000 + slot, turn);
        const void* found = map->ops->lookup(map, &key);
        if ((found != nullptr) != there[slot]) bad.fetch_add(1, Order::Relaxed);
        const bool erase = there[slot] && turn % 3 == 0;
        const s64 result =
            erase ? map->ops->erase(map, &key)
                  : map->ops->update(map, &key, &value, there[slot] ? BPF_EXIST : BPF_NOEXIST);
        if (result == -to_int(Errno::Busy)) {
            busy.fetch_add(1, Order::Relaxed);
        } else if (result == 0) {
            there[slot] = !erase;
        } else if (result != -to_int(Errno::NoMem)) {  // its objects may all be waiting
            bad.fetch_add(1, Order::Relaxed);
        }
    }
};

TEST_P(HashTorture, NmisAreRefusedOrServedButNeverHarm) {
    NEEDS_CPUS(2);
    constexpr u32 kEntries = 16;  // four buckets: most NMIs hit one that matters
    const u32 kNmis = test::rounds(500);
    make(kEntries);
    NmiSoldier soldier{.map = map_};
    Atomic<u32> target{~0u}, missed{}, wrong{}, bad{};
    for (u32 i = 0; i < 8; ++i) ASSERT_EQ(update(i, 0), 0);
    test::run_on_cpus(2, [&](u32 number) {
        if (number == 1) {
            while (target.load(Order::Acquire) == ~0u) host::spin_hint();
            while (soldier.count.load(Order::Relaxed) < kNmis) {
                machine::send_nmi(target.load(Order::Relaxed), NmiSoldier::run, &soldier);
            }
            return;
        }
        target.store(host::cpu_id(), Order::Release);
        for (u32 turn = 0; soldier.count.load(Order::Relaxed) < kNmis; ++turn) {
            {
                host::Cpu::Pin pin;
                host::RcuReadGuard rcu;
                if (update(turn % 8, turn, BPF_EXIST)) bad.fetch_add(1, Order::Relaxed);
                if (!lookup((turn + 3) % 8)) missed.fetch_add(1, Order::Relaxed);
                read(turn % 8, &wrong);
                if (update(100 + turn % 2, turn) == 0 && erase(100 + turn % 2)) {
                    bad.fetch_add(1, Order::Relaxed);
                }
            }
            host::Cpu::yield_point();
        }
    });
    EXPECT_EQ(soldier.bad.load(Order::Relaxed), 0u);
    EXPECT_LT(soldier.busy.load(Order::Relaxed), soldier.count.load(Order::Relaxed));
    EXPECT_EQ(missed.load(Order::Relaxed), 0u);
    EXPECT_EQ(wrong.load(Order::Relaxed), 0u);
    EXPECT_EQ(bad.load(Order::Relaxed), 0u);
    for (u32 slot = 0; slot < NmiSoldier::kOwn; ++slot) {
        EXPECT_EQ(erase(1000 + slot), soldier.there[slot] ? 0 : -to_int(Errno::NoEnt));
    }
    expect_whole(kEntries, 200);
}

// An NMI in the middle of a lookup replaces what is looked for, and puts another key into the
// element that it left: the moment that the bucket's version is for.
struct Recycler {
    Map* map;
    Atomic<u32> count{};

    static void run(void* argument) {
        auto* self = static_cast<Recycler*>(argument);
        const u32 turn = self->count.fetch_add(1, Order::Relaxed);
        for (const u32 number : {0u, 1u}) {
            const Key key = key_of(number);
            const Value value = value_of(number, turn);
            self->map->ops->update(self->map, &key, &value, BPF_EXIST);
        }
    }
};

TEST_P(HashTorture, ALookupIsNotMisledByARecycledElement) {
    NEEDS_CPUS(2);
    const u32 kNmis = test::rounds(3000);
    make(4);
    for (const u32 number : {0u, 1u}) ASSERT_EQ(update(number, 0), 0);
    Recycler recycler{.map = map_};
    Atomic<u32> target{~0u}, missed{}, wrong{};
    test::run_on_cpus(2, [&](u32 number) {
        if (number == 1) {
            while (target.load(Order::Acquire) == ~0u) host::spin_hint();
            while (recycler.count.load(Order::Relaxed) < kNmis) {
                machine::send_nmi(target.load(Order::Relaxed), Recycler::run, &recycler);
            }
            return;
        }
        target.store(host::cpu_id(), Order::Release);
        while (recycler.count.load(Order::Relaxed) < kNmis) {
            {
                host::Cpu::Pin pin;
                host::RcuReadGuard rcu;
                for (u32 i = 0; i < 100; ++i) {
                    if (!lookup(i % 2)) missed.fetch_add(1, Order::Relaxed);
                    if (read(i % 2, &wrong)) missed.fetch_add(1, Order::Relaxed);
                }
            }
            host::Cpu::yield_point();
        }
    });
    EXPECT_EQ(missed.load(Order::Relaxed), 0u);
    EXPECT_EQ(wrong.load(Order::Relaxed), 0u);
    expect_whole(4, 2);
}

}  // namespace
}  // namespace barebpf
