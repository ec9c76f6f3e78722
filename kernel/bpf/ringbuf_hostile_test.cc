// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Ring buffers whose other side does not keep to the protocol: positions moved anywhere while programs write, two readers
// at once, headers that change while they are looked at, a writer that is gone with a record open, descriptors and
// mappings that go in any order. Programs write and read nowhere but in the data, and none of it takes for ever.
#include <cstring>

#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/map_torture_test.h"
#include "kernel/bpf/ringbuf_test.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using host::Atomic;
using host::Order;
using test::Random;
using test::ring_of;
using test::Verdict;

constexpr u32 kPage = static_cast<u32>(host::kPageSize);

// What both sides use at once is used in words.
Atomic<u64>& word_at(u8* at) {
    return host::atomic_at<u64>(at);
}

void take_a_breath() {
    host::Cpu::yield_point();
    host::spin_hint();
}

// A position that somebody might store on purpose: anything, or something near the truth.
u64 wild_position(Random& random, u64 produced) {
    const u64 near = random.below(4 * kPage);
    switch (random.below(8)) {
        case 0:
            return random.next();
        case 1:
            return ~u64{0} - random.below(64);
        case 2:
            return 0;
        case 3:
            return produced - near;  // backwards, not always to a multiple of 8
        case 4:
            return produced + near;
        case 5:
            return (u64{1} << 63) + near;
        default:
            return produced;
    }
}

class RingbufHostile : public test::WithMap<> {
protected:
    void make() { WithMap::make(test::map_attr(BPF_MAP_TYPE_RINGBUF, 0, 0, kPage)); }

