// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose into queues, stacks and bloom filters: an NMI before each instruction of an operation pushes and pops
// too; a CPU stops inside an operation while others, and what interrupts them, go on.
#include "kernel/bpf/bloom_filter.h"
#include "kernel/bpf/map_inject_test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using test::trace;

// A queue or stack of numbers, each of which goes in once. After an operation: how many it holds more than before.
class Subject : public test::Tally {
public:
    static constexpr u32 kMost = 1 << 15;

    void make(u32 type) {
        map = test::make_map(test::map_attr(type, 0, sizeof(u64), 16));
        ASSERT_NE(map, nullptr);
        for (Atomic<u8>& one : states) one.store(kNew, Order::Relaxed);
    }
    s64 push() {
        const u64 number = next_.fetch_add(1, Order::Relaxed);
        if (number >= kMost) return -to_int(Errno::Fault);
        states[number].store(kIn, Order::Relaxed);  // from here on another may have it
        const s64 result = map->ops->push(map, &number, BPF_ANY);
        if (result) states[number].store(kNew, Order::Relaxed);
        return result;
    }
    s64 pop() {
        u64 number = kMost;
        const s64 result = map->ops->pop(map, &number);
        if (result == 0) {
            count_bad(number >= kMost || states[number].exchange(kOut, Order::Relaxed) != u8{kIn});
        } else {
            count_bad(number != 0);
        }
        return result;
    }
    s64 peek() {
        u64 number = kMost;
        const s64 result = map->ops->peek(map, &number);
        count_bad(result ? number != 0 : number >= kMost);
        return result;
    }
    // The NMI's: in turn.
    void interrupt() {
        static constexpr s64 kEmpty = -to_int(Errno::NoEnt), kFull = -to_int(Errno::TooBig);
        switch (next_turn() % 4) {
            case 0:
            case 1:
                may_be_refused(push(), kFull);
                return;
            case 2:
                may_be_refused(pop(), kEmpty);
                return;
            default:
                may_be_refused(peek(), kEmpty);
        }
    }
    // What went in comes out; then the map is empty.
    void expect_all_out() {
        while (pop() == 0) continue;
        u32 lost = 0;
        for (Atomic<u8>& one : states) lost += one.load(Order::Relaxed) == kIn;
        EXPECT_EQ(lost, 0u);
        EXPECT_EQ(bad(), 0u);
    }
    void fill(u32 count) {
        while (pop() == 0) continue;
        for (u32 i = 0; i < count; ++i) push();
    }

    Map* map = nullptr;

private:
    enum State : u8 { kNew, kIn, kOut };
    static inline Atomic<u8> states[kMost];
    Atomic<u64> next_{};
};

using Operation = test::Operation<Subject, u32>;  // after: nothing

const Operation kOperations[] = {
    {"push", [](Subject& s) { s.fill(4); }, [](Subject& s) { return s.push(); }, 0},
    {"pop", [](Subject& s) { s.fill(4); }, [](Subject& s) { return s.pop(); }, 0},
    {"peek", [](Subject& s) { s.fill(4); }, [](Subject& s) { return s.peek(); }, 0},
};

class KeylessInject : public ::testing::Test {
protected:
    // For both types and each operation, which is recorded; until one is not.
    template <class Run>
    void each(Run run) {
        for (const u32 type : {u32{BPF_MAP_TYPE_QUEUE}, u32{BPF_MAP_TYPE_STACK}}) {
            for (const Operation& operation : kOperations) {
                Subject subject;
                subject.make(type);
                if (test::record(subject, operation)) {
                    run(subject, operation);
                    subject.expect_all_out();
                } else {
                    skipped_ = true;
                }
                test::drop_map(subject.map);
            }
        }
    }
    host::Cpu::Entry inside_;
    bool skipped_ = false;
};

