// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose into ring buffers: an NMI before each instruction of a reservation, commit or output writes records
// itself, or leaves one open; a CPU stands still before an instruction while others write and a reader reads. Nothing
// deadlocks, no record is lost, torn or seen twice, each writer's come in its order.
#include <cstring>
#include <vector>

#include "kernel/bpf/map_inject_test.h"
#include "kernel/bpf/ringbuf_test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using inject::Trace;
using test::trace;

constexpr u32 kPage = static_cast<u32>(host::kPageSize);
constexpr s64 kAgain = -to_int(Errno::Again);
constexpr s64 kBusy = -to_int(Errno::Busy);
constexpr s64 kNoData = -to_int(Errno::NoData);

// Who writes; nobody interrupts a reservation or submission of its own.
enum Writer : u32 { kOurs, kNmi, kOther, kThird, kWriters };

// At both ends of a payload.
struct Mark {
    u32 writer;
    u32 number;  // grows with each reservation of the writer's
};

struct Sample {
    u8* data = nullptr;  // null: no room
    u32 size = 0;
    Mark mark{};
};

void fill(u8* data, u32 size, const Mark& mark) {
    std::memcpy(data, &mark, sizeof mark);
    std::memset(data + sizeof mark, static_cast<u8>(mark.number), size - 2 * sizeof mark);
    std::memcpy(data + size - sizeof mark, &mark, sizeof mark);
}

// A ring, what was submitted to it, and its reader. None of it allocates.
class Subject {
public:
    static constexpr u32 kLargest = 600;

    void make() {
        map = test::make_map(test::map_attr(BPF_MAP_TYPE_RINGBUF, 0, 0, kPage));
        ASSERT_NE(map, nullptr);
    }
    Sample reserve(Writer writer, u32 size) {
        host::RcuReadGuard rcu;
        auto* data = static_cast<u8*>(ringbuf_reserve(map, size));
        if (!data) return {};
        return {data, size, {writer, reserved_[writer].fetch_add(1, Order::Relaxed)}};
    }
    void submit(const Sample& sample) {
        host::RcuReadGuard rcu;
        fill(sample.data, sample.size, sample.mark);
        submitted_[sample.mark.writer].fetch_add(1, Order::Relaxed);
        ringbuf_commit(sample.data, 0, false);
    }
    void discard(const Sample& sample) {
        host::RcuReadGuard rcu;
        ringbuf_commit(sample.data, 0, true);
    }
    s64 write(Writer writer, u32 size) {
        const Sample sample = reserve(writer, size);
        if (!sample.data) return kAgain;
        submit(sample);
        return 0;
    }
    s64 output(Writer writer, u32 size) {
        host::RcuReadGuard rcu;
        u8 data[kLargest];
        fill(data, size, {writer, reserved_[writer].fetch_add(1, Order::Relaxed)});
        const s64 result = ringbuf_output(map, data, size, 0);
        if (result == 0) submitted_[writer].fetch_add(1, Order::Relaxed);
        return result;
    }

    // Reads up to the first record that is open; how many, discarded ones included.
    u32 read() {
        return test::RingReader(map).read([&](const u8* data, u32 size) { check(data, size); });
    }
    // All that was submitted has been read, and nothing else.
    bool is_all_read() {
        bool all = bad_ == 0 && ringbuf_query(map, BPF_RB_AVAIL_DATA) == 0;
        for (u32 i = 0; i < kWriters; ++i) all &= read_[i] == submitted_[i].load(Order::Relaxed);
        return all;
    }

    // The next record begins so many bytes before the end of the data. There is nothing to read.
    void go_to_end(u32 bytes) {
        const u64 left = (2 * kPage - bytes - ringbuf_query(map, BPF_RB_PROD_POS)) % kPage;
        if (left) discard(reserve(kOurs, static_cast<u32>(left) - kRingHeaderSize));
        read();
    }
    // Until there is no room for the smallest record.
    void fill_up() {
        for (const u32 size : {900u, 90u, 0u}) {
            for (Sample next = reserve(kOurs, size); next.data; next = reserve(kOurs, size))
                discard(next);
        }
    }

    Map* map = nullptr;

private:
    void check(const u8* data, u32 size) {
        Mark mark;
        u8 same[kLargest];
        if (size < 2 * sizeof mark || size > kLargest) {
            ++bad_;
            return;
        }
        std::memcpy(&mark, data, sizeof mark);
        fill(same, size, mark);
        if (mark.writer >= kWriters || std::memcmp(same, data, size) != 0 ||
            mark.number < next_[mark.writer]) {
            ++bad_;
            return;
        }
        next_[mark.writer] = mark.number + 1;
        ++read_[mark.writer];
    }

