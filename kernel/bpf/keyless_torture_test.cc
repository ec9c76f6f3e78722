// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Torture for maps without keys: what went into a queue or stack comes out once; what was put into a bloom filter is
// found.
#include "kernel/bpf/map_torture_test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using test::Random;
using test::Ticket;

class QueueTorture : public test::MapTorture<::testing::TestWithParam<u32>> {
public:
    static constexpr u32 kEntries = 32;

    void work(Random& random, u32) {
        const InsideProgram inside;
        turn(random);
    }
    void interrupt(Random& random) { turn(random); }

protected:
    void turn(Random& random) {
        switch (random.below(5)) {
            case 0:
            case 1:
                return push();
            case 2:
            case 3:
                return pop();
            default:
                return peek();
        }
    }
    void push() {
        const Ticket ticket = books_.issue();
        if (verdict_.succeeded(map_->ops->push(map_, &ticket, BPF_ANY), {Errno::TooBig}, "push")) {
            books_.went_in(ticket);
        }
    }
    void pop() {
        Ticket ticket{1, 1, 1};
        if (!verdict_.succeeded(map_->ops->pop(map_, &ticket), {Errno::NoEnt}, "pop")) {
            verdict_.expect((ticket.number | ticket.inverse | ticket.check) == 0, "not emptied");
            return;
        }
        verdict_.expect(ticket.is_sound(), "popped what nobody pushed");
        books_.came_out(ticket);
    }
    void peek() {
        Ticket ticket;
        if (verdict_.succeeded(map_->ops->peek(map_, &ticket), {Errno::NoEnt}, "peek")) {
            verdict_.expect(ticket.is_sound(), "peeked at what nobody pushed");
        }
    }

    test::Books books_;
};
INSTANTIATE_TEST_SUITE_P(Types, QueueTorture,
                         ::testing::Values(u32{BPF_MAP_TYPE_QUEUE}, u32{BPF_MAP_TYPE_STACK}),
                         [](const auto& made) {
                             return std::string(made.param == BPF_MAP_TYPE_QUEUE ? "Queue"
                                                                                 : "Stack");
                         });

TEST_P(QueueTorture, WhatGoesInComesOutOnce) {
    make(test::map_attr(GetParam(), 0, sizeof(Ticket), kEntries));
    test::torture(*this);
    Ticket ticket;
    for (u32 i = 0; i < kEntries; ++i) pop();
    EXPECT_EQ(map_->ops->pop(map_, &ticket), -to_int(Errno::NoEnt));
    books_.expect_balanced();
}

class BloomTorture : public test::MapTorture<> {
public:
    void work(Random& random, u32) {
        const InsideProgram inside;
        turn(random);
    }
    void interrupt(Random& random) { turn(random); }

protected:
    static constexpr u32 kMost = 1 << 14;

    void turn(Random& random) {
        // Each is pushed by one, and looked for by anybody once its push has returned.
        const u32 number = issued_.load(Order::Relaxed) >= kMost
                               ? random.below(kMost)
                               : issued_.fetch_add(1, Order::Relaxed);
        if (number < kMost && !pushed_[number].load(Order::Acquire)) {
            verdict_.expect(push(number) == 0, "no push");
            pushed_[number].store(1, Order::Release);  // pairs with the loads here
        }
        const u32 known = random.below(kMost);
        if (pushed_[known].load(Order::Acquire)) {
            verdict_.expect(peek(known) == 0, "what was pushed is not there");
        }
    }
    s64 push(u32 number) {
        const Ticket ticket = Ticket::of(number);
        return map_->ops->push(map_, &ticket, BPF_ANY);
    }
    s64 peek(u32 number) {
        Ticket ticket = Ticket::of(number);
        return map_->ops->peek(map_, &ticket);
    }

    Atomic<u32> issued_{};
    Atomic<u8> pushed_[kMost]{};
};

TEST_F(BloomTorture, WhatWasPushedIsFound) {
    bpf_attr attr = test::map_attr(BPF_MAP_TYPE_BLOOM_FILTER, 0, sizeof(Ticket), kMost / 4);
    attr.map_extra = 4;
    make(attr);
    test::torture(*this);
    u32 pushed = 0, lost = 0;
    for (u32 number = 0; number < kMost; ++number) {
        if (!pushed_[number].load(Order::Relaxed)) continue;
        ++pushed;
        lost += peek(number) != 0;
    }
    EXPECT_GT(pushed, 100u);
    EXPECT_EQ(lost, 0u);
}

}  // namespace
}  // namespace barebpf