TEST_F(KeylessInject, AnNmiBeforeEachInstruction) {
    each([](Subject& subject, const Operation& operation) {
        u32 failed = 0;
        for (u32 turn = 0; turn < 4; ++turn) {  // each instruction meets each kind of interrupt
            subject.interrupt();
            inject::at_each_instruction(
                trace, host::cpu_id(),
                [&] {
                    operation.prepare(subject);
                    failed += test::attempt(subject, operation) != 0;
                },
                [&] { subject.interrupt(); });
        }
        EXPECT_EQ(failed, 0u) << operation.name;
        EXPECT_GT(subject.done(), subject.turns() / 8) << operation.name;
        EXPECT_LT(subject.done(), subject.turns()) << operation.name;  // the lock was held
    });
    if (skipped_) GTEST_SKIP() << "no single steps here";
}

TEST_F(KeylessInject, OthersGoOnWhileACpuStandsStill) {
    NEEDS_CPUS(2);
    each([](Subject& subject, const Operation& operation) {
        Atomic<u32> wrong{};
        u32 stood = 0;
        for (u32 i = 0; i < trace.size(); i += 7) {
            operation.prepare(subject);
            stood += test::while_one_stands_still(
                trace[i], test::cpus_up_to(3),
                [&] {
                    if (test::attempt(subject, operation)) wrong.fetch_add(1, Order::Relaxed);
                },
                [&](u32 cpu) {
                    // One waits for the lock if it must, and gets it; an NMI does not wait for ever.
                    if (cpu == 2 && subject.push()) wrong.fetch_add(1, Order::Relaxed);
                    if (cpu == 2) return;
                    machine::send_nmi(
                        host::cpu_id(),
                        [](void* argument) { static_cast<Subject*>(argument)->interrupt(); },
                        &subject);
                });
        }
        EXPECT_EQ(wrong.load(Order::Relaxed), 0u) << operation.name;
        EXPECT_GT(stood, 0u) << operation.name;
    });
    if (skipped_) GTEST_SKIP() << "no single steps here";
}

// ── Bloom filters ─────────────────────────────────────────────────────────────────────────────

// A filter of one word, so that the NMI's bits are in the word that the interrupted push changes; and empty before each
// push, so that hardly any bit of the one is a bit of the other.
class BloomRun {
public:
    ~BloomRun() { test::drop_map(map_); }
    bool make() {
        map_ = test::make_map(test::map_attr(BPF_MAP_TYPE_BLOOM_FILTER, 0, sizeof(u64), 1));
        return map_ && static_cast<BloomFilter*>(map_)->mask == 63;
    }
    void prepare() {
        static_cast<BloomFilter*>(map_)->words[0].store(0, Order::Relaxed);
        of_nmi_ = 0;
        ++number_;
    }
    s64 push() { return map_->ops->push(map_, &number_, BPF_ANY); }
    void interrupt() {
        of_nmi_ = number_ << 32;
        bad_ += map_->ops->push(map_, &of_nmi_, BPF_ANY) != 0;
        bad_ += !has(of_nmi_);
        ++interrupts_;
    }
    void expect_both() {
        bad_ += !has(number_);
        bad_ += of_nmi_ && !has(of_nmi_);
    }
    u32 bad() const { return bad_; }
    u32 interrupts() const { return interrupts_; }

private:
    bool has(u64 number) { return map_->ops->peek(map_, &number) == 0; }

    Map* map_ = nullptr;
    u64 number_ = 0, of_nmi_ = 0;  // 0: none came
    u32 bad_ = 0, interrupts_ = 0;
};

NOINLINE void push_bloom(void* argument) {
    static_cast<BloomRun*>(argument)->push();
}

TEST(BloomInject, AnNmiBeforeEachInstruction) {
    host::Cpu::Entry inside;
    BloomRun run;
    ASSERT_TRUE(run.make());
    run.prepare();
    if (!trace.record(inject::Trace::Where::Everywhere, push_bloom, &run)) {
        GTEST_SKIP() << "no single steps here";
    }
    for (u32 turn = 0; turn < 4; ++turn) {
        inject::at_each_instruction(
            trace, host::cpu_id(),
            [&] {
                run.prepare();
                push_bloom(&run);
                run.expect_both();
            },
            [&] { run.interrupt(); });
    }
    EXPECT_GT(run.interrupts(), 80u);
    EXPECT_EQ(run.bad(), 0u);
}

}  // namespace
}  // namespace barebpf