    Atomic<u32> reserved_[kWriters]{}, submitted_[kWriters]{};
    u32 read_[kWriters]{}, next_[kWriters]{};
    u32 bad_ = 0;  // records that nobody submitted so
};

using Operation = test::Operation<Subject, u32>;  // after: the records that it leaves to be read

const Operation kOperations[] = {
    {"reserve and submit", [](Subject&) {}, [](Subject& s) { return s.write(kOurs, 24); }, 1},
    {"reserve and discard", [](Subject&) {},
     [](Subject& s) {
         const Sample sample = s.reserve(kOurs, 24);
         if (!sample.data) return kAgain;
         s.discard(sample);
         return s64{0};
     },
     1},
    {"output", [](Subject&) {}, [](Subject& s) { return s.output(kOurs, 40); }, 1},
    {"a record that wraps", [](Subject& s) { s.go_to_end(64); },
     [](Subject& s) { return s.write(kOurs, 300); }, 1},
    {"two, the second first", [](Subject& s) { s.go_to_end(128); },
     [](Subject& s) {
         const Sample first = s.reserve(kOurs, 16), second = s.reserve(kOurs, 100);
         if (second.data) s.submit(second);
         if (first.data) s.submit(first);
         return first.data && second.data ? s64{0} : kAgain;
     },
     2},
};

// The ring is full: everybody is refused, and nothing that is there is harmed.
const Operation kRefused = {
    "no room", [](Subject& s) { s.fill_up(); },
    [](Subject& s) { return s.output(kOurs, 40) == kAgain ? s64{0} : s64{-1}; }, 0};

// What interrupts: writes a record in one of three ways, or reserves one and leaves it open.
class Intruder : public test::Tally {
public:
    explicit Intruder(Subject* subject) : subject_(subject) {}

    void write() {
        const u32 turn = next_turn();
        const u32 size = 16 + turn % 40;
        if (turn % 3 == 0) {
            may_be_refused(subject_->output(kNmi, size), kAgain);
        } else {
            const Sample sample = subject_->reserve(kNmi, size);
            may_be_refused(sample.data ? 0 : kAgain, kAgain);
            if (sample.data && turn % 3 == 1) subject_->submit(sample);
            if (sample.data && turn % 3 == 2) subject_->discard(sample);
        }
        subject_->map->ops->poll(subject_->map);
    }
    void leave_open() {
        next_turn();
        open_ = subject_->reserve(kNmi, 32);
        may_be_refused(open_.data ? 0 : kAgain, kAgain);
    }
    // What it left open, if it has.
    bool close() {
        const Sample open = open_;
        open_ = {};
        if (open.data) subject_->submit(open);
        return open.data;
    }

private:
    Subject* subject_;
    Sample open_{};
};

class RingbufInject : public ::testing::Test {
protected:
    void SetUp() override { subject_.make(); }
    void TearDown() override { test::drop_map(subject_.map); }

    // Runs it once for each of its instructions, with nmi() before that, and then after(). False: no single steps here.
    template <class Nmi, class After>
    bool at_each_instruction(const Operation& operation, Nmi nmi, After after) {
        if (!test::record(subject_, operation)) return false;
        subject_.read();
        u32 failed = 0;
        for (u32 i = 0; i < trace.size(); ++i) {
            operation.prepare(subject_);
            {
                inject::Breakpoint here(
                    trace[i], host::cpu_id(), [](void* self) { (*static_cast<Nmi*>(self))(); },
                    &nmi);
                failed += test::attempt(subject_, operation) != 0;
            }
            after();
        }
        EXPECT_EQ(failed, 0u) << operation.name;
        return true;
    }

    // The same with an NMI that writes; then all can be read.
    bool write_at_each_instruction(const Operation& operation, Intruder& intruder) {
        u32 wrong = 0;
        const bool can = at_each_instruction(
            operation, [&] { intruder.write(); },
            [&] {
                subject_.read();
                wrong += !subject_.is_all_read();
            });
        EXPECT_EQ(wrong, 0u) << operation.name;
        EXPECT_EQ(intruder.bad(), 0u) << operation.name;
        return can;
    }

    host::Cpu::Entry inside_;
    Subject subject_;
};

