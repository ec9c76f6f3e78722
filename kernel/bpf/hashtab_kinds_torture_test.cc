// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Torture for hash maps of every kind: plain, per-CPU, LRU; preallocated and not. hashtab_torture_test.cc aims at
// single moments of plain ones.
#include "kernel/bpf/hashtab_lru.h"
#include "kernel/bpf/map_torture_test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using test::Random;
using Value = test::Stamp<2>;

struct Kind {
    const char* name;
    u32 type, flags;
};
const Kind kKinds[] = {
    {"Plain", BPF_MAP_TYPE_HASH, 0},
    {"PlainOnDemand", BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC},
    {"PerCpu", BPF_MAP_TYPE_PERCPU_HASH, 0},
    {"PerCpuOnDemand", BPF_MAP_TYPE_PERCPU_HASH, BPF_F_NO_PREALLOC},
    {"Lru", BPF_MAP_TYPE_LRU_HASH, 0},
    {"LruOwnLists", BPF_MAP_TYPE_LRU_HASH, BPF_F_NO_COMMON_LRU},
    {"LruPerCpu", BPF_MAP_TYPE_LRU_PERCPU_HASH, 0},
    {"LruPerCpuOwnLists", BPF_MAP_TYPE_LRU_PERCPU_HASH, BPF_F_NO_COMMON_LRU},
};

constexpr u32 kResting = 2;   // numbers below are never deleted nor replaced, if any stay
constexpr u32 kStaying = 4;   // numbers below are never deleted, if any stay
constexpr u32 kNumbers = 96;  // all that there are
constexpr u32 kEntries = 64;

// Values of one element as bpf(2) reads them.
struct Values {
    Value of_cpu[host::kMaxCpus];
};

class HashKindsTorture : public test::MapTorture<::testing::TestWithParam<Kind>> {
public:
    void work(Random& random, u32) {
        const InsideProgram inside;
        const u32 number = random.below(kNumbers);
        switch (random.below(16)) {
            case 0:
                return walk();
            case 1:
                return list_keys();
            case 2:
                // Who empties buckets lets none stay.
                return collect(none_stays_ && random.one_in(4));
            default:
                change_or_look(random, number);
        }
    }
    void interrupt(Random& random) {
        change_or_look(random, random.below(kNumbers));
        if (random.one_in(8)) walk();
    }

protected:
    bool percpu() const { return is_percpu_map(GetParam().type); }
    bool evicts() const {
        return GetParam().type == BPF_MAP_TYPE_LRU_HASH ||
               GetParam().type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
    }
    bool on_demand() const { return GetParam().flags & BPF_F_NO_PREALLOC; }
    static u64 key_of(u32 number) { return u64{number} << 32 | ~number; }

    void make_map_for_torture() {
        make(test::map_attr(GetParam().type, 8, sizeof(Value),
                            evicts() ? 8 * host::possible_cpus() : kEntries, GetParam().flags));
        values_per_element_ = percpu() ? host::possible_cpus() : 1;
    }
    void make_full_of_the_staying() {
        make_map_for_torture();
        none_stays_ = false;
        for (u32 number = 0; number < kStaying; ++number) {
            ASSERT_EQ(update(number, 0, BPF_NOEXIST), 0);
        }
        balance_.store(kStaying, Order::Relaxed);
    }
    bool stays(u32 number) const { return !none_stays_ && number < kStaying && !evicts(); }
    bool rests(u32 number) const { return !none_stays_ && number < kResting; }
    s64 update(u32 number, u32 counter, u64 flags) {
        const u64 key = key_of(number);
        const Value value = Value::of(number, counter);
        return map_->ops->update(map_, &key, &value, flags);
    }