    // One record: it is in the data, and stays its writer's until it is committed, which may be after many others.
    template <class Hostile>
    void write(Random& random, u64 mark, Hostile hostility, bool inner = false) {
        const u32 size = 8 + 8 * random.below(random.one_in(4) ? kPage / 8 - 2 : 20);
        host::Cpu::Pin pin;
        host::RcuReadGuard rcu;
        Ring* ring = ring_of(map_);
        auto* sample = static_cast<u8*>(ringbuf_reserve(map_, size));
        if (!sample) return;
        written_.fetch_add(size + kRingHeaderSize, Order::Relaxed);
        verdict_.expect(sample >= ring->data() + kRingHeaderSize &&
                            sample <= ring->data() + ring->size() &&
                            sample + size <= ring->data() + 2 * ring->size(),
                        "a record outside the data");
        for (u32 i = 0; i < size; i += 8) word_at(sample + i).store(mark, Order::Relaxed);
        for (u32 i = 0; !inner && mark % 64 == 0 && i < 200; ++i) {
            hostility(random);
            write(random, ~mark, hostility, true);
        }
        for (u32 i = 0; i < size; i += 8) {
            verdict_.expect(word_at(sample + i).load(Order::Relaxed) == mark,
                            "a record given to two");
        }
        ringbuf_commit(sample, random.below(4), random.one_in(4));
    }
    // CPUs from `hostile` on do what they want until those before have written; these do so now and then as well, so that
    // it happens however the CPUs share a processor.
    template <class Hostile>
    void run(u32 hostile, u32 cpus, Hostile hostility) {
        const u32 turns = test::rounds(20'000);
        Atomic<u32> done{};
        test::run_on_cpus(cpus, [&](u32 cpu) {
            Random random(test::setting("seed", 3) + cpu);
            if (cpu < hostile) {
                for (u32 i = 0; i < turns; ++i) {
                    write(random, u64{cpu} << 32 | i, hostility);
                    if (random.one_in(4)) hostility(random);
                    ringbuf_query(map_, BPF_RB_AVAIL_DATA);
                    if (i % 16 == 0) take_a_breath();
                }
                done.fetch_add(1, Order::Release);
                return;
            }
            // The acquire pairs with the release above.
            while (done.load(Order::Acquire) < hostile) {
                hostility(random);
                map_->ops->poll(map_);
                take_a_breath();
            }
        });
        verdict_.report();
        Ring* ring = ring_of(map_);
        EXPECT_EQ(ring->producer_position().load(Order::Relaxed), written_.load(Order::Relaxed));
        EXPECT_EQ(ring->mask, kPage - 1);
        EXPECT_TRUE(ring->map == map_);
        expect_usable();
    }
    // To a reader who starts again where the writers are.
    void expect_usable() {
        Ring* ring = ring_of(map_);
        ring->consumer_position().store(ring->producer_position().load(Order::Relaxed),
                                        Order::Relaxed);
        for (u32 i = 0; i < 1000; ++i) {
            ASSERT_EQ(ringbuf_output(map_, &i, sizeof i, 0), 0);
            u32 got = ~u32{0};
            ASSERT_EQ(test::RingReader(map_).read(
                          [&](const u8* data, u32) { std::memcpy(&got, data, sizeof got); }),
                      1u);
            ASSERT_EQ(got, i);
        }
    }

    Verdict verdict_;
    Atomic<u64> written_{};
};

TEST_F(RingbufHostile, AReaderMovesItsPositionAnywhereWhileProgramsWrite) {
    NEEDS_CPUS(2);
    make();
    const u32 cpus = test::cpus_up_to(4);
    run(cpus - 1, cpus, [&](Random& random) {
        Ring* ring = ring_of(map_);
        const u64 produced = ring->producer_position().load(Order::Relaxed);
        ring->consumer_position().store(wild_position(random, produced), Order::Release);
    });
    EXPECT_GT(written_.load(Order::Relaxed), 4 * kPage);
}

// Each moves the position that the other relies on: what they see may be anything. Writers do not care.
TEST_F(RingbufHostile, TwoReadersAtOnce) {
    NEEDS_CPUS(3);
    make();
    const u32 cpus = test::cpus_up_to(4);
    run(cpus - 2, cpus, [&](Random&) {
        const u32 seen = test::RingReader(map_).read([](const u8*, u32) {}, 100);
        // What it took for a length may have led it anywhere, and what it takes for a header may be busy for ever.
        Ring* ring = ring_of(map_);
        const u64 produced = ring->producer_position().load(Order::Relaxed);
        if (seen == 0 || ring->consumer_position().load(Order::Relaxed) > produced)
            ring->consumer_position().store(produced, Order::Release);
    });
    EXPECT_GT(written_.load(Order::Relaxed), 4 * kPage);
}

// Whoever wrote it is not coming back: what is before it can be read, what is behind waits for ever; the map goes
// like any other.
TEST_F(RingbufHostile, AWriterThatIsGoneHoldsBackOnlyWhatFollows) {
    NEEDS_CPUS(2);
    const machine::LiveMemory before = machine::live_memory();
    make();
    const u64 value = 1;
    EXPECT_EQ(ringbuf_output(map_, &value, 8, 0), 0);
    test::run_on_cpus(2, [&](u32 cpu) {
        if (cpu == 1) verdict_.expect(ringbuf_reserve(map_, 100) != nullptr, "no room");
    });
    u32 behind = 0;
    while (ringbuf_output(map_, &value, 8, 0) == 0) ++behind;
    EXPECT_EQ(behind, (kPage - 1 - 16 - 112) / 16);
    const auto read = [&] { return test::RingReader(map_).read([](const u8*, u32) {}); };
    EXPECT_EQ(read(), 1u);
    EXPECT_EQ(read(), 0u);
    EXPECT_NE(map_->ops->poll(map_), 0u);
    // One that was read makes room for one.
    EXPECT_EQ(ringbuf_output(map_, &value, 8, 0), 0);
    EXPECT_EQ(ringbuf_output(map_, &value, 8, 0), -to_int(Errno::Again));
    EXPECT_EQ(read(), 0u);
    verdict_.report();
    drop();
    EXPECT_EQ(machine::live_memory().blocks, before.blocks);
}

// ── Descriptors and mappings ──────────────────────────────────────────────────────────────────

// A program holds the ring, the descriptor and two mappings of it go, in each order, while the program writes.
TEST(RingbufClose, ThePagesAreThereForWhoeverIsLeft) {
    host::Cpu::Entry inside;
    const machine::LiveMemory before = machine::live_memory();
    constexpr u32 kOrders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {1, 0, 3, 2}, {2, 3, 0, 1}};
    for (const auto& order : kOrders) {
        const int fd = Client::create(BPF_MAP_TYPE_RINGBUF, 0, 0, kPage);
        ASSERT_GE(fd, 0);
        Map* map = test::map_of(fd);
        const host::MmapRequest consumer{0, kPage, true, true, false};
        const host::MmapRequest producer{kPage, 3 * kPage, false, true, false};
        ASSERT_TRUE(map->file_ops->mmap(map, consumer).ok());
        ASSERT_TRUE(map->file_ops->mmap(map, producer).ok());
        map_get(map);  // as a program does
        for (u32 i = 0; i < 4; ++i) {
            EXPECT_EQ(ringbuf_output(map, &i, sizeof i, 0), 0);
            EXPECT_EQ(test::RingReader(map).read([](const u8*, u32) {}), 1u);
            if (order[i] == 0) test::drop_map(map);
            if (order[i] == 1) Client::close(fd);
            if (order[i] == 2) map->file_ops->munmapped(map, consumer);
            if (order[i] == 3) map->file_ops->munmapped(map, producer);
            test::settle();
        }
        EXPECT_EQ(machine::live_memory().blocks, before.blocks);
    }
}

