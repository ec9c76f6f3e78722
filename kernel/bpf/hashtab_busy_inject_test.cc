// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What interrupts an update or a delete of a hash gets EBUSY only where it cannot go on: in the bucket whose lock the
// interrupted code holds. Everywhere else it updates, looks up and deletes as if it had interrupted nobody.
#include "kernel/bpf/hashtab.h"
#include "kernel/bpf/map_inject_test.h"

namespace barebpf {
namespace {

using test::trace;

struct Kind {
    u32 type, flags;
    bool
        lists;  // with locks that a new key needs besides its bucket's: ENOMEM where they cannot be had
};
// Nowhere else ENOMEM: whoever updates leaves enough in reserve for who interrupts it next, here once.
constexpr Kind kKinds[] = {{BPF_MAP_TYPE_HASH, 0, false},
                           {BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC, false},
                           {BPF_MAP_TYPE_PERCPU_HASH, 0, false},
                           {BPF_MAP_TYPE_LRU_HASH, 0, true},
                           {BPF_MAP_TYPE_LRU_HASH, BPF_F_NO_COMMON_LRU, true}};

constexpr u32 kKey = 1;  // of what is interrupted
constexpr s64 kBusy = -to_int(Errno::Busy);
constexpr s64 kNoEnt = -to_int(Errno::NoEnt);
constexpr s64 kNoMem = -to_int(Errno::NoMem);

class Subject {
public:
    // With so much room that no list gives an element of another key away.
    void make(const Kind& kind) {
        map =
            test::make_map(test::map_attr(kind.type, 4, 8, 16 * host::possible_cpus(), kind.flags));
        ASSERT_NE(map, nullptr);
        has_lists = kind.lists;
        for (beside = kKey + 1; &bucket_of(beside) != &bucket_of(kKey);) ++beside;
        for (elsewhere = kKey + 1; &bucket_of(elsewhere) == &bucket_of(kKey);) ++elsewhere;
    }
    s64 update(u32 key, u64 value, u64 flags = BPF_ANY) {
        host::RcuReadGuard rcu;
        return map->ops->update(map, &key, &value, flags);
    }
    s64 erase(u32 key) {
        host::RcuReadGuard rcu;
        return map->ops->erase(map, &key);
    }
    bool look(u32 key) {
        host::RcuReadGuard rcu;
        return map->ops->lookup(map, &key) != nullptr;
    }
    bool bucket_is_free(u32 key) {
        HashBucket& bucket = bucket_of(key);
        host::IrqState irq;
        if (!bucket.lock.try_acquire(&irq)) return false;
        host::Guard<HashBucket::Lock, host::Adopt> guard(bucket.lock, irq);
        return true;
    }

    Map* map = nullptr;
    bool has_lists = false;
    u32 beside = 0, elsewhere = 0;  // keys of the same bucket and of another

private:
    HashBucket& bucket_of(u32 key) {
        return *hashtab::hash_to_bucket<4>(static_cast<HashMap*>(map), &key).bucket;
    }
};

// What interrupts. It leaves nothing behind.
class Intruder {
public:
    explicit Intruder(Subject* subject) : subject_(subject) {}
    static void run(void* argument) { static_cast<Intruder*>(argument)->once(); }

    void once() {
        check(subject_->bucket_is_free(subject_->elsewhere));
        use(subject_->elsewhere);
        use(subject_->beside);
    }
    u32 wrong() const { return wrong_.load(host::Order::Relaxed); }
    u32 went_on() const { return went_on_.load(host::Order::Relaxed); }
    u32 refused() const { return refused_.load(host::Order::Relaxed); }

private:
    using Counter = host::Atomic<u32>;

    // A new key, then one that is there, which other code does.
    void use(u32 key) {
        const bool is_free = subject_->bucket_is_free(key);
        (is_free ? went_on_ : refused_).fetch_add(1, host::Order::Relaxed);
        bool there = false;
        for (u32 value = 0; value < 2; ++value) {
            const s64 result = subject_->update(key, value);
            there |= result == 0;
            check(result == (is_free ? 0 : kBusy) || (result == kNoMem && lists_are_locked()));
        }
        check(subject_->look(key) == there);
        check(subject_->erase(key) == (!is_free ? kBusy : there ? 0 : kNoEnt));
        check(!subject_->look(key));
    }
    bool lists_are_locked() const {
        return subject_->has_lists && host::validator::held_outside_nmi() > 0;
    }
    void check(bool right) {
        if (!right) wrong_.fetch_add(1, host::Order::Relaxed);
    }