    void change_or_look(Random& random, u32 number) {
        const bool stays = this->stays(number);
        switch (random.below(8)) {
            case 0:
            case 1:
                return insert(number, random.below(1u << 24));
            case 2:
                return stays ? look(number, true) : erase(number);
            case 3:
                return stays ? look(number, true) : take(number);
            case 4:
            case 5:
                return rests(number) ? look(number, stays)
                                     : replace(number, random.below(1u << 24), stays);
            case 6:
                return see(number, stays);
            default:
                return look(number, stays);
        }
    }
    void insert(u32 number, u32 counter) {
        if (verdict_.succeeded(update(number, counter, BPF_NOEXIST),
                               {Errno::Exist, Errno::TooBig, Errno::NoMem}, "insert")) {
            balance_.fetch_add(1, Order::Relaxed);
        }
    }
    void replace(u32 number, u32 counter, bool stays) {
        const s64 result = update(number, counter, BPF_EXIST);
        verdict_.succeeded(result, {Errno::NoEnt, Errno::NoMem, Errno::TooBig}, "replace");
        verdict_.expect(!stays || result != -to_int(Errno::NoEnt), "what stays is not there");
        // What is replaced in its place, or has a spare element for it, needs no memory of others.
        verdict_.expect(!stays || on_demand() || host::in_nmi() || result == 0, "no replacement");
    }
    void erase(u32 number) {
        const u64 key = key_of(number);
        if (verdict_.succeeded(map_->ops->erase(map_, &key), {Errno::NoEnt}, "erase")) {
            balance_.fetch_sub(1, Order::Relaxed);
        }
    }
    void take(u32 number) {
        const u64 key = key_of(number);
        Values values;
        const s64 result = map_->ops->lookup_and_erase(map_, &key, &values, 0);
        if (!verdict_.succeeded(result, {Errno::NoEnt}, "take")) return;
        balance_.fetch_sub(1, Order::Relaxed);
        expect_written(values, number, "taken");
    }
    void look(u32 number, bool stays) {
        const u64 key = key_of(number);
        Values values;
        const s64 result = map_->ops->copy_value(map_, &key, &values, 0);
        if (verdict_.succeeded(result, {Errno::NoEnt}, "look")) {
            expect_written(values, number, "looked up");
        } else {
            verdict_.expect(!stays, "what stays is not found");
        }
    }
    // What a program sees through its pointer may be of the element's next key by now, but is some value.
    void see(u32 number, bool stays) {
        const u64 key = key_of(number);
        const void* found = map_->ops->lookup(map_, &key);
        if (!found) return verdict_.expect(!stays, "what stays is not seen");
        for (u32 i = 0; i < 2; ++i) {
            const u64 word =
                host::atomic_at<u64>(static_cast<const u64*>(found) + i).load(Order::Relaxed);
            const bool none = percpu() && word == 0;
            verdict_.expect(none || ((word & 0xff) == i && (word >> 40) - 1 < kNumbers),
                            "a word that nobody wrote");
        }
    }
    // A CPU's value is replaced in its place, word by word.
    void expect_written(const Values& values, u32 number, const char* what) {
        for (u32 i = 0; i < values_per_element_; ++i) {
            const Value& value = values.of_cpu[i];
            if (!percpu()) {
                verdict_.expect(value.is_of(number), what);
                continue;
            }
            for (u32 word = 0; word < 2; ++word) {
                verdict_.expect(
                    value.words[word] == 0 || Value::word_is_of(value.words[word], word, number),
                    what);
            }
        }
    }

    struct Census : ElementVisitor {
        u32 times[kNumbers] = {};
        u32 others = 0;

