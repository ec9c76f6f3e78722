// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/queue_stack.h"

#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "kernel/bpf/map_test.h"
#include "testkit/inject.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;

constexpr s64 kNoEnt = -to_int(Errno::NoEnt);
constexpr s64 kTooBig = -to_int(Errno::TooBig);
constexpr s64 kInval = -to_int(Errno::Inval);
constexpr s64 kBusy = -to_int(Errno::Busy);

using test::make_map;

bpf_attr attr_of(u32 type, u32 entries, u32 value_size) {
    return test::map_attr(type, 0, value_size, entries);
}

class QueueTest : public test::WithMap<::testing::TestWithParam<u32>> {
protected:
    void make(u32 entries, u32 value_size = 8) {
        WithMap::make(attr_of(GetParam(), entries, value_size));
    }
    s64 push(u64 value, u64 flags = 0) { return map_->ops->push(map_, &value, flags); }
    s64 pop(u64* value) { return map_->ops->pop(map_, value); }
    bool is_queue() const { return GetParam() == BPF_MAP_TYPE_QUEUE; }
};
INSTANTIATE_TEST_SUITE_P(Types, QueueTest,
                         ::testing::Values(u32{BPF_MAP_TYPE_QUEUE}, u32{BPF_MAP_TYPE_STACK}),
                         [](const auto& made) {
                             return std::string(made.param == BPF_MAP_TYPE_QUEUE ? "Queue"
                                                                                 : "Stack");
                         });

TEST_P(QueueTest, AttributesAreCheckedAsLinuxDoes) {
    const MapOps* ops = map_ops(GetParam());
    const auto ok = [&](auto change) {
        bpf_attr attr = attr_of(GetParam(), 1, 8);
        change(attr);
        return ops->check_attr(attr);
    };
    EXPECT_TRUE(ok([](bpf_attr&) {}).ok());
    EXPECT_TRUE(ok([](bpf_attr& a) { a.value_size = 1u << 22; }).ok());
    EXPECT_EQ(ok([](bpf_attr& a) { a.value_size = (1u << 22) + 1; }).error(), Errno::TooBig);
    EXPECT_EQ(ok([](bpf_attr& a) { a.value_size = 0; }).error(), Errno::Inval);
    EXPECT_EQ(ok([](bpf_attr& a) { a.key_size = 4; }).error(), Errno::Inval);
    EXPECT_EQ(ok([](bpf_attr& a) { a.max_entries = 0; }).error(), Errno::Inval);
    EXPECT_EQ(ok([](bpf_attr& a) { a.map_flags = BPF_F_NO_PREALLOC; }).error(), Errno::Inval);
}

TEST_P(QueueTest, RandomOperationsGiveWhatADequeGives) {
    std::mt19937 random(static_cast<u32>(test::setting("seed", 3)));
    for (const u32 entries : {1u, 2u, 3u, 7u, 64u}) {
        for (const u32 size : {1u, 4u, 8u, 13u, 300u}) {
            make(entries, size);
            std::deque<std::string> model;
            for (u32 step = 0; step < test::rounds(2000); ++step) {
                std::string value(size, '\0'), expected(size, '\0');
                for (char& byte : value) byte = static_cast<char>(random());
                const u32 action = random() % 8;
                if (action < (step / 100 % 2 ? 5u : 3u)) {
                    const u64 flags = random() % 2 ? 0 : random() % 4;
                    s64 result = 0;
                    if (flags != BPF_ANY && flags != BPF_EXIST) {
                        result = kInval;
                    } else if (model.size() == entries && flags == BPF_ANY) {
                        result = kTooBig;
                    } else {
                        if (model.size() == entries) model.pop_front();
                        model.push_back(value);
                    }
                    ASSERT_EQ(map_->ops->push(map_, value.data(), flags), result);
                    continue;
                }
                const bool empty = model.empty();
                if (!empty) expected = is_queue() ? model.front() : model.back();
                const auto operation = action % 2 ? map_->ops->pop : map_->ops->peek;
                ASSERT_EQ(operation(map_, value.data()), empty ? kNoEnt : 0);
                ASSERT_TRUE(value == expected);
                if (empty || action % 2 == 0) continue;
                if (is_queue()) {
                    model.pop_front();
                } else {
                    model.pop_back();
                }
            }
            map_put(map_);
            map_ = nullptr;
        }
    }
}

TEST_P(QueueTest, MemoryIsThatOfTheValues) {
    make(1000, 12);
    EXPECT_LE(map_->memory.bytes(), u64{1000} * 12 + sizeof(QueueMap));
    const machine::LiveMemory before = machine::live_memory();
    const u32 allocations = inject::fail_each_allocation(
        [&] {
            Map* map = make_map(attr_of(GetParam(), 100, 8));
            if (map) map_put(map);
            test::settle();
        },
        [&](u32) { EXPECT_EQ(machine::live_memory().blocks, before.blocks); });
    EXPECT_GE(allocations, 2u);
}

