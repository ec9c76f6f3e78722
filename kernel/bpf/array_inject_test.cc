// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose into the array family: an NMI before each instruction of an update of a per-CPU value and
// of a record of a perf event; inner maps that are replaced while programs use them; batches under interrupts.
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/map_inject_test.h"
#include "kernel/bpf/perf_event_test.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using host::Atomic;
using host::Order;
using inject::Trace;
using test::map_of;
using test::trace;

// ── Per-CPU values ────────────────────────────────────────────────────────────────────────────

struct PercpuRun {
    Map* map;
    u32 counter = 0;
    u32 bad = 0;

    // Both words of the value are the same whenever nobody is in the middle of writing it.
    void write(u32 index) {
        const u64 value[2] = {++counter, counter};
        if (map->ops->update(map, &index, value, BPF_ANY)) ++bad;
    }
    void expect_whole(u32 index) {
        const u64* value = static_cast<u64*>(map->ops->lookup(map, &index));
        if (value[0] != value[1]) ++bad;
    }
};

NOINLINE void write_percpu(void* argument) {
    static_cast<PercpuRun*>(argument)->write(1);
}

TEST(ArrayInject, AnNmiBeforeEachInstructionOfAPercpuUpdate) {
    host::Cpu::Entry inside;
    const int fd = Client::create(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, 4);
    PercpuRun run{map_of(fd)};
    const bool can = trace.record(Trace::Where::Everywhere, write_percpu, &run);
    if (can) {
        inject::at_each_instruction(
            trace, host::cpu_id(),
            [&] {
                write_percpu(&run);
                run.expect_whole(2);
            },
            [&] {
                run.write(2);
                run.expect_whole(2);
            });
        run.write(1);
        run.expect_whole(1);
        EXPECT_EQ(run.bad, 0u);
    }
    Client::close(fd);
    if (!can) GTEST_SKIP() << "no single steps here";
}

// ── Records ───────────────────────────────────────────────────────────────────────────────────

struct RecordRun {
    PerfEvent* event;
    Atomic<u32> written{}, bad{};  // the NMI counts too

    void write(u8 tag) {
        u8 data[20];
        std::memset(data, tag, sizeof data);
        if (perf_event_output(event, {data, sizeof data, nullptr, 0}))
            bad.fetch_add(1, Order::Relaxed);
        written.fetch_add(1, Order::Relaxed);
    }
};

NOINLINE void write_record(void* argument) {
    static_cast<RecordRun*>(argument)->write(1);
}

// All records that are there; ~0: one is not as it was written.
u32 count_records(test::PerfReader& reader) {
    u32 count = 0;
    reader.each([&](u32 type, const u8* body, u32 size) {
        bool sound = type == kRecordSample && size == 24;
        for (u32 i = 5; i < 24 && sound; ++i) sound = body[i] == body[4];
        count = sound && count != ~u32{0} ? count + 1 : ~u32{0};
    });
    return count;
}

TEST(ArrayInject, AnNmiBeforeEachInstructionOfARecord) {
    host::Cpu::Entry inside;
    host::Cpu::Pin pin;
    test::PerfReader reader;
    ASSERT_EQ(reader.map(1), Errno{});
    RecordRun run{reader.event, {}, {}};
    if (!trace.record(Trace::Where::Everywhere, write_record, &run)) {
        GTEST_SKIP() << "no single steps here";
    }
    u32 seen = 0;
    inject::at_each_instruction(
        trace, host::cpu_id(),
        [&] {
            write_record(&run);
            const u32 count = count_records(reader);
            ASSERT_NE(count, ~u32{0});
            seen += count;
        },
        [&] { run.write(2); });
    EXPECT_EQ(run.bad.load(Order::Relaxed), 0u);
    EXPECT_EQ(seen, run.written.load(Order::Relaxed));
    EXPECT_EQ(reader.ring->nest.load(Order::Relaxed), 0u);
}

// ── Inner maps ────────────────────────────────────────────────────────────────────────────────

