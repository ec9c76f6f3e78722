// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Scenarios for the ring buffers: the protocol of ringbuf.h between producers, a reader that sleeps, and a reader or
// writer that does not keep to it.
#pragma once

#include "kernel/bpf/ringbuf_test.h"
#include "testkit/explore/more_scenarios.h"

namespace barebpf::explore {

// Records that say whose they are, the how many-th, and whether they are whole: the same word first and last.
template <u32 kBytes>
struct MarkedRecords {
    static constexpr u32 kFirstNmi = 8;  // writers behind CPUs
    static constexpr u32 kWriters = 16;
    u32 last_read[kWriters] = {};
    u32 read = 0;

    static host::Atomic<u64>& word(u8* data, u32 offset) {
        return host::atomic_at<u64>(data + offset);
    }
    static void fill(u8* data, u32 writer, u32 number) {
        const u64 mark = u64{writer} << 32 | number;
        word(data, 0).store(mark, Order::Relaxed);
        if (kBytes > 8) word(data, kBytes - 8).store(mark, Order::Relaxed);
    }
    static bool is_filled(u8* data, u32 writer, u32 number) {
        const u64 mark = u64{writer} << 32 | number;
        return word(data, 0).load(Order::Relaxed) == mark &&
               word(data, kBytes - 8).load(Order::Relaxed) == mark;
    }
    void take(const u8* record, u32 size) {
        u8* data = const_cast<u8*>(record);
        check(size == kBytes, "a length that nobody reserved");
        const u64 mark = word(data, 0).load(Order::Relaxed);
        const u32 writer = static_cast<u32>(mark >> 32), number = static_cast<u32>(mark);
        check(writer < kWriters && number, "a record that is not written");
        check(is_filled(data, writer, number), "a record that is half written");
        check(number > last_read[writer], "out of order, or twice");
        last_read[writer] = number;
        ++read;
    }
};

// Producers and a reader who sleeps when poll() says that there is nothing. The ring never fills, so every record
// must reach the reader: if a wake-up is lost, nobody goes on.
template <u32 kProducers, u32 kRecords, bool kDiscard>
struct RingWakeups : Scenario {
    using Records = MarkedRecords<8>;
    Map* map = nullptr;
    Records records;
    u32 discarded = 0;
    u32 in_nmis[kMaxCpus] = {};
    host::Atomic<u32> expected{kProducers * kRecords};

    void setup() override { map = make_map(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0); }
    bool write(u32 writer, u32 number, bool discard) {
        auto* data = static_cast<u8*>(ringbuf_reserve(map, 8));
        if (!data) return false;
        if (host::in_nmi()) expected.fetch_add(1, Order::Relaxed);
        Records::fill(data, writer, number);
        ringbuf_commit(data, 0, discard);
        return true;
    }
    // Bytes consumed say how many records that was, discarded ones too.
    u32 consumed() {
        return static_cast<u32>(test::ring_of(map)->consumer_position().load(Order::Relaxed) / 16);
    }
    void read() {
        test::RingReader(map).read([&](const u8* data, u32 size) { records.take(data, size); });
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number < kProducers) {
            for (u32 i = 1; i <= kRecords; ++i) {
                check(write(number, i, kDiscard && i == 1), "no room");
            }
            return;
        }
        const host::WaitQueue& queue = *map->ops->wait_queue(map);
        while (consumed() < expected.load(Order::Relaxed)) {
            const u64 ticket = wake_ticket(queue);
            read();
            if (consumed() >= expected.load(Order::Relaxed)) break;
            if (map->ops->poll(map)) {
                host::spin_hint();
            } else {
                sleep_on(queue, ticket);
            }
        }
    }
    void nmi(u32 number) override { write(Records::kFirstNmi + number, ++in_nmis[number], false); }
    void finish() override {
        read();
        check(consumed() == expected.load(Order::Relaxed), "a record is lost");
        const u32 submitted = expected.load(Order::Relaxed) - (kDiscard ? kProducers : 0);
        check(records.read == submitted, "a discarded record is seen, or another is not");
        map->ops->free(map);
    }
};

// A ring that holds two records: who finds no room goes on without.
struct RingBounded : Scenario {
    static constexpr u32 kBytes = 1896;
    using Records = MarkedRecords<kBytes>;
    Map* map = nullptr;
    Records records;
    u32 in_nmis[kMaxCpus] = {};
    host::Atomic<u32> written;

    void setup() override { map = make_map(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0); }
    void write(u32 writer, u32 number) {
        auto* data = static_cast<u8*>(ringbuf_reserve(map, kBytes));
        if (!data) return;
        Records::fill(data, writer, number);
        check(Records::is_filled(data, writer, number), "a place is given to two");
        written.fetch_add(1, Order::Relaxed);
        ringbuf_commit(data, 0, false);
    }
    void read() {
        test::RingReader(map).read([&](const u8* data, u32 size) { records.take(data, size); });
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        for (u32 i = 1; i <= 3; ++i) {
            if (number < 2) {
                write(number, i);
            } else {
                read();
            }
        }
    }
    void nmi(u32 number) override { write(Records::kFirstNmi + number, ++in_nmis[number]); }
    void finish() override {
        read();
        check(records.read == written.load(Order::Relaxed), "a record is lost");
        map->ops->free(map);
    }
};

