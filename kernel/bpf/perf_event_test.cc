// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Perf rings as their reader sees them: records, losses, wrap-around, wake-ups, writers that interrupt each
// other; and the map of events, down to a program's output.
#include "kernel/bpf/perf_event.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "kernel/bpf/fd_array.h"
#include "kernel/bpf/insn.h"
#include "kernel/bpf/map.h"
#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/perf_event_test.h"
#include "testkit/inject.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using host::Order;
using test::error;
using test::PerfReader;

constexpr u32 kPollIn = 1;

class PerfEventTest : public ::testing::Test {
protected:
    host::Cpu::Entry inside_;
    host::Cpu::Pin pin_;
};

TEST_F(PerfEventTest, ARecordHoldsWhatWasWrittenAndZerosToEight) {
    PerfReader reader;
    ASSERT_EQ(reader.map(1), Errno{});
    for (const u32 size : {0u, 1u, 4u, 5u, 12u, 13u, 100u}) {
        std::vector<u8> data(size);
        for (u32 i = 0; i < size; ++i) data[i] = static_cast<u8>(size + i);
        ASSERT_EQ(reader.write(data.data(), size), 0);
        const auto records = reader.read();
        ASSERT_EQ(records.size(), 1u);
        EXPECT_EQ(records[0].type, kRecordSample);
        u32 raw;
        std::memcpy(&raw, records[0].body.data(), 4);
        EXPECT_EQ(raw, (size + 4 + 7) / 8 * 8 - 4);
        ASSERT_EQ(records[0].body.size(), raw + 4u);
        EXPECT_TRUE(std::equal(data.begin(), data.begin() + size, records[0].body.begin() + 4));
        for (u32 i = size; i < raw; ++i) EXPECT_EQ(records[0].body[4 + i], 0);
    }
}

TEST_F(PerfEventTest, FieldsStandInTheirOrder) {
    PerfReader reader(kSampleRaw | kSampleTime | kSampleCpu | kSampleIdentifier | kSamplePeriod);
    ASSERT_EQ(reader.map(1), Errno{});
    const u64 data = 0x1122334455667788;
    ASSERT_EQ(reader.write(&data, 8), 0);
    const auto records = reader.read();
    ASSERT_EQ(records.size(), 1u);
    ASSERT_EQ(records[0].body.size(), 4 * 8 + 4 + 12u);
    EXPECT_EQ(records[0].word(0), reader.event->id);
    EXPECT_GT(records[0].word(1), 0u);  // time
    EXPECT_EQ(records[0].word(2), host::cpu_id());
    EXPECT_EQ(records[0].word(3), 1u);  // period
}

TEST_F(PerfEventTest, WhoMayWriteAndWhen) {
    const u64 data = 1;
    PerfReader reader({host::cpu_id(), kSampleRaw, 1, false, false});
    EXPECT_EQ(reader.write(&data, 8), error(Errno::OpNotSupp));
    const auto ioctl = [&](u32 command, void* argument = nullptr) {
        const auto done = perf_event_ioctl(reader.fd, command, test::address_of(argument));
        return done ? done.value() : error(done.error());
    };
    EXPECT_EQ(ioctl(0x2400), 0);  // PERF_EVENT_IOC_ENABLE
    EXPECT_EQ(reader.write(&data, 8), error(Errno::NoSpc)) << "not mapped";
    ASSERT_EQ(reader.map(1), Errno{});
    EXPECT_EQ(reader.write(&data, 8), 0);
    EXPECT_EQ(ioctl(0x2401), 0);  // PERF_EVENT_IOC_DISABLE
    EXPECT_EQ(reader.write(&data, 8), error(Errno::OpNotSupp));
    u64 id = 0;
    EXPECT_EQ(ioctl(0x80082407, &id), 0);  // PERF_EVENT_IOC_ID
    EXPECT_EQ(id, reader.event->id);
    EXPECT_EQ(ioctl(0x80082407, nullptr), error(Errno::Fault));
    EXPECT_EQ(ioctl(0x2499), error(Errno::Inval));
    if (host::possible_cpus() > 1) {
        PerfReader other(
            {(host::cpu_id() + 1) % host::possible_cpus(), kSampleRaw, 1, false, true});
        ASSERT_EQ(other.map(1), Errno{});
        EXPECT_EQ(other.write(&data, 8), error(Errno::OpNotSupp));
    }
    EXPECT_EQ(perf_event_create({host::possible_cpus(), kSampleRaw, 1, false, true}).error(),
              Errno::Inval);
    EXPECT_EQ(perf_event_create({0, 1u << 5, 1, false, true}).error(), Errno::Inval);
}

