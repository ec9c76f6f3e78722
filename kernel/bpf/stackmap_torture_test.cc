// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Torture for stack trace maps: whatever is read from one is a trace that somebody took, and none of its room is lost.
#include "kernel/bpf/stackmap.h"

#include "kernel/bpf/map_torture_test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using test::Random;

constexpr u32 kWords = 4;
constexpr u32 kWays = 8;
constexpr u32 kEntries = 4;  // fewer than ways: they meet

struct Trace {
    u64 words[kWords];
    bool operator==(const Trace& other) const {
        return __builtin_memcmp(words, other.words, sizeof words) == 0;
    }
};

struct Call {
    Map* map;
    u64 flags;
    s64 result;
};

// Frame pointers to the end, and no call that is a jump.
#define KEEP_FRAME(way) asm volatile("" : : "r"(__builtin_frame_address(0)), "i"(way) : "memory")

NOINLINE void take(Call* call) {
    KEEP_FRAME(2);
    const auto function = stack_helper_proto(BPF_FUNC_get_stackid)->function;
    call->result =
        static_cast<s64>(function(0, reinterpret_cast<u64>(call->map), call->flags, 0, 0));
    KEEP_FRAME(3);
}

// Each way of three steps is another trace.
template <u32 kWay>
NOINLINE void step(Call* call, u32 way, u32 left) {
    KEEP_FRAME(kWay);
    if (left == 0) {
        take(call);
    } else if (way & 1) {
        step<1>(call, way >> 1, left - 1);
    } else {
        step<0>(call, way >> 1, left - 1);
    }
    KEEP_FRAME(kWay);
}

class StackMapTorture : public test::MapTorture<> {
public:
    void work(Random& random, u32) {
        const InsideProgram inside;
        turn(random);
    }
    void interrupt(Random& random) { turn(random); }

protected:
    s64 take_trace(u32 way, u64 flags) {
        Call call{map_, flags, 0};
        step<0>(&call, way, 3);
        return call.result;
    }
    void turn(Random& random) {
        const u32 id = random.below(kEntries);
        switch (random.below(4)) {
            case 0:
                return read(id);
            case 1:
                verdict_.succeeded(map_->ops->erase(map_, &id), {Errno::NoEnt}, "erase");
                return;
            default: {
                const u64 flags[] = {0, BPF_F_FAST_STACK_CMP, BPF_F_REUSE_STACKID};
                const s64 taken = take_trace(random.below(kWays), flags[random.below(3)]);
                verdict_.expect(taken < kEntries, "an id that there is not");
                // Another trace is there; the free ones are on their way to others; nested too deep.
                verdict_.succeeded(taken < 0 ? taken : 0,
                                   {Errno::Exist, Errno::NoMem, Errno::Fault}, "take");
            }
        }
    }
    void read(u32 id) {
        Trace trace;
        const s64 result = map_->ops->copy_value(map_, &id, &trace, 0);
        if (!verdict_.succeeded(result, {Errno::NoEnt, Errno::Busy}, "read")) return;
        bool known = false;
        for (const Trace& one : known_) known |= one == trace;
        verdict_.expect(known, "a trace that nobody took");
        read_.fetch_add(1, Order::Relaxed);
    }

    Trace known_[kWays]{};
    Atomic<u32> read_{};
};

TEST_F(StackMapTorture, WhatIsReadWasTaken) {
    make(test::map_attr(BPF_MAP_TYPE_STACK_TRACE, 4, sizeof(Trace), kEntries));
    for (u32 way = 0; way < kWays; ++way) {
        const u32 id = static_cast<u32>(take_trace(way, 0));
        ASSERT_LT(id, kEntries);
        ASSERT_EQ(map_->ops->copy_value(map_, &id, &known_[way], 0), 0);
        ASSERT_EQ(map_->ops->erase(map_, &id), 0);
        for (u32 other = 0; other < way; ++other) {
            ASSERT_FALSE(known_[way] == known_[other]) << way << " " << other;
        }
    }
    test::torture(*this);
    EXPECT_GT(read_.load(Order::Relaxed), 0u);
    for (u32 id = 0; id < kEntries; ++id) map_->ops->erase(map_, &id);
    auto* stacks = static_cast<StackMap*>(map_);
    const auto link = [&](u32 index) -> Atomic<u32>& { return stacks->trace(index)->link; };
    bool seen[64] = {};
    u32 free = 0;
    while (const u32 index = stacks->free_traces.pop(link)) {
        ASSERT_LT(index, 64u);
        EXPECT_FALSE(seen[index]) << index;
        seen[index] = true;
        ++free;
    }
    EXPECT_EQ(free, kEntries);
}

}  // namespace
}  // namespace barebpf