// The descriptor is closed while programs on other CPUs are at it.
TEST(RingbufClose, WhileProgramsWrite) {
    NEEDS_CPUS(2);
    const u32 cpus = test::cpus_up_to(4);
    for (u32 round = 0; round < test::rounds(20); ++round) {
        int fd;
        Map* map;
        {
            host::Cpu::Entry inside;
            fd = Client::create(BPF_MAP_TYPE_RINGBUF, 0, 0, kPage);
            ASSERT_GE(fd, 0);
            map = test::map_of(fd);
            for (u32 i = 1; i < cpus; ++i) map_get(map);
        }
        Atomic<u32> writing{};
        test::run_on_cpus(cpus, [&](u32 cpu) {
            if (cpu == 0) {
                while (writing.load(Order::Acquire) < cpus - 1) take_a_breath();
                machine::close_fd(fd);
                return;
            }
            for (u32 i = 0; i < 100; ++i) {
                host::Cpu::Pin pin;
                host::RcuReadGuard rcu;
                ringbuf_output(map, &i, sizeof i, i % 3);
                if (i == 10) writing.fetch_add(1, Order::Release);
            }
            map_put(map);
        });
        test::settle();
    }
}

// The same with programs that hold no reference: they found it where nobody finds it any more when its last one is put,
// as in a map of maps, and are still at it.
TEST(RingbufClose, WhileProgramsWriteThatHaveFoundIt) {
    NEEDS_CPUS(2);
    const u32 cpus = test::cpus_up_to(4);
    for (u32 round = 0; round < test::rounds(20); ++round) {
        Atomic<Map*> found{};
        {
            host::Cpu::Entry inside;
            Map* map = test::make_map(test::map_attr(BPF_MAP_TYPE_RINGBUF, 0, 0, kPage));
            ASSERT_NE(map, nullptr);
            found.store(map, Order::Release);
        }
        Atomic<u32> writing{};
        test::run_on_cpus(cpus, [&](u32 cpu) {
            if (cpu == 0) {
                while (writing.load(Order::Acquire) < cpus - 1) take_a_breath();
                map_put(found.exchange(nullptr, Order::AcqRel));
                return;
            }
            host::Cpu::Pin pin;
            host::RcuReadGuard rcu;
            Map* map = found.load(Order::Acquire);
            writing.fetch_add(1, Order::Release);
            // Some while it goes, and some after that.
            for (u32 left = 2'000; left; left -= found.load(Order::Relaxed) == nullptr) {
                ringbuf_output(map, &left, sizeof left, left % 3);
            }
        });
        test::settle();
    }
}