TEST_F(PerfEventTest, MappingsHaveOneSize) {
    PerfReader reader;
    for (const u32 pages : {3u, 5u, 7u}) EXPECT_EQ(reader.map(pages), Errno::Inval);
    ASSERT_EQ(reader.map(2), Errno{});
    PerfReader* same = &reader;
    const host::MmapRequest larger = {0, 5 * host::kPageSize, true, true, false};
    EXPECT_EQ(same->event->file_ops->mmap(same->event, larger).error(), Errno::Inval);
    const host::MmapRequest again = {0, 3 * host::kPageSize, true, true, false};
    ASSERT_TRUE(same->event->file_ops->mmap(same->event, again).ok());
    reader.unmap();
    const u64 data = 1;
    EXPECT_EQ(reader.write(&data, 8), 0);  // one is left
    same->event->file_ops->munmapped(same->event, again);
    EXPECT_EQ(reader.write(&data, 8), error(Errno::NoSpc));
    ASSERT_EQ(reader.map(1), Errno{});
    EXPECT_EQ(reader.write(&data, 8), 0);
}

TEST_F(PerfEventTest, WhatDoesNotFitIsCountedAndReported) {
    PerfReader reader;
    ASSERT_EQ(reader.map(1), Errno{});
    u8 data[92] = {};  // a record of 104 bytes
    u32 written = 0;
    while (reader.write(data, sizeof data) == 0) ++written;
    EXPECT_EQ(written, host::kPageSize / 104);
    EXPECT_EQ(reader.write(data, sizeof data), error(Errno::NoSpc));
    EXPECT_EQ(reader.read().size(), written);
    ASSERT_EQ(reader.write(data, sizeof data), 0);
    ASSERT_EQ(reader.write(data, sizeof data), 0);
    const auto records = reader.read();
    ASSERT_EQ(records.size(), 3u);
    EXPECT_EQ(records[0].type, kRecordLost);
    EXPECT_EQ(records[0].word(0), reader.event->id);
    EXPECT_EQ(records[0].word(1), 2u);
    EXPECT_EQ(records[1].type, kRecordSample);
    EXPECT_EQ(records[2].type, kRecordSample);
    std::vector<u8> huge(70'000);
    EXPECT_EQ(reader.write(huge.data(), 70'000), error(Errno::TooBig));
}

TEST_F(PerfEventTest, ATailThatLiesHarmsNobody) {
    PerfReader reader;
    ASSERT_EQ(reader.map(1), Errno{});
    const u64 data = 1;
    for (const u64 tail : {u64{8}, u64{100000}, u64{1} << 63}) {
        host::atomic_at<u64>(control_at(reader.ring, kControlDataTail)).store(tail, Order::Release);
        EXPECT_EQ(reader.write(&data, 8), error(Errno::NoSpc)) << tail;
    }
}

TEST_F(PerfEventTest, RecordsWrapAround) {
    PerfReader reader;
    ASSERT_EQ(reader.map(1), Errno{});
    u32 expected = 0, next = 0;
    for (u32 round = 0; round < 500; ++round) {
        std::vector<u32> data(1 + round % 50, next);
        while (reader.write(data.data(), static_cast<u32>(data.size() * 4)) == 0) {
            std::fill(data.begin(), data.end(), ++next);
        }
        for (const test::PerfRecord& record : reader.read()) {
            if (record.type != kRecordSample) continue;
            u32 value;
            std::memcpy(&value, record.body.data() + 4, 4);
            ASSERT_EQ(value, expected++);
        }
        ASSERT_EQ(expected, next);
    }
}

TEST_F(PerfEventTest, WithoutATailOldRecordsAreOverwritten) {
    PerfReader reader;
    ASSERT_EQ(reader.map(1, false), Errno{});
    const u64 data = 1;
    for (u32 i = 0; i < 1000; ++i) ASSERT_EQ(reader.write(&data, 8), 0);
    EXPECT_EQ(reader.head(), 1000u * 24);
}

TEST_F(PerfEventTest, OneWakeUpOneAnswer) {
    PerfReader reader(kSampleRaw, 3);
    EXPECT_EQ(reader.poll(), 0x10u);  // POLLHUP: not mapped
    ASSERT_EQ(reader.map(1), Errno{});
    const u64 data = 1;
    for (u32 round = 0; round < 4; ++round) {
        reader.write(&data, 8);
        reader.write(&data, 8);
        EXPECT_EQ(reader.poll(), 0u);
        reader.write(&data, 8);
        EXPECT_EQ(reader.poll(), kPollIn);
        EXPECT_EQ(reader.poll(), 0u);
    }
}

TEST_F(PerfEventTest, AHalfFullRingWakesAnyway) {
    for (const bool by_watermark : {false, true}) {
        PerfReader reader(kSampleRaw, by_watermark ? 1024 : 0, by_watermark);
        ASSERT_EQ(reader.map(1), Errno{});
        const u64 data = 1;
        u32 written = 0;
        while (!reader.poll()) {
            ASSERT_EQ(reader.write(&data, 8), 0);
            ++written;
        }
        EXPECT_EQ(written, (by_watermark ? 1024 : host::kPageSize / 2) / 24 + 1);
    }
}

// ── Writers that interrupt each other ─────────────────────────────────────────────────────────

struct Stream {
    PerfReader* reader;
    u32 written = 0, refused = 0, bad = 0;

    void write(u8 tag) {
        u8 data[28];
        std::memset(data, tag, sizeof data);
        const s64 result = reader->write(data, sizeof data);
        if (result == 0)
            ++written;
        else if (result == error(Errno::NoSpc))
            ++refused;
        else
            ++bad;
    }
};

TEST_F(PerfEventTest, AnNmiMayWriteAtAnyTime) {
    const u32 rounds = test::rounds(2000);
    PerfReader reader;
    ASSERT_EQ(reader.map(2), Errno{});
    Stream outer{&reader}, inner{&reader};
    // An NMI writes only if what it interrupts has moved on since the last: a slow machine would do nothing else.
    struct Nmi {
        Stream* inner;
        host::Atomic<u32> steps{};
        u32 seen = 0;
    } nmi{&inner};
    u32 seen = 0;
    u64 lost = 0;
    const auto check = [&] {
        for (const test::PerfRecord& record : reader.read()) {
            if (record.type == kRecordLost) {
                lost += record.word(1);
                continue;
            }
            ++seen;
            const u8* bytes = record.body.data() + 4;
            for (u32 i = 1; i < 28; ++i) ASSERT_EQ(bytes[i], bytes[0]);
        }
    };
    {
        inject::Storm storm(
            {.kind = inject::Kind::Nmi, .cpu_count = host::cpu_id() + 1, .mean_gap_ns = 20'000},
            [](void* argument) {
                auto* self = static_cast<Nmi*>(argument);
                if (host::cpu_id() != self->inner->reader->event->setup.cpu) return;
                const u32 steps = self->steps.load(Order::Relaxed);
                if (steps == self->seen) return;
                self->seen = steps;
                self->inner->write(0xee);
            },
            &nmi);
        for (u32 round = 0; round < rounds; ++round) {
            for (u32 i = 0; i < 60; ++i) {
                nmi.steps.fetch_add(1, Order::Relaxed);
                outer.write(static_cast<u8>(i));
            }
            check();
        }
    }
    check();
    EXPECT_EQ(outer.bad + inner.bad, 0u);
    EXPECT_EQ(seen, outer.written + inner.written);
    lost += reader.ring->lost.load(Order::Relaxed);
    EXPECT_EQ(lost, u64{outer.refused} + inner.refused);
    EXPECT_EQ(reader.ring->nest.load(Order::Relaxed), 0u);
}

// ── The map ───────────────────────────────────────────────────────────────────────────────────

using namespace insn;

TEST_F(PerfEventTest, AProgramWritesToTheEventOfItsCpu) {
    const u32 cpus = host::possible_cpus();
    const int map = Client::create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, cpus);
    ASSERT_GE(map, 0);
    // perf_event_output(ctx, map, flags of the packet's first 8 bytes, 8 bytes of stack)
    const bpf_insn insns[] = {
        mov(R6, R1),
        load(BPF_W, R2, R1, 0),
        load(BPF_W, R3, R1, 4),
        mov_imm(R0, 0),
        mov(R4, R2),
        add_imm(R4, 8),
        jump(BPF_JGT, R4, R3, 11),
        load(BPF_DW, R3, R2, 0),
        store_imm(BPF_DW, R10, -8, 0x77),
        mov(R1, R6),
        ld_low(R2, BPF_PSEUDO_MAP_FD, map),
        ld_high(0),
        mov(R4, R10),
        add_imm(R4, -8),
        mov_imm(R5, 8),
        call(BPF_FUNC_perf_event_output),
        alu32_imm(BPF_MUL, R0, -1),
        exit(),
        exit(),
    };
    char log[4096] = {};
    bpf_attr attr{};
    attr.prog_type = BPF_PROG_TYPE_XDP;
    attr.insns = test::address_of(insns);
    attr.insn_cnt = sizeof insns / sizeof insns[0];
    attr.license = test::address_of("GPL");
    attr.log_buf = test::address_of(log);
    attr.log_size = sizeof log;
    attr.log_level = 1;
    const int prog = static_cast<int>(test::OurBpf::call(BPF_PROG_LOAD, &attr, sizeof attr));
    ASSERT_GE(prog, 0) << log;
    attr.license = test::address_of("MIT");
    EXPECT_EQ(test::OurBpf::call(BPF_PROG_LOAD, &attr, sizeof attr), error(Errno::Inval));

    u64 packet[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    const auto run = [&](u64 flags) {
        packet[0] = flags;
        bpf_attr test{};
        test.test.prog_fd = static_cast<u32>(prog);
        test.test.data_in = test::address_of(packet);
        test.test.data_size_in = sizeof packet;
        EXPECT_EQ(test::OurBpf::call(BPF_PROG_TEST_RUN, &test, sizeof test), 0);
        return static_cast<int>(test.test.retval);
    };
    EXPECT_EQ(run(BPF_F_CURRENT_CPU), to_int(Errno::NoEnt));
    EXPECT_EQ(run(cpus), to_int(Errno::TooBig));
    {
        // A run may be on any CPU: events for all.
        std::vector<std::unique_ptr<PerfReader>> readers;
        for (u32 cpu = 0; cpu < cpus; ++cpu) {
            readers.push_back(
                std::make_unique<PerfReader>(PerfEventSetup{cpu, kSampleRaw, 1, false, true}));
            ASSERT_EQ(readers[cpu]->map(1), Errno{});
            EXPECT_EQ(Client::update(map, &cpu, &readers[cpu]->fd), 0);
        }
        const auto records = [&] {
            std::vector<test::PerfRecord> all;
            for (auto& reader : readers) {
                for (test::PerfRecord& record : reader->read()) all.push_back(std::move(record));
            }
            return all;
        };
        EXPECT_EQ(run(BPF_F_CURRENT_CPU), 0);
        auto got = records();
        ASSERT_EQ(got.size(), 1u);
        EXPECT_EQ(got[0].body.size(), 16u);
        EXPECT_EQ(got[0].body[4], 0x77);
        // With the first 20 bytes of the packet behind it.
        EXPECT_EQ(run(BPF_F_CURRENT_CPU | u64{20} << 32), 0);
        got = records();
        ASSERT_EQ(got.size(), 1u);
        ASSERT_EQ(got[0].body.size(), 32u);
        EXPECT_EQ(got[0].body[4], 0x77);
        EXPECT_EQ(std::memcmp(got[0].body.data() + 12, packet, 20), 0);
        EXPECT_EQ(run(BPF_F_CURRENT_CPU | u64{65} << 32), to_int(Errno::Fault));
        EXPECT_EQ(run(BPF_F_CURRENT_CPU | u64{1} << 52), to_int(Errno::Inval));
        EXPECT_EQ(records().size(), 0u);
    }
    // The slots keep their events, but nobody maps them any more.
    EXPECT_EQ(run(BPF_F_CURRENT_CPU), to_int(Errno::NoSpc));
    test::OurBpf::close(prog);
    Client::close(map);
}

TEST_F(PerfEventTest, SlotsTakeEventsAndNothingElse) {
    host::rcu_barrier();
    const auto before = machine::live_memory();
    {
        PerfReader reader;
        const int map = Client::create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2);
        const u32 key = 0, beyond = 2;
        u32 value = 0;
        EXPECT_EQ(Client::update(map, &key, &reader.fd), 0);
        EXPECT_EQ(Client::update(map, &key, &map), error(Errno::BadF));
        EXPECT_EQ(Client::update(map, &beyond, &reader.fd), error(Errno::TooBig));
        EXPECT_EQ(Client::lookup(map, &key, &value), error(Errno::NotSupp));
        EXPECT_EQ(Client::erase(map, &key), 0);
        EXPECT_EQ(Client::erase(map, &key), error(Errno::NoEnt));
        EXPECT_EQ(Client::update(map, &key, &reader.fd), 0);
        EXPECT_EQ(Client::lookup(reader.fd, &key, &value), error(Errno::Inval));
        Client::close(map);
    }
    for (u32 i = 0; i < 3; ++i) host::rcu_barrier();
    EXPECT_EQ(machine::live_memory().blocks, before.blocks);
}

TEST_F(PerfEventTest, SlotsAreEmptiedWithTheLastDescriptorUnlessPreserved) {
    PerfReader reader;
    const u32 key = 1;
    for (const u32 flags : {u32{0}, u32{BPF_F_PRESERVE_ELEMS}}) {
        const int fd = Client::create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 2, flags);
        ASSERT_EQ(Client::update(fd, &key, &reader.fd), 0);
        Map* map = map_get_by_fd(fd).value().map;  // as a program does that uses it
        Client::close(fd);
        {
            host::RcuReadGuard rcu;
            EXPECT_EQ(static_cast<FdArray*>(map)->get(key) != nullptr, flags != 0);
        }
        map_put(map);
    }
}

TEST_F(PerfEventTest, AnAllocationThatFailsLeavesNothingBehind) {
    host::rcu_barrier();
    const auto before = machine::live_memory();
    const u32 tried = inject::fail_each_allocation(
        [] {
            const auto made = perf_event_create({host::cpu_id(), kSampleRaw, 1, false, true});
            if (!made) return;
            PerfEvent* event = perf_event_get_by_fd(made.value()).release();
            const host::MmapRequest request = {0, 2 * host::kPageSize, true, true, false};
            if (event->file_ops->mmap(event, request).ok()) {
                event->file_ops->munmapped(event, request);
            }
            perf_event_put(event);
            test::OurBpf::close(made.value());
        },
        [&](u32) {
            for (u32 i = 0; i < 3; ++i) host::rcu_barrier();
            EXPECT_EQ(machine::live_memory().blocks, before.blocks);
        });
    EXPECT_GE(tried, 4u);
}

}  // namespace
}  // namespace barebpf
