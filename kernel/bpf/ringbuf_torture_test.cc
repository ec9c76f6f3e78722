// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Many records of random sizes through a small ring: producers on several CPUs, interrupted by NMIs that produce as
// well, and a reader. Each record arrives once, whole, and in the order in which its writer reserved.
#include <cstring>
#include <optional>
#include <random>

#include "kernel/bpf/map_test.h"
#include "kernel/bpf/ringbuf_test.h"
#include "testkit/inject.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;

constexpr u32 kMostCpus = 8;
constexpr u32 kWriters = 2 * kMostCpus;  // one for each CPU, one for its NMIs
constexpr u32 kLargest = 200;

struct Record {
    u32 writer;
    u32 size;
    u64 number;
};

// The rest of a record repeats its number, byte by byte.
void fill(u8* data, u32 writer, u32 size, u64 number) {
    const Record record = {writer, size, number};
    std::memcpy(data, &record, sizeof record);
    std::memset(data + sizeof record, static_cast<u8>(number), size - sizeof record);
}

class Stream {
public:
    Stream(Map* map, u32 producers, u64 records)
        : map_(map), producers_(producers), left_(records) {}

    void produce(u32 cpu) {
        std::mt19937 random(static_cast<u32>(test::setting("seed", 5)) + cpu);
        Writer& writer = writers_[cpu];
        while (take_one()) {
            const u32 size = size_of(random());
            const bool discard = random() % 16 == 0;
            while (!write(writer, cpu, size, discard)) wait();
        }
        finished_.fetch_add(1, Order::Release);
    }
    void read() {
        for (;;) {
            // Before the look at the ring: what they wrote is seen after it.
            const bool last = finished_.load(Order::Acquire) == producers_;
            const u32 count =
                test::RingReader(map_).read([&](const u8* data, u32 size) { check(data, size); });
            if (last && count == 0) break;
            wait();
        }
        stopped_.store(1, Order::Release);
    }
    static void in_nmi(void* argument) {
        auto* self = static_cast<Stream*>(argument);
        if (self->stopped_.load(Order::Acquire)) return;
        const u32 cpu = host::cpu_id() % kMostCpus;
        Writer& writer = self->writers_[kMostCpus + cpu];
        const u64 number = writer.written.load(Order::Relaxed);
        self->write(writer, kMostCpus + cpu, size_of(static_cast<u32>(number * 2654435761u)),
                    number % 8 == 7);
    }
    void expect_all() {
        test::RingReader(map_).read([&](const u8* data, u32 size) { check(data, size); });
        for (u32 i = 0; i < kWriters; ++i) {
            EXPECT_EQ(writers_[i].read, writers_[i].written.load(Order::Relaxed)) << "writer " << i;
        }
        EXPECT_EQ(bad_, 0u);
    }
    u64 in_nmis() const {
        u64 sum = 0;
        for (u32 i = kMostCpus; i < kWriters; ++i) sum += writers_[i].read;
        return sum;
    }

private:
    struct alignas(64) Writer {
        Atomic<u64> written{};
        u64 read = 0;
    };

    static u32 size_of(u32 random) {
        return static_cast<u32>(sizeof(Record)) + random % (kLargest - sizeof(Record));
    }
    static void wait() {
        host::Cpu::yield_point();
        host::spin_hint();
    }
    bool take_one() {
        u64 left = left_.load(Order::Relaxed);
        while (left && !left_.compare_exchange(left, left - 1, Order::Relaxed, Order::Relaxed)) {
        }
        return left != 0;
    }
    bool write(Writer& writer, u32 id, u32 size, bool discard) {
        host::Cpu::Pin pin;
        host::RcuReadGuard rcu;
        auto* data = static_cast<u8*>(ringbuf_reserve(map_, size));
        if (!data) return false;
        const u64 number = writer.written.load(Order::Relaxed);
        fill(data, id, size, number);
        if (!discard) writer.written.store(number + 1, Order::Relaxed);
        ringbuf_commit(data, 0, discard);
        return true;
    }
    void check(const u8* data, u32 size) {
        Record record;
        std::memcpy(&record, data, sizeof record);
        if (size < sizeof record || record.size != size || record.writer >= kWriters) {
            ++bad_;
            return;
        }
        bool whole = record.number == writers_[record.writer].read++;
        for (u32 i = sizeof record; i < size; ++i) {
            whole = whole && data[i] == static_cast<u8>(record.number);
        }
        bad_ += !whole;
    }

    Map* map_;
    u32 producers_;
    Atomic<u64> left_;
    Atomic<u32> finished_{}, stopped_{};
    u64 bad_ = 0;
    Writer writers_[kWriters];
};

class RingbufTorture : public ::testing::Test {
protected:
    // More where somebody asks for more.
    static u64 records(u32 otherwise) { return test::setting("records", test::rounds(otherwise)); }
    // The NMIs that wrote something.
    static u64 run(u32 producers, u32 size, u64 records, bool nmis) {
        Map* map;
        {
            host::Cpu::Entry inside;
            map = test::make_map(test::map_attr(BPF_MAP_TYPE_RINGBUF, 0, 0, size));
        }
        auto* stream = new Stream(map, producers, records);
        {
            std::optional<inject::Storm> storm;
            if (nmis) {
                storm.emplace(inject::Storm::Options{.cpu_count = producers + 1}, Stream::in_nmi,
                              stream);
            }
            test::run_on_cpus(producers + 1, [&](u32 cpu) {
                if (cpu < producers) {
                    stream->produce(cpu);
                } else {
                    stream->read();
                }
            });
        }
        stream->expect_all();
        const u64 in_nmis = stream->in_nmis();
        delete stream;
        host::Cpu::Entry inside;
        test::drop_map(map);
        return in_nmis;
    }
};

TEST_F(RingbufTorture, EachRecordArrivesOnceWholeAndInOrder) {
    if (test::cpus() < 2) GTEST_SKIP();
    const u32 producers = test::cpus_up_to(5) - 1;
    run(producers, 2 * host::kPageSize, records(100'000), false);
}

TEST_F(RingbufTorture, SoItDoesUnderNmis) {
    if (test::cpus() < 2) GTEST_SKIP();
    const u32 producers = test::cpus_up_to(5) - 1;
    u64 in_nmis = 0;
    for (u32 i = 0; i < 20 && in_nmis < 20; ++i) {
        in_nmis += run(producers, 2 * host::kPageSize, records(40'000), true);
    }
    EXPECT_GE(in_nmis, 20u);
}

}  // namespace
}  // namespace barebpf