    Subject* subject_;
    Counter wrong_{}, went_on_{}, refused_{};
};

using Operation = test::Operation<Subject, bool>;  // after: whether key 1 is there

const Operation kOperations[] = {
    {"replace", [](Subject& s) { s.update(kKey, 1); },
     [](Subject& s) { return s.update(kKey, 2, BPF_EXIST); }, true},
    {"insert", [](Subject& s) { s.erase(kKey); },
     [](Subject& s) { return s.update(kKey, 3, BPF_NOEXIST); }, true},
    {"erase", [](Subject& s) { s.update(kKey, 4); }, [](Subject& s) { return s.erase(kKey); },
     false},
};

class HashBusyInject : public ::testing::Test {
protected:
    void TearDown() override { test::drop_map(subject_.map); }
    void turn_to(const Kind& kind) {
        test::drop_map(subject_.map);
        subject_.make(kind);
    }

    host::Cpu::Entry inside_;
    Subject subject_;
};

TEST_F(HashBusyInject, BeforeEachInstruction) {
    for (const Kind& kind : kKinds) {
        turn_to(kind);
        for (const Operation& operation : kOperations) {
            if (!test::record(subject_, operation)) GTEST_SKIP() << "no single steps here";
            Intruder intruder(&subject_);
            u32 failed = 0;
            for (u32 i = 0; i < trace.size(); ++i) {
                operation.prepare(subject_);  // not interrupted: it has the same instructions
                {
                    inject::Breakpoint here(trace[i], host::cpu_id(), Intruder::run, &intruder);
                    failed += test::attempt(subject_, operation) != 0;
                }
                failed += subject_.look(kKey) != operation.after;
                host::rcu_barrier();  // what was deleted comes back
            }
            EXPECT_EQ(failed, 0u) << kind.type << " " << operation.name;
            EXPECT_EQ(intruder.wrong(), 0u) << kind.type << " " << operation.name;
            // All are met but for a few on ways that are taken once.
            EXPECT_GT((intruder.went_on() + intruder.refused()) / 2, trace.size() * 9 / 10);
            EXPECT_GT(intruder.went_on(), trace.size()) << "the bucket was never free";
            EXPECT_GT(intruder.refused(), 0u) << "the bucket was never locked";
        }
    }
}

TEST_F(HashBusyInject, AtRandom) {
    // Until so many have come while the bucket was locked; where these moments are never met, so many in all.
    constexpr u32 kRefused = 20, kNmis = 1000;
    for (const Kind& kind : kKinds) {
        turn_to(kind);
        Intruder intruder(&subject_);
        u32 failed = 0;
        test::run_on_cpus(1, [&](u32) {
            inject::Storm storm({.kind = inject::Kind::Nmi, .cpu_count = 1, .mean_gap_ns = 30'000},
                                Intruder::run, &intruder);
            while (intruder.refused() < kRefused && storm.served() < kNmis) {
                for (const Operation& operation : kOperations) {
                    operation.prepare(subject_);
                    failed += operation.run(subject_) != 0;
                    host::Cpu::yield_point();
                }
            }
        });
        EXPECT_EQ(failed, 0u) << kind.type;
        EXPECT_EQ(intruder.wrong(), 0u) << kind.type;
    }
}

// The same where a test may choose no instruction: what holds a bucket refuses those that want it, and no other.
TEST_F(HashBusyInject, WhileABucketIsLocked) {
    for (const Kind& kind : kKinds) {
        turn_to(kind);
        Intruder intruder(&subject_);
        const u32 key = kKey;
        auto* map = static_cast<HashMap*>(subject_.map);
        HashBucket& bucket = *hashtab::hash_to_bucket<4>(map, &key).bucket;
        {
            host::Guard<HashBucket::Lock, host::IrqSave> guard(bucket.lock);
            machine::send_nmi(host::cpu_id(), Intruder::run, &intruder);
        }
        EXPECT_EQ(intruder.refused(), 1u) << kind.type;
        EXPECT_EQ(intruder.went_on(), 1u) << kind.type;
        EXPECT_EQ(intruder.wrong(), 0u) << kind.type;
    }
}

}  // namespace
}  // namespace barebpf
