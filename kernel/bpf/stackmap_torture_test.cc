// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Torture for stack trace maps: whatever is read from one is a trace that somebody took, and none of its room is lost.
#include "kernel/bpf/map_torture_test.h"
#include "kernel/bpf/stackmap_test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using test::Random;
using test::TraceMap;

class StackMapTorture : public test::MapTorture<> {
public:
    void work(Random& random, u32) {
        const InsideProgram inside;
        turn(random);
    }
    void interrupt(Random& random) { turn(random); }

protected:
    void turn(Random& random) {
        const u32 id = random.below(TraceMap::kEntries);
        switch (random.below(4)) {
            case 0:
                return read(id);
            case 1:
                verdict_.succeeded(map_->ops->erase(map_, &id), {Errno::NoEnt}, "erase");
                return;
            default: {
                const u64 flags[] = {0, BPF_F_FAST_STACK_CMP, BPF_F_REUSE_STACKID};
                const s64 taken =
                    test::take_trace(map_, random.below(test::kTraceWays), flags[random.below(3)]);
                verdict_.expect(taken < TraceMap::kEntries, "an id that there is not");
                // Another trace is there; the free ones are on their way to others; nested too deep.
                verdict_.succeeded(taken < 0 ? taken : 0,
                                   {Errno::Exist, Errno::NoMem, Errno::Fault}, "take");
            }
        }
    }
    void read(u32 id) {
        test::TakenTrace trace;
        const s64 result = map_->ops->copy_value(map_, &id, &trace, 0);
        if (!verdict_.succeeded(result, {Errno::NoEnt, Errno::Busy}, "read")) return;
        verdict_.expect(traces_.knows(trace), "a trace that nobody took");
        read_.fetch_add(1, Order::Relaxed);
    }

    TraceMap traces_;
    Atomic<u32> read_{};
};

TEST_F(StackMapTorture, WhatIsReadWasTaken) {
    make(TraceMap::attr());
    traces_.learn(map_);
    test::torture(*this);
    EXPECT_GT(read_.load(Order::Relaxed), 0u);
    TraceMap::expect_all_free(map_);
}

}  // namespace
}  // namespace barebpf