// CPU 0 replaces inner maps and closes the old ones; the others look up and write what they find. Memory that
// was given back would be somebody else's, and its words not those of its number.
TEST(ArrayInject, InnerMapsAreReplacedUnderThoseWhoUseThem) {
    constexpr u32 kSlots = 4;
    const u32 rounds = test::rounds(300);
    const u32 cpus = test::cpus_up_to(4);
    int outer;
    {
        host::Cpu::Entry inside;
        const int inner = Client::create(BPF_MAP_TYPE_ARRAY, 4, 8, 4);
        outer = Client::create_outer(BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, kSlots, inner);
        Client::close(inner);
    }
    Atomic<u32> enough{}, bad{}, found{};
    constexpr u64 kMagic = 0x1234'5678'9abc'def0;
    test::run_on_cpus(cpus, [&](u32 cpu) {
        Map* maps = map_of(outer);
        if (cpu == 0) {
            const auto used = [&] { return cpus == 1 || found.load(Order::Relaxed) > 100; };
            for (u32 round = 0; round < rounds || !used(); ++round) {
                const int inner = Client::create(BPF_MAP_TYPE_ARRAY, 4, 8, 4);
                for (u32 key = 0; key < 4; ++key) Client::update(inner, &key, &kMagic);
                const u32 slot = round % kSlots;
                if (Client::update(outer, &slot, &inner)) bad.fetch_add(1, Order::Relaxed);
                machine::close_fd(inner);
                if (cpus == 1 || round % 7 == 0) Client::erase(outer, &slot);
                host::Cpu::yield_point();  // the readers may be waiting for this CPU
            }
            enough.store(1, Order::Release);
            return;
        }
        while (!enough.load(Order::Acquire)) {
            {
                host::Cpu::Pin pin;
                host::RcuReadGuard rcu;
                for (u32 slot = 0; slot < kSlots; ++slot) {
                    Map* inner = static_cast<Map*>(maps->ops->lookup(maps, &slot));
                    if (!inner) continue;
                    found.fetch_add(1, Order::Relaxed);
                    for (u32 key = 0; key < 4; ++key) {
                        void* value = inner->ops->lookup(inner, &key);
                        if (!value || host::atomic_at<u64>(value).load(Order::Relaxed) != kMagic) {
                            bad.fetch_add(1, Order::Relaxed);
                        }
                    }
                }
            }
            host::Cpu::yield_point();
            host::spin_hint();  // ends the turn of a CPU that QEMU runs in turns
        }
    });
    EXPECT_EQ(bad.load(Order::Relaxed), 0u);
    host::Cpu::Entry inside;
    Client::close(outer);
    host::rcu_barrier();
}

// ── Batches ───────────────────────────────────────────────────────────────────────────────────

struct Toucher {
    Map* map;
    Atomic<u32> runs{};

    static void run(void* argument) {
        auto* self = static_cast<Toucher*>(argument);
        const u32 index = self->runs.fetch_add(1, Order::Relaxed) % 1000;
        const u64 value = index;
        self->map->ops->update(self->map, &index, &value, BPF_ANY);
    }
};

TEST(ArrayInject, BatchesUnderInterruptsAndNmis) {
    for (const inject::Kind kind : {inject::Kind::Irq, inject::Kind::Nmi}) {
        test::run_on_cpus(1, [&](u32) {
            const int fd = Client::create(BPF_MAP_TYPE_ARRAY, 4, 8, 1000);
            std::vector<u32> keys(1000);
            std::iota(keys.begin(), keys.end(), 0);
            std::vector<u64> values(1000);
            std::iota(values.begin(), values.end(), 0);
            Toucher toucher{map_of(fd)};
            inject::Storm storm({.kind = kind, .cpu_count = 1, .mean_gap_ns = 30'000}, Toucher::run,
                                &toucher);
            while (storm.served() < 100) {
                u32 cursor = 0;
                test::Batch batch{BPF_MAP_UPDATE_BATCH, fd, 1000, keys.data(), values.data()};
                ASSERT_EQ(Client::batch(batch), 0);
                batch.command = BPF_MAP_LOOKUP_BATCH;
                batch.out = &cursor;
                ASSERT_EQ(Client::batch(batch), 0);
                ASSERT_EQ(batch.count, 1000u);
                for (u32 i = 0; i < 1000; ++i) ASSERT_EQ(values[i], i);
            }
            machine::close_fd(fd);
        });
    }
}

}  // namespace
}  // namespace barebpf
