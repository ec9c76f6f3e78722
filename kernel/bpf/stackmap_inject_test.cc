// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// An NMI before each instruction of what is done with a stack trace map, which does the same things to the same buckets:
// what either reads is a trace that somebody took, and none of the map's room is lost.
#include "kernel/bpf/map_inject_test.h"
#include "kernel/bpf/stackmap_test.h"

namespace barebpf {
namespace {

using test::trace;
using test::TraceMap;

class StackMapInject : public test::WithMap<>, public test::Tally {
public:
    void SetUp() override {
        make(TraceMap::attr());
        traces_.learn(map_);
    }
    void read(u32 id) {
        test::TakenTrace found;
        const s64 result = map_->ops->copy_value(map_, &id, &found, 0);
        if (result == 0) count_done();
        count_bad(result == 0 ? !traces_.knows(found)
                              : result != -to_int(Errno::NoEnt) && result != -to_int(Errno::Busy));
    }
    // Without room only where all of it is in the hands of those who were interrupted.
    s64 take(u32 way) {
        const s64 id = test::take_trace(map_, way, BPF_F_REUSE_STACKID);
        count_bad(id >= TraceMap::kEntries || (id < 0 && id != -to_int(Errno::NoMem)));
        return id;
    }
    void erase(u32 id) { map_->ops->erase(map_, &id); }
    void interrupt() {
        const u32 turn = next_turn();
        take(turn % test::kTraceWays);
        for (u32 id = 0; id < TraceMap::kEntries; ++id) read(id);
        if (turn % 3 == 0) erase(turn % TraceMap::kEntries);
    }

    struct Attempt {
        StackMapInject* test;
        void (*run)(StackMapInject& test);
    };
    NOINLINE static void run_attempt(void* argument) {
        auto* attempt = static_cast<Attempt*>(argument);
        attempt->run(*attempt->test);
    }
    void with_nmi_at_each_instruction(void (*run)(StackMapInject& test)) {
        Attempt attempt{this, run};
        if (!trace.record(inject::Trace::Where::Everywhere, run_attempt, &attempt)) {
            GTEST_SKIP() << "no single steps here";
        }
        EXPECT_GT(trace.size(), 20u);
        inject::at_each_instruction(
            trace, host::cpu_id(), [&] { run_attempt(&attempt); }, [&] { interrupt(); });
        EXPECT_GT(turns(), 20u);
        EXPECT_GT(done(), 0u);
        EXPECT_EQ(bad(), 0u);
        TraceMap::expect_all_free(map_);
    }

    TraceMap traces_;
};

TEST_F(StackMapInject, AnNmiBeforeEachInstructionOfATrace) {
    with_nmi_at_each_instruction([](StackMapInject& test) { test.take(5); });
}

TEST_F(StackMapInject, AnNmiBeforeEachInstructionOfALookUp) {
    take(5);
    with_nmi_at_each_instruction([](StackMapInject& test) {
        for (u32 id = 0; id < TraceMap::kEntries; ++id) test.read(id);
    });
}

TEST_F(StackMapInject, AnNmiBeforeEachInstructionOfADelete) {
    with_nmi_at_each_instruction([](StackMapInject& test) {
        const s64 id = test.take(5);
        if (id >= 0) test.erase(static_cast<u32>(id));
    });
}

}  // namespace
}  // namespace barebpf