// ── The user ring buffer ──────────────────────────────────────────────────────────────────────

class UserRingbufHostile : public test::WithMap<> {
protected:
    // As a program that drains: every sample is in the data, and positions move by what the sample was.
    void drain(Random& random) {
        host::Cpu::Pin pin;
        host::RcuReadGuard rcu;
        Ring* ring = ring_of(map_);
        if (user_ringbuf_begin(map_)) return;
        for (u32 i = 0; i < 200; ++i) {
            const u64 consumed = ring->consumer_position().load(Order::Relaxed);
            UserSample sample;
            const s64 result = user_ringbuf_next(map_, &sample);
            if (result == -to_int(Errno::Again)) continue;
            if (result) {
                verdict_.expect(result == -to_int(Errno::NoData) ||
                                    result == -to_int(Errno::Inval) ||
                                    result == -to_int(Errno::TooBig),
                                "an error that is not known");
                if (result != -to_int(Errno::NoData)) refused_.fetch_add(1, Order::Relaxed);
                break;
            }
            auto* data = static_cast<u8*>(sample.data);
            verdict_.expect(data == ring->data() + (consumed & ring->mask) + kRingHeaderSize,
                            "a sample elsewhere");
            verdict_.expect(u64{sample.size} + kRingHeaderSize <= ring->size(),
                            "a sample beyond the data");
            user_ringbuf_release(map_, sample);
            verdict_.expect(ring->consumer_position().load(Order::Relaxed) ==
                                consumed + ((sample.size + kRingHeaderSize + 7) & ~u64{7}),
                            "a position that is not the sample's");
            taken_.fetch_add(1, Order::Relaxed);
        }
        user_ringbuf_end(map_, random.below(4), true);
    }
    // At the very record that is next, or behind it.
    void scribble(Random& random) {
        Ring* ring = ring_of(map_);
        const u64 consumed = ring->consumer_position().load(Order::Relaxed);
        const u64 at = consumed + (random.one_in(2) ? 0 : 8 * random.below(64));
        word_at(ring->data() + (at & ring->mask)).store(wild_header(random), Order::Release);
        const u64 position = random.one_in(8) ? wild_position(random, consumed)
                                              : consumed + 8 * random.below(kPage / 4);
        ring->producer_position().store(position, Order::Release);
    }
    static u64 wild_header(Random& random) {
        static constexpr u32 kSizes[] = {0,         8,         kPage - 16,     kPage - 8,
                                         kPage - 7, kPage * 2, kRingBusy >> 2, 0x3fff'ffff};
        const u32 size = random.one_in(2) ? 8 * random.below(20) : kSizes[random.below(8)];
        const u32 bits = random.one_in(4) ? kRingBusy : random.one_in(4) ? kRingDiscarded : 0;
        return size | bits;
    }

    Verdict verdict_;
    Atomic<u64> taken_{}, refused_{};
};

// Headers and the producer's position change between any two of the program's looks at them.
TEST_F(UserRingbufHostile, HeadersChangeWhileTheyAreLookedAt) {
    NEEDS_CPUS(2);
    make(test::map_attr(BPF_MAP_TYPE_USER_RINGBUF, 0, 0, kPage));
    test::run_on_cpus(test::cpus_up_to(3), [&](u32 cpu) {
        Random random(test::setting("seed", 4) + cpu);
        for (u32 i = 0; i < test::rounds(40'000); ++i) {
            scribble(random);
            if (random.one_in(2)) drain(random);
            if (i % 16 == 0) take_a_breath();
        }
    });
    EXPECT_GT(taken_.load(Order::Relaxed), 50u);
    EXPECT_GT(refused_.load(Order::Relaxed), 20u);
    verdict_.report();
    EXPECT_EQ(ring_of(map_)->mask, kPage - 1);
    EXPECT_EQ(user_ringbuf_begin(map_), 0);
    user_ringbuf_end(map_, 0, false);
}

}  // namespace
}  // namespace barebpf