TEST_F(RingbufInject, AnNmiBeforeEachInstructionWrites) {
    for (const Operation& operation : kOperations) {
        Intruder intruder(&subject_);
        if (!write_at_each_instruction(operation, intruder)) GTEST_SKIP() << "no single steps here";
        EXPECT_GT(intruder.done(), intruder.turns() / 4) << operation.name;
        EXPECT_LT(intruder.done(), intruder.turns()) << operation.name;  // the lock was held
    }
}

TEST_F(RingbufInject, AnNmiBeforeEachInstructionFindsNoRoom) {
    Intruder intruder(&subject_);
    if (!write_at_each_instruction(kRefused, intruder)) GTEST_SKIP() << "no single steps here";
    EXPECT_EQ(intruder.done(), 0u);
}

// An NMI's record that stays open holds back what was reserved after it, and nothing else.
TEST_F(RingbufInject, AnNmiBeforeEachInstructionLeavesARecordOpen) {
    for (const Operation& operation : kOperations) {
        Intruder intruder(&subject_);
        u32 wrong = 0, held_back = 0;
        const bool can = at_each_instruction(
            operation, [&] { intruder.leave_open(); },
            [&] {
                const u32 before = subject_.read();
                const bool was_open = intruder.close();
                const u32 behind = subject_.read();
                wrong += before + behind != operation.after + was_open;
                held_back += behind > 1;
                wrong += !subject_.is_all_read();
            });
        if (!can) GTEST_SKIP() << "no single steps here";
        EXPECT_EQ(wrong, 0u) << operation.name;
        EXPECT_EQ(intruder.bad(), 0u) << operation.name;
        EXPECT_GT(intruder.done(), intruder.turns() / 4) << operation.name;
        EXPECT_GT(held_back, 0u) << operation.name;
        EXPECT_LT(held_back, trace.size()) << operation.name;
    }
}

// ── A CPU that stands still ───────────────────────────────────────────────────────────────────

// What CPU 0 does meanwhile.
struct Meanwhile {
    Subject* subject;
    u32 wrong = 0;
    u32 locked = 0;  // how often it met the lock taken

    // writes: or it only reads. alone: nobody else writes.
    void once(bool writes, bool alone) {
        if (writes && nmi_writes()) {
            for (u32 i = 0; i < 3; ++i) wrong += subject->write(kOther, 16 + 8 * i) != 0;
        } else if (writes) {
            ++locked;
        }
        subject->map->ops->poll(subject->map);
        subject->read();
        // What is left is behind a record that is open.
        if (!alone || !ringbuf_query(subject->map, BPF_RB_AVAIL_DATA)) return;
        Ring* ring = test::ring_of(subject->map);
        const u64 at = ring->consumer_position().load(Order::Relaxed) & ring->mask;
        wrong += !(host::atomic_at<u32>(ring->data() + at).load(Order::Acquire) & kRingBusy);
    }

private:
    // False: the lock is taken, and the NMI has not waited for ever.
    bool nmi_writes() {
        struct Nmi {
            Meanwhile* meanwhile;
            s64 result;
        } nmi{this, 0};
        machine::send_nmi(
            host::cpu_id(),
            [](void* argument) {
                auto* self = static_cast<Nmi*>(argument);
                self->result = self->meanwhile->subject->write(kNmi, 16);
            },
            &nmi);
        return nmi.result == 0;
    }
};

TEST_F(RingbufInject, OthersWriteAndReadWhileACpuStandsStill) {
    NEEDS_CPUS(2);
    for (const Operation& operation : kOperations) {
        if (!test::record(subject_, operation)) GTEST_SKIP() << "no single steps here";
        subject_.read();
        Meanwhile meanwhile{&subject_};
        Atomic<u32> wrong{};
        u32 stood = 0, rounds = 0;
        // A reader sees what it sees at every instruction. For writers the neighbours of one are in the same state, and
        // who is refused has waited.
        u32 next_write = 0;
        for (u32 i = 0; i < trace.size(); ++i) {
            const u32 refused = meanwhile.locked;
            const bool writes = i >= next_write;
            operation.prepare(subject_);
            const u32 cpus = writes && rounds++ % 4 == 0 ? test::cpus_up_to(3) : 2;
            stood += test::while_one_stands_still(
                trace[i], cpus,
                [&] {
                    if (test::attempt(subject_, operation)) wrong.fetch_add(1, Order::Relaxed);
                },
                [&](u32 cpu) {
                    if (cpu != 2) return meanwhile.once(writes, cpus == 2);
                    // It waits for the lock if it must, and gets it.
                    if (subject_.write(kThird, 16)) wrong.fetch_add(1, Order::Relaxed);
                });
            if (writes) next_write = i + (meanwhile.locked == refused ? 13 : 61);
            subject_.read();
            if (!subject_.is_all_read()) wrong.fetch_add(1, Order::Relaxed);
            ASSERT_EQ(wrong.load(Order::Relaxed) + meanwhile.wrong, 0u)
                << operation.name << " instruction " << i;
        }
        EXPECT_GT(stood, trace.size() / 2) << operation.name;
        EXPECT_GT(meanwhile.locked, 0u) << operation.name;
        EXPECT_LT(meanwhile.locked, stood) << operation.name;
    }
}

