// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Torture for maps: more threads than there are CPUs do everything to one map at random, while interrupts, then NMIs,
// do the same wherever they hit; for a number of turns and not much longer than a moment. Afterwards nothing may be
// lost, doubled or leaked, and every value that anybody read was written.
//
//     threads    worker ─ in, some turns, out ─ in, ...        more than CPUs where a CPU is a slot (testkit/user),
//     storm        ^ IRQ   ^        ^ IRQ                      one on each CPU in a guest
//
// Subject is a test's class around its map:
//
//     void work(Random& random, u32 worker)     one turn: process context, inside the library, nothing held
//     void interrupt(Random& random)            pinned, in a read section; host::in_nmi() tells which
//
// What it finds wrong it tells `Verdict`; what it inserts and deletes it keeps books of, in atomics.
#pragma once

#include "kernel/bpf/map_test.h"
#include "kernel/bpf/syscall_elem.h"
#include "kernel/host/clock.h"
#include "testkit/inject.h"

namespace barebpf::test {

constexpr u64 mix(u64 word) {
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
    word = (word ^ word >> 27) * 0x94d049bb133111eb;
    return word ^ word >> 31;
}

class Random {
public:
    explicit Random(u64 seed) : state_(mix(seed + 1) | 1) {}
    u64 next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_ * 0x2545f4914f6cdd1d;
    }
    u32 below(u32 limit) { return static_cast<u32>((next() >> 32) * limit >> 32); }
    bool one_in(u32 n) { return below(n) == 0; }

private:
    u64 state_;
};

// What must hold, in any context.
class Verdict {
public:
    // The first that did not is named.
    void expect(bool holds, const char* what) {
        if (holds) return;
        wrong_.fetch_add(1, host::Order::Relaxed);
        u64 none = 0;
        first_.compare_exchange(none, reinterpret_cast<u64>(what), host::Order::Relaxed,
                                host::Order::Relaxed);
    }
    // An operation succeeded or failed in a way that the caller knows; in an NMI it may have been refused.
    bool succeeded(s64 result, std::initializer_list<Errno> known, const char* what) {
        if (result == 0) return true;
        bool fine = host::in_nmi() && result == -to_int(Errno::Busy);
        if (fine) refused_.fetch_add(1, host::Order::Relaxed);
        for (const Errno error : known) fine |= result == -to_int(error);
        expect(fine, what);
        return false;
    }
    u32 refused() const { return refused_.load(host::Order::Relaxed); }
    void report() const {
        const auto* first = reinterpret_cast<const char*>(first_.load(host::Order::Relaxed));
        EXPECT_EQ(wrong_.load(host::Order::Relaxed), 0u) << (first ? first : "");
    }

private:
    host::Atomic<u32> wrong_{}, refused_{};
    host::Atomic<u64> first_{};
};

// A value that says for whom and when it was written, in each of its words.
template <u32 kWords>
struct Stamp {
    u64 words[kWords];

    static Stamp of(u32 owner, u32 counter) {
        Stamp stamp;
        for (u32 i = 0; i < kWords; ++i) {
            stamp.words[i] = u64{owner + 1} << 40 | u64{counter} << 8 | i;
        }
        return stamp;
    }
    static bool word_is_of(u64 word, u32 i, u32 owner) {
        return word >> 40 == owner + 1 && (word & 0xff) == i;
    }
    // Each word was written for that owner; if whole, all by the same write.
    bool is_of(u32 owner, bool whole = true) const {
        for (u32 i = 0; i < kWords; ++i) {
            if (!word_is_of(words[i], i, owner)) return false;
            if (whole && (words[i] ^ words[0]) >> 8) return false;
        }
        return true;
    }
    u32 owner() const { return static_cast<u32>(words[0] >> 40) - 1; }
};

// Values that are all different and come back one by one: a queue's, or records.
struct Ticket {
    u64 number, inverse, check;