// Every value that was pushed is popped once, and from one pusher in its order (a queue).
TEST_P(QueueTest, NothingIsLostOrDoubledOnManyCpus) {
    const u32 turns = test::rounds(30000);
    const u32 cpus = test::cpus_up_to(4);
    make(50);
    std::vector<Atomic<u8>> seen(size_t{turns} * cpus);
    Atomic<u32> doubled{}, disordered{}, popped{}, pushed{};
    test::run_on_cpus(cpus, [&](u32 cpu) {
        std::vector<u64> last(cpus, 0);
        for (u32 turn = 0; turn < turns; ++turn) {
            const u64 token = u64{cpu} * turns + turn;
            if (push(token) == 0) pushed.fetch_add(1, Order::Relaxed);
            u64 value;
            if (turn % 3 && pop(&value) == 0) {
                popped.fetch_add(1, Order::Relaxed);
                if (seen[value].exchange(1, Order::Relaxed)) doubled.fetch_add(1, Order::Relaxed);
                u64& before = last[value / turns];
                if (is_queue() && value + 1 <= before) disordered.fetch_add(1, Order::Relaxed);
                before = value + 1;
            }
            host::Cpu::yield_point();
        }
    });
    u64 value;
    u32 rest = 0;
    for (; pop(&value) == 0; ++rest) EXPECT_EQ(seen[value].exchange(1, Order::Relaxed), 0u);
    EXPECT_EQ(doubled.load(Order::Relaxed), 0u);
    EXPECT_EQ(disordered.load(Order::Relaxed), 0u);
    EXPECT_EQ(popped.load(Order::Relaxed) + rest, pushed.load(Order::Relaxed));
}

// What interrupts pushes a value of its own and pops one; refused or done, nothing is lost.
struct Intruder {
    Map* map;
    Atomic<u32> turns{}, done{}, bad{};
    Atomic<u64> balance{};  // pushes less pops

    static void run(void* argument) { static_cast<Intruder*>(argument)->once(); }
    void once() {
        const u64 value = 0xabcdef0000000000u | turns.fetch_add(1, Order::Relaxed);
        u64 got = 1;
        s64 result = map->ops->push(map, &value, 0);
        if (result == 0) {
            balance.fetch_add(1, Order::Relaxed);
            done.fetch_add(1, Order::Relaxed);
        } else if (result != kBusy && result != kTooBig) {
            bad.fetch_add(1, Order::Relaxed);
        }
        result = map->ops->pop(map, &got);
        if (result == 0) {
            balance.fetch_sub(1, Order::Relaxed);
        } else if ((result != kBusy && result != kNoEnt) || got != 0) {
            bad.fetch_add(1, Order::Relaxed);
        }
    }
};

// The map is used by all CPUs for a while, then by one for so long that the lock becomes its own, then by all again, then
// by the next; what interrupts them uses it as well.
struct Phases {
    static constexpr u32 kTogether = 300;
    static constexpr u32 kAlone = host::kBiasAfter / 2 + 100;
    static constexpr u32 kMostNmis = 1 << 15;
    Map* map;
    u32 cpus, phases;
    std::vector<Atomic<u8>> seen;
    Atomic<u32> next{}, pushed{}, popped{}, bad{}, nmis{}, arrived{}, own{}, not_given_back{};
    Atomic<u32> alone{};  // whose phase it is: CPU + 1

    Phases(Map* of, u32 count, u32 turns)
        : map(of),
          cpus(count),
          phases(turns),
          seen(size_t{turns} * (size_t{count} * kTogether + kAlone) + kMostNmis) {}

    void push_and_pop(bool in_nmi) {
        const auto check = [&](s64 result, s64 otherwise) {
            if (result == 0 || result == otherwise || (in_nmi && result == kBusy)) return;
            bad.fetch_add(1, Order::Relaxed);
        };
        u64 token = next.fetch_add(1, Order::Relaxed);
        s64 result = map->ops->push(map, &token, 0);
        if (result == 0) pushed.fetch_add(1, Order::Relaxed);
        check(result, kTooBig);
        result = map->ops->pop(map, &token);
        if (result == 0) took(token);
        check(result, kNoEnt);
    }
    void took(u64 token) {
        popped.fetch_add(1, Order::Relaxed);
        if (token >= seen.size() || seen[token].exchange(1, Order::Relaxed)) {
            bad.fetch_add(1, Order::Relaxed);
        }
    }
    static void in_nmi(void* argument) {
        auto* self = static_cast<Phases*>(argument);
        const u32 whose = self->alone.load(Order::Relaxed);
        if (whose && whose != host::cpu_id() + 1) return;
        if (self->nmis.fetch_add(1, Order::Relaxed) < kMostNmis) self->push_and_pop(true);
    }