// ── Draining ──────────────────────────────────────────────────────────────────────────────────

// A user ring whose samples carry numbers, and a program that drains it.
class DrainRun : public test::Tally {
public:
    void make() {
        map = test::make_map(test::map_attr(BPF_MAP_TYPE_USER_RINGBUF, 0, 0, kPage));
        ASSERT_NE(map, nullptr);
    }
    void write(u32 count) {
        for (u32 i = 0; i < count; ++i) {
            u8* data = test::RingWriter(map).reserve(8);
            ASSERT_NE(data, nullptr);
            const u64 number = written_ + 1;
            std::memcpy(data, &number, sizeof number);
            const bool discard = number % 4 == 0;
            test::RingWriter::commit(data, discard);
            ++written_;
            expected_ += !discard;
        }
    }
    s64 drain() {
        host::RcuReadGuard rcu;
        if (const s64 begun = user_ringbuf_begin(map)) return begun;
        UserSample sample;
        s64 result;
        while ((result = user_ringbuf_next(map, &sample)) != kNoData) {
            if (result == kAgain) continue;
            if (result) break;
            u64 number;
            std::memcpy(&number, sample.data, sizeof number);
            count_bad(number <= last_.exchange(number, Order::Relaxed));
            seen_.fetch_add(1, Order::Relaxed);
            user_ringbuf_release(map, sample);
        }
        user_ringbuf_end(map, 0, true);
        return result == kNoData ? 0 : result;
    }
    void once() {
        next_turn();
        may_be_refused(drain());
    }
    NOINLINE static void run(void* self) { static_cast<DrainRun*>(self)->once(); }
    bool is_all_seen() const { return seen_.load(Order::Relaxed) == expected_ && bad() == 0; }

    Map* map = nullptr;

private:
    u64 written_ = 0, expected_ = 0;
    Atomic<u64> last_{}, seen_{};
};

TEST(UserRingbufInject, AnNmiBeforeEachInstructionOfADrainDrains) {
    host::Cpu::Entry inside;
    DrainRun run;
    run.make();
    run.write(6);
    const bool can = trace.record(Trace::Where::Everywhere, DrainRun::run, &run);
    if (can) {
        u32 wrong = 0;
        inject::at_each_instruction(
            trace, host::cpu_id(),
            [&] {
                run.write(6);
                DrainRun::run(&run);
                // What came behind an NMI's look is left; nothing is left twice.
                wrong += run.drain() != 0 || !run.is_all_seen();
            },
            [&] { run.once(); });
        EXPECT_EQ(wrong, 0u);
        EXPECT_LT(run.done(), run.turns());  // one was busy
        EXPECT_GT(run.done(), run.turns() / 2);
    }
    test::drop_map(run.map);
    if (!can) GTEST_SKIP() << "no single steps here";
}

// Who drains holds the others off, not up; what a writer adds meanwhile is seen.
TEST(UserRingbufInject, OthersAreTurnedAwayWhileACpuStandsStillInADrain) {
    NEEDS_CPUS(2);
    host::Cpu::Entry inside;
    DrainRun run;
    run.make();
    run.write(6);
    const bool can = trace.record(Trace::Where::Everywhere, DrainRun::run, &run);
    if (can) {
        u32 stood = 0, busy = 0, wrong = 0;
        for (u32 i = 0; i < trace.size(); i += 3) {
            run.write(6);
            stood += test::while_one_stands_still(
                trace[i], 2, [&] { DrainRun::run(&run); },
                [&](u32) {
                    run.write(3);
                    const s64 result = run.drain();
                    busy += result == kBusy;
                    wrong += result && result != kBusy;
                });
            wrong += run.drain() != 0 || !run.is_all_seen();
        }
        EXPECT_EQ(wrong, 0u);
        EXPECT_GT(stood, trace.size() / 6);
        EXPECT_GT(busy, stood / 2);
        EXPECT_LT(busy, stood);
    }
    test::drop_map(run.map);
    if (!can) GTEST_SKIP() << "no single steps here";
}

}  // namespace
}  // namespace barebpf