    static Ticket of(u64 number) { return {number, ~number, mix(number)}; }
    bool is_sound() const { return inverse == ~number && check == mix(number); }
};

// Which tickets went in, and which came out: the same ones, if each did so once.
class Books {
public:
    Ticket issue() { return Ticket::of(next_.fetch_add(1, host::Order::Relaxed)); }
    void went_in(const Ticket& ticket) { add(ticket, 1); }
    void came_out(const Ticket& ticket) { add(ticket, ~u64{0}); }
    void expect_balanced() const {
        EXPECT_EQ(count_.load(host::Order::Relaxed), 0u) << "more (or fewer) went in than came out";
        EXPECT_EQ(sum_.load(host::Order::Relaxed), 0u) << "others came out than went in";
        EXPECT_GT(next_.load(host::Order::Relaxed), 100u);
    }

private:
    void add(const Ticket& ticket, u64 sign) {
        count_.fetch_add(sign, host::Order::Relaxed);
        sum_.fetch_add(mix(~ticket.number) * sign, host::Order::Relaxed);
    }

    host::Atomic<u64> next_{}, count_{}, sum_{};
};

struct TortureOptions {
    u32 turns = 1000;      // of each worker, in a process
    u32 stay = 16;         // turns between coming in and leaving
    u32 interrupts = 300;  // for which the turns go on, if need be
    u64 gap_ns = 40'000;   // between two on a CPU
    u64 longest_ns = 200'000'000;
};

template <class Subject>
void torture_under(inject::Kind kind, Subject& subject, const TortureOptions& options) {
    struct Interrupts {
        Subject* subject;
        host::Atomic<u64> turns{}, turns_before{}, done{};

        static void run(void* argument) {
            auto* self = static_cast<Interrupts*>(argument);
            // Where interrupts come faster than they can be served, the threads would never come any further.
            const u64 turns = self->turns.load(host::Order::Relaxed);
            if (self->turns_before.exchange(turns, host::Order::Relaxed) == turns) return;
            Random random(self->done.fetch_add(1, host::Order::Relaxed) + (u64{1} << 32));
            const InsideProgram inside;
            self->subject->interrupt(random);
        }
    } interrupts{&subject, {}, {}, {}};
    const u32 turns = rounds(options.turns);
    const u32 enough = rounds(options.interrupts);
    const u64 seed = setting("seed", 1);
    const u64 end = host::Clock::monotonic_ns() + options.longest_ns;
    inject::Storm storm({.kind = kind, .cpu_count = cpus(), .mean_gap_ns = options.gap_ns},
                        Interrupts::run, &interrupts);
    run_outside_on_cpus(threads(), [&](u32 worker) {
        Random random(seed << 8 | worker);
        for (u32 turn = 0; turn < turns || interrupts.done.load(host::Order::Relaxed) < enough;) {
            host::Cpu::Entry inside;
            for (const u32 leave = turn + options.stay; turn < leave; ++turn) {
                subject.work(random, worker);
                interrupts.turns.fetch_add(1, host::Order::Relaxed);
            }
            if (host::Clock::monotonic_ns() > end) break;
        }
    });
}

template <class Subject>
void torture(Subject& subject, const TortureOptions& options = {}) {
    torture_under(inject::Kind::Irq, subject, options);
    torture_under(inject::Kind::Nmi, subject, options);
}

// For fixtures: a map, a verdict, and no memory left behind.
template <class Base = ::testing::Test>
class MapTorture : public WithMap<Base> {
protected:
    void SetUp() override {
        settle();
        before_ = machine::live_memory();
    }
    void TearDown() override {
        this->drop();
        verdict_.report();
        const machine::LiveMemory after = machine::live_memory();
        EXPECT_EQ(after.bytes, before_.bytes);
        EXPECT_EQ(after.blocks, before_.blocks);
    }

    Verdict verdict_;

private:
    machine::LiveMemory before_{};
};

}  // namespace barebpf::test
