// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What tests share that inject faults into maps: operations that can be repeated, under an NMI before each of their
// instructions, or beside a CPU that stands still before one; and what an interrupt counts.
//
// Subject is the test's class around its map. None of this allocates between the parts of an operation.
#pragma once

#include "kernel/bpf/hashtab_bucket.h"
#include "kernel/bpf/map_test.h"
#include "testkit/inject.h"

namespace barebpf::test {

inline inject::Trace trace;  // a quarter of a megabyte, of the test that runs

// Both words are key << 32 | counter, so that a reader can tell whether it was ever written for that key.
struct PairValue {
    u64 words[2];

    static PairValue of(u32 key, u32 counter) {
        const u64 word = u64{key} << 32 | counter;
        return {{word, word}};
    }
    bool is_of(u32 key) const { return words[0] == words[1] && words[0] >> 32 == key; }
};

// Torn: a value that was never written for the key.
enum class Found : u8 { Absent, Present, Torn };

// A map with 32-bit keys and such values, as programs use it.
class PairMap {
public:
    void make(u32 type, u32 entries, u32 flags) {
        map = make_map(map_attr(type, 4, sizeof(PairValue), entries, flags));
        ASSERT_NE(map, nullptr);
    }
    s64 update(u32 key, u32 counter, u64 flags = BPF_ANY) {
        host::RcuReadGuard rcu;
        const PairValue value = PairValue::of(key, counter);
        return map->ops->update(map, &key, &value, flags);
    }
    s64 erase(u32 key) {
        host::RcuReadGuard rcu;
        return map->ops->erase(map, &key);
    }
    // As bpf(2) reads.
    Found look(u32 key) {
        host::RcuReadGuard rcu;
        PairValue value{};
        if (map->ops->copy_value(map, &key, &value, 0)) return Found::Absent;
        return value.is_of(key) ? Found::Present : Found::Torn;
    }

    Map* map = nullptr;
};

// Four keys from `first` on for who interrupts: every other one in the bucket of `key` of a hash with 32-bit keys.
struct NeighbourKeys {
    static constexpr u32 kCount = 4;

    NeighbourKeys(const Map* map, u32 key, u32 first) {
        const auto* hash = static_cast<const HashMap*>(map);
        const auto bucket = [&](u32 of) { return hashtab::hash_to_bucket<4>(hash, &of).bucket; };
        for (u32 i = 0; i < kCount; ++i) {
            while (i % 2 && bucket(first) != bucket(key)) ++first;
            keys[i] = first++;
        }
    }
    u32 operator[](u32 i) const { return keys[i]; }

    u32 keys[kCount];
};

// What an interrupt, or whatever runs beside, has seen. It may itself be interrupted.
class Tally {
public:
    using Counter = host::Atomic<u32>;

    u32 turns() const { return turns_.load(host::Order::Relaxed); }
    u32 done() const { return done_.load(host::Order::Relaxed); }
    u32 bad() const { return bad_.load(host::Order::Relaxed); }

protected:
    u32 next_turn() { return turns_.fetch_add(1, host::Order::Relaxed); }
    void count_done() { done_.fetch_add(1, host::Order::Relaxed); }
    void count_bad(bool bad = true) {
        if (bad) bad_.fetch_add(1, host::Order::Relaxed);
    }
    // True if it was done. An interrupt may be refused: what it hit was busy, or holds all memory there is.
    bool may_be_refused(s64 result, s64 also = -to_int(Errno::Busy)) {
        if (result == 0) {
            count_done();
            return true;
        }
        count_bad(result != -to_int(Errno::Busy) && result != -to_int(Errno::NoMem) &&
                  result != also);
        return false;
    }

    Counter bad_{};

private:
    Counter turns_{}, done_{};
};

// An operation that can be repeated: what it needs, what it does (0: done), what must be true after.
template <class Subject, class After>
struct Operation {
    const char* name;
    void (*prepare)(Subject& subject);
    s64 (*run)(Subject& subject);
    After after;
};

// One run of it, which a trace records.
template <class Subject, class After>
struct Attempt {
    Subject* subject;
    const Operation<Subject, After>* operation;
    s64 result = 0;

    NOINLINE static void run(void* argument) {
        auto* self = static_cast<Attempt*>(argument);
        self->result = self->operation->run(*self->subject);
    }
};

template <class Subject, class After>
s64 attempt(Subject& subject, const Operation<Subject, After>& operation) {
    Attempt<Subject, After> one{&subject, &operation};
    Attempt<Subject, After>::run(&one);
    return one.result;
}

// Fills `trace`. False: this machine has no single steps.
template <class Subject, class After>
bool record(Subject& subject, const Operation<Subject, After>& operation) {
    operation.prepare(subject);
    Attempt<Subject, After> one{&subject, &operation};
    if (!trace.record(inject::Trace::Where::Everywhere, one.run, &one)) return false;
    EXPECT_EQ(one.result, 0) << operation.name;
    EXPECT_GT(trace.size(), 20u) << operation.name;
    return true;
}

// CPU 1 runs operation() and stops before the instruction at pc, if its way passes there. Others do others(cpu)
// meanwhile; when CPU 0 has done so, CPU 1 goes on. Whether it stood.
template <class Operation, class Others>
bool while_one_stands_still(u64 pc, u32 cpus, Operation operation, Others others) {
    inject::Hold hold(pc, 1);
    host::Atomic<u32> done{};
    bool stood = false;
    run_on_cpus(cpus, [&](u32 cpu) {
        if (cpu == 1) {
            operation();
            done.store(1, host::Order::Release);  // pairs with the acquire below
            return;
        }
        while (!hold.is_held() && !done.load(host::Order::Acquire)) host::spin_hint();
        if (cpu == 0) stood = hold.is_held();
        others(cpu);
        if (cpu == 0) hold.release();
    });
    return stood;
}

}  // namespace barebpf::test
