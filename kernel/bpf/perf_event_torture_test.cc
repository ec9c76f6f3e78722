// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Torture for perf event arrays: writers on all CPUs, interrupted by writers, readers beside them. Every record arrives
// once and whole, or its writer was told that it did not, and the reader how many did not.
#include <memory>

#include "kernel/bpf/map_torture_test.h"
#include "kernel/bpf/perf_event_test.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using host::Atomic;
using host::Order;
using test::Random;
using test::Ticket;

class PerfEventTorture : public test::MapTorture<> {
public:
    void work(Random& random, u32) {
        if (random.one_in(64)) return read(random.below(host::possible_cpus()));
        if (random.one_in(256)) return replace(random.below(host::possible_cpus()));
        const InsideProgram inside;
        write(random);
    }
    void interrupt(Random& random) { write(random); }

protected:
    struct Ring {
        explicit Ring(u32 cpu) : reader({cpu, kSampleRaw, 1, false, true}) {}
        test::PerfReader reader;
        Atomic<u32> being_read{};
    };

    void write(Random& random) {
        const Ticket ticket = books_.issue();
        const u64 zeros[8] = {};  // records of several sizes
        const PerfPayload payload{&ticket, sizeof ticket, zeros, 8 * random.below(8)};
        const s64 result =
            perf_event_array_output(map_, static_cast<u32>(BPF_F_CURRENT_CPU), payload);
        if (result == 0) {
            books_.went_in(ticket);
        } else {
            verdict_.expect(result == -to_int(Errno::NoSpc), "write");
            refused_.fetch_add(1, Order::Relaxed);
        }
    }
    // One at a time for each ring, as a reader's process sees to.
    void read(u32 cpu) {
        Ring& ring = *rings_[cpu];
        if (ring.being_read.exchange(1, Order::Acquire)) return;
        read_all(ring);
        ring.being_read.store(0, Order::Release);  // pairs with the exchange
    }
    void read_all(Ring& ring) {
        ring.reader.each([&](u32 type, const u8* body, u32 size) {
            if (type == kRecordLost) {
                u64 lost;
                std::memcpy(&lost, body + 8, sizeof lost);
                reported_.fetch_add(lost, Order::Relaxed);
                return;
            }
            Ticket ticket;
            std::memcpy(&ticket, body + 4, sizeof ticket);
            bool sound = type == kRecordSample && size >= 4 + sizeof ticket && ticket.is_sound();
            for (u32 i = 4 + u32{sizeof ticket}; i < size; ++i) sound &= body[i] == 0;
            verdict_.expect(sound, "a record that nobody wrote");
            books_.came_out(ticket);
        });
    }
    // By the same event: its slot lets go of one reference and takes another while programs write to it.
    void replace(u32 cpu) {
        verdict_.expect(Client::update(map_fd_, &cpu, &rings_[cpu]->reader.fd) == 0, "replace");
    }

    int map_fd_ = -1;
    std::vector<std::unique_ptr<Ring>> rings_;
    test::Books books_;
    Atomic<u64> refused_{}, reported_{};
};

TEST_F(PerfEventTorture, EveryRecordArrivesOnceOrIsCountedLost) {
    const u32 cpus = host::possible_cpus();
    map_fd_ = Client::create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, cpus);
    ASSERT_GE(map_fd_, 0);
    map_ = test::map_of(map_fd_);
    for (u32 cpu = 0; cpu < cpus; ++cpu) {
        rings_.push_back(std::make_unique<Ring>(cpu));
        ASSERT_EQ(rings_[cpu]->reader.map(1), Errno{});
        replace(cpu);
    }
    test::torture(*this, {.turns = 3000});
    for (auto& ring : rings_) {
        read_all(*ring);
        EXPECT_EQ(ring->reader.ring->nest.load(Order::Relaxed), 0u);
        reported_.fetch_add(ring->reader.ring->lost.load(Order::Relaxed), Order::Relaxed);
    }
    books_.expect_balanced();
    EXPECT_EQ(reported_.load(Order::Relaxed), refused_.load(Order::Relaxed));
    map_ = nullptr;
    Client::close(map_fd_);
    rings_.clear();
}

}  // namespace
}  // namespace barebpf