        void count(u64 key) {
            const u32 number = static_cast<u32>(key >> 32);
            number < kNumbers ? ++times[number] : ++others;
        }
        static bool visit_one(ElementVisitor* self, const void* key, void*) {
            static_cast<Census*>(self)->count(host::atomic_at<u64>(key).load(Order::Relaxed));
            return true;
        }
    };
    // The visitor reads the key after the walk has found it: what was replaced may be another's element by then.
    void walk() {
        const u32 seen_once = none_stays_ ? 0 : percpu() ? kStaying : kResting;
        Census census;
        census.visit = Census::visit_one;
        map_->ops->for_each(map_, &census);
        verdict_.expect(census.others == 0, "a key that nobody inserted");
        for (u32 number = 0; number < seen_once && !evicts(); ++number) {
            verdict_.expect(census.times[number] == 1, "what stays is not seen once");
        }
    }
    // Others may delete the key that the walk stands on, and it begins again.
    void list_keys() {
        u64 at, next;
        s64 error = map_->ops->next_key(map_, nullptr, &at);
        for (u32 steps = 0; error == 0 && steps < 2 * kNumbers; ++steps, at = next) {
            verdict_.expect(
                at >> 32 < kNumbers && static_cast<u32>(at) == ~static_cast<u32>(at >> 32),
                "a key that nobody inserted");
            error = map_->ops->next_key(map_, &at, &next);
        }
    }
    void collect(bool erasing) {
        static constexpr u32 kRoom = 8;
        u64 keys[kRoom];
        Value values[kRoom * 8];
        CollectedBucket out{reinterpret_cast<u8*>(keys), reinterpret_cast<u8*>(values),
                            values_per_element_ <= 8 ? kRoom : kRoom * 8 / values_per_element_, 0};
        for (u32 bucket = 0;; ++bucket) {
            const s64 error = map_->ops->collect_bucket(map_, bucket, erasing, 0, &out);
            if (error == -to_int(Errno::NoEnt)) break;
            verdict_.succeeded(error, {}, "collect");
            if (erasing && error == 0 && out.count <= out.capacity) {
                balance_.fetch_sub(out.count, Order::Relaxed);
            }
            for (u32 i = 0; error == 0 && out.count <= out.capacity && i < out.count; ++i) {
                const u32 number = static_cast<u32>(keys[i] >> 32);
                for (u32 cpu = 0; cpu < values_per_element_; ++cpu) {
                    const Value& value = values[i * values_per_element_ + cpu];
                    verdict_.expect(percpu() ? value.words[0] == 0 ||
                                                   Value::word_is_of(value.words[0], 0, number)
                                             : value.is_of(number),
                                    "collected");
                }
            }
        }
    }

    u32 count_keys() {
        u32 count = 0;
        u64 at, next;
        s64 error = map_->ops->next_key(map_, nullptr, &at);
        for (; error == 0; ++count, at = next) error = map_->ops->next_key(map_, &at, &next);
        return count;
    }
    // As many elements as before, and room for as many as there should be.
    void expect_nothing_lost() {
        EXPECT_EQ(count_keys(), balance_.load(Order::Relaxed));
        for (u32 number = 0; number < kNumbers; ++number) {
            const u64 key = key_of(number);
            map_->ops->erase(map_, &key);
        }
        EXPECT_EQ(count_keys(), 0u);
        test::settle();
        for (u32 number = 0; number < kEntries; ++number) {
            ASSERT_EQ(update(number, 1, BPF_NOEXIST), 0) << number;
        }
        EXPECT_EQ(update(kEntries, 1, BPF_NOEXIST), -to_int(Errno::TooBig));
    }
    // Every element is in the table or free, once.
    void expect_lists_whole() {
        // What an interrupt could not give back comes back with the next insertions.
        for (u32 number = 0; number < 16; ++number) update(number, 1, BPF_ANY);
        const BpfLruList::Census census = static_cast<hashtab::LruHashMap*>(map_)->lru.census();
        EXPECT_TRUE(census.sound);
        EXPECT_EQ(census.total(), map_->max_entries);
        EXPECT_EQ(census.total() - census.free - census.local_free - census.returned, count_keys());
    }

    u32 values_per_element_ = 1;
    bool none_stays_ = true;
    Atomic<u32> balance_{};
};
INSTANTIATE_TEST_SUITE_P(Kinds, HashKindsTorture, ::testing::ValuesIn(kKinds),
                         [](const auto& kind) { return std::string(kind.param.name); });

TEST_P(HashKindsTorture, NothingIsLostOrMadeUp) {
    make_full_of_the_staying();
    test::torture(*this);
    evicts() ? expect_lists_whole() : expect_nothing_lost();
}

// As bpf(2)'s LOOKUP_AND_DELETE_BATCH does it.
TEST_P(HashKindsTorture, NothingIsLostWhereBucketsAreEmptied) {
    make_map_for_torture();
    test::torture(*this);
    evicts() ? expect_lists_whole() : expect_nothing_lost();
}

}  // namespace
}  // namespace barebpf