    template <class Lock>
    static bool is_own(const Lock& lock, u32 cpu) {
        if constexpr (requires { lock.is_biased_to(cpu); }) return lock.is_biased_to(cpu);
        return false;
    }
    bool is_own(u32 cpu) const { return is_own(static_cast<const QueueMap*>(map)->lock, cpu); }
    void run(u32 cpu) {
        for (u32 phase = 0; phase < phases; ++phase) {
            const u32 whose = alone.load(Order::Relaxed);
            const u32 turns = whose == 0 ? kTogether : whose == cpu + 1 ? kAlone : 0;
            for (u32 turn = 0; turn < turns; ++turn) {
                push_and_pop(false);
                host::Cpu::yield_point();
            }
            if (whose == cpu + 1 && is_own(cpu)) own.fetch_add(1, Order::Relaxed);
            meet();
            if (whose == 0 && is_own(cpu)) not_given_back.fetch_add(1, Order::Relaxed);
            if (cpu == 0) alone.store(whose ? 0 : phase / 2 % cpus + 1, Order::Relaxed);
            meet();
        }
    }
    void meet() {
        const u32 all = (arrived.fetch_add(1, Order::AcqRel) / cpus + 1) * cpus;
        while (arrived.load(Order::Acquire) < all) {
            host::Cpu::yield_point();
            test::lose_processor();
        }
    }
};

TEST_P(QueueTest, NothingIsLostFromHandToHand) {
    NEEDS_CPUS(2);
    make(50);
    const u32 cpus = test::cpus_up_to(4);
    Phases all(map_, cpus, test::rounds(100));
    {
        inject::Storm storm({.kind = inject::Kind::Nmi, .cpu_count = cpus, .mean_gap_ns = 30'000},
                            Phases::in_nmi, &all);
        test::run_on_cpus(cpus, [&](u32 cpu) { all.run(cpu); });
    }
    u64 token;
    while (map_->ops->pop(map_, &token) == 0) all.took(token);
    EXPECT_EQ(all.bad.load(Order::Relaxed), 0u);
    EXPECT_EQ(all.popped.load(Order::Relaxed), all.pushed.load(Order::Relaxed));
    EXPECT_EQ(all.not_given_back.load(Order::Relaxed), 0u);
    EXPECT_GE(all.own.load(Order::Relaxed), host::kBiasAfter ? cpus : 0);
}

inject::Trace trace;

NOINLINE void push_and_pop(void* argument) {
    auto* map = static_cast<Map*>(argument);
    u64 value = 5;
    map->ops->push(map, &value, BPF_EXIST);
    map->ops->peek(map, &value);
    map->ops->pop(map, &value);
}

TEST_P(QueueTest, AnNmiBeforeEachInstruction) {
    make(8);
    Intruder intruder{map_};
    if (!trace.record(inject::Trace::Where::Everywhere, push_and_pop, map_)) {
        GTEST_SKIP() << "no single steps here";
    }
    for (u64 i = 0; i < 4; ++i) ASSERT_EQ(push(i), 0);
    auto* queue = static_cast<QueueMap*>(map_);
    inject::at_each_instruction(
        trace, host::cpu_id(),
        [&] {
            push_and_pop(map_);
            host::Guard<QueueMap::Lock, host::IrqSave> guard(queue->lock);
            EXPECT_EQ(queue->count, 4 + static_cast<u32>(intruder.balance.load(Order::Relaxed)));
        },
        [&] { intruder.once(); });
    EXPECT_EQ(intruder.bad.load(Order::Relaxed), 0u);
    EXPECT_GT(intruder.done.load(Order::Relaxed), intruder.turns.load(Order::Relaxed) / 8);
}

TEST_P(QueueTest, NmisAtRandom) {
    const u32 nmis = test::rounds(1000);
    make(64);
    Intruder intruder{map_};
    Atomic<u64> balance{}, failed{};
    test::run_on_cpus(1, [&](u32) {
        inject::Storm storm({.kind = inject::Kind::Nmi, .cpu_count = 1, .mean_gap_ns = 30'000},
                            Intruder::run, &intruder);
        while (storm.served() < nmis) {
            u64 value = 1;
            for (u32 i = 0; i < 8; ++i) {
                const s64 result = push(value);
                if (result == 0) balance.fetch_add(1, Order::Relaxed);
                if (result != 0 && result != kTooBig) failed.fetch_add(1, Order::Relaxed);
            }
            for (u32 i = 0; i < 8; ++i) {
                const s64 result = pop(&value);
                if (result == 0) balance.fetch_sub(1, Order::Relaxed);
                if (result != 0 && result != kNoEnt) failed.fetch_add(1, Order::Relaxed);
            }
            host::Cpu::yield_point();
        }
    });
    EXPECT_EQ(failed.load(Order::Relaxed), u64{0});
    EXPECT_EQ(intruder.bad.load(Order::Relaxed), 0u);
    u64 left = 0, value;
    while (pop(&value) == 0) ++left;
    EXPECT_EQ(left, balance.load(Order::Relaxed) + intruder.balance.load(Order::Relaxed));
}

}  // namespace
}  // namespace barebpf