// A reader that moves its position over what is being written: the writer's memory stays its own.
struct RingOverrun : Scenario {
    static constexpr u32 kBytes = 2040;  // the third has the place of the first
    using Records = MarkedRecords<kBytes>;
    Map* map = nullptr;

    void setup() override { map = make_map(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0); }
    void write(u32 writer, u32 number) {
        auto* data = static_cast<u8*>(ringbuf_reserve(map, kBytes));
        if (!data) return;
        Records::fill(data, writer, number);
        check(Records::is_filled(data, writer, number), "a place is given to two");
        ringbuf_commit(data, 0, false);
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        Ring* ring = test::ring_of(map);
        for (u32 i = 1; i <= 3; ++i) {
            if (number) {
                const u64 produced = ring->producer_position().load(Order::Relaxed);
                ring->consumer_position().store(produced, Order::Relaxed);
            }
            write(number, i);
        }
    }
    void finish() override { map->ops->free(map); }
};

// A writer in user space, and programs that drain: one at a time.
struct UserRingDrain : Scenario {
    static constexpr u32 kSamples = 4;
    using Records = MarkedRecords<8>;
    Map* map = nullptr;
    Records records;

    void setup() override { map = make_map(BPF_MAP_TYPE_USER_RINGBUF, 0, 0, 4096, 0); }
    void drain() {
        const s64 begun = user_ringbuf_begin(map);
        check(begun == 0 || begun == -to_int(Errno::Busy), "draining failed");
        if (begun) return;
        UserSample sample;
        for (;;) {
            const s64 result = user_ringbuf_next(map, &sample);
            if (result == -to_int(Errno::Again)) continue;
            if (result) {
                check(result == -to_int(Errno::NoData), "a good ring is refused");
                break;
            }
            records.take(static_cast<u8*>(sample.data), sample.size);
            user_ringbuf_release(map, sample);
        }
        user_ringbuf_end(map, 0, true);
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        test::RingWriter writer(map);
        for (u32 i = 1; i <= kSamples; ++i) {
            if (number) {
                drain();
                continue;
            }
            u8* data = writer.reserve(8);
            check(data, "no room");
            Records::fill(data, 0, i);
            test::RingWriter::commit(data, i == 2);
        }
    }
    void nmi(u32) override { drain(); }
    void finish() override {
        drain();
        check(records.read == kSamples - 1, "a sample is lost, or a discarded one is seen");
        map->ops->free(map);
    }
};

// A writer that changes headers and its position under the program's hands: what the program gets was the writer's to
// give, and its own position goes no further.
struct UserRingHostile : Scenario {
    static constexpr u32 kBytes = 4096;
    Map* map = nullptr;
    u64 reached = 0;  // the furthest that the writer has ever said

    void setup() override { map = make_map(BPF_MAP_TYPE_USER_RINGBUF, 0, 0, kBytes, 0); }
    void say(u64 position) {
        if (position > reached) reached = position;
        test::ring_of(map)->producer_position().store(position, Order::Relaxed);
    }
    void set_header(u32 word) {
        host::atomic_at<u32>(test::ring_of(map)->data()).store(word, Order::Relaxed);
    }
    void attack() {
        set_header(8);
        say(32);
        set_header(24 | kRingDiscarded);
        set_header(kBytes);
        say(16);
        set_header(24 | kRingBusy);
        set_header(~(kRingBusy | kRingDiscarded));
        say(8);
        set_header(24);
        say(32);
    }
    void look_at(const UserSample& sample, u64 position) {
        const u64 record = align_up(u64{sample.size} + kRingHeaderSize, 8);
        check(position + record <= reached, "a sample beyond what was written");
        const auto* data = static_cast<u8*>(sample.data);
        check(data == test::ring_of(map)->data() + position % kBytes + kRingHeaderSize,
              "a sample somewhere else");
    }
    void drain() {
        host::Atomic<u64>& consumer = test::ring_of(map)->consumer_position();
        check(user_ringbuf_begin(map) == 0, "draining failed");
        for (u32 i = 0; i < 3; ++i) {
            const u64 before = consumer.load(Order::Relaxed);
            UserSample sample;
            if (user_ringbuf_next(map, &sample) == 0) {
                look_at(sample, before);
                user_ringbuf_release(map, sample);
            }
            const u64 after = consumer.load(Order::Relaxed);
            check(after >= before && after % 8 == 0 && after <= reached, "a wild position");
        }
        user_ringbuf_end(map, 0, true);
    }
    void cpu(u32 number) override {
        host::Cpu::Pin pin;
        host::RcuReadGuard guard;
        if (number) {
            drain();
        } else {
            attack();
        }
    }
    void finish() override { map->ops->free(map); }
};

}  // namespace barebpf::explore
