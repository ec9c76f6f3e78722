// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Faults on purpose into maps of maps: an NMI before the instructions of bpf(2) that replaces or deletes an inner map,
// whose last reference that was, looks the inner maps up and reads them. Memory that was given back too early would not
// hold what a value of theirs does.
#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/map_inject_test.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using test::trace;

class Subject : public test::Tally {
public:
    static constexpr u32 kInnerEntries = 2;
    static constexpr u64 kMagic = 0x1234'5678'9abc'def0;
    static constexpr u32 kKey = 1;

    void make(u32 type) {
        fresh();
        outer_ = Client::create_outer(type, 4, 4, fresh_);
        ASSERT_GE(outer_, 0);
        map_ = test::map_of(outer_);
    }
    void close() {
        Client::close(fresh_);
        Client::close(outer_);
    }
    // A new inner map, for replace().
    void fresh() {
        if (fresh_ >= 0) Client::close(fresh_);
        fresh_ = Client::create(BPF_MAP_TYPE_ARRAY, 4, 8, kInnerEntries);
        for (u32 i = 0; i < kInnerEntries; ++i) Client::update(fresh_, &i, &kMagic);
    }
    // From here on only the outer map has it.
    s64 replace() {
        const u32 key = kKey;
        const s64 result = Client::update(outer_, &key, &fresh_);
        Client::close(fresh_);
        fresh_ = -1;
        return result;
    }
    s64 erase() {
        const u32 key = kKey;
        return Client::erase(outer_, &key);
    }
    void interrupt() {
        next_turn();
        const u32 key = kKey;
        auto* inner = static_cast<Map*>(map_->ops->lookup(map_, &key));
        if (!inner) return;
        count_done();
        count_bad(inner->type != BPF_MAP_TYPE_ARRAY);
        for (u32 i = 0; i < kInnerEntries; ++i) {
            const void* value = inner->ops->lookup(inner, &i);
            count_bad(!value ||
                      host::atomic_at<u64>(const_cast<void*>(value)).load(host::Order::Relaxed) !=
                          kMagic);
        }
    }

private:
    int outer_ = -1, fresh_ = -1;
    Map* map_ = nullptr;
};

using Operation = test::Operation<Subject, u32>;  // after: nothing

void put_fresh(Subject& subject) {
    subject.fresh();
    subject.replace();
}
const Operation kOperations[] = {
    {"replace",
     [](Subject& s) {
         put_fresh(s);
         s.fresh();
     },
     [](Subject& s) { return s.replace(); }, 0},
    {"delete", put_fresh, [](Subject& s) { return s.erase(); }, 0},
};

TEST(MapInMapInject, AnNmiBeforeInstructionsOfReplaceAndDelete) {
    host::Cpu::Entry inside;
    for (const u32 type : {u32{BPF_MAP_TYPE_ARRAY_OF_MAPS}, u32{BPF_MAP_TYPE_HASH_OF_MAPS}}) {
        for (const Operation& operation : kOperations) {
            Subject subject;
            subject.make(type);
            const bool can = test::record(subject, operation);
            // Not every one: the neighbours of an instruction are in the same state.
            for (u32 i = 0; can && i < trace.size(); i += 5) {
                operation.prepare(subject);
                inject::Breakpoint here(
                    trace[i], host::cpu_id(),
                    [](void* self) { static_cast<Subject*>(self)->interrupt(); }, &subject);
                EXPECT_EQ(test::attempt(subject, operation), 0) << operation.name;
                host::Cpu::yield_point();
            }
            subject.close();
            if (!can) GTEST_SKIP() << "no single steps here";
            EXPECT_EQ(subject.bad(), 0u) << operation.name;
            EXPECT_GT(subject.done(), 20u) << operation.name;
        }
    }
}

}  // namespace
}  // namespace barebpf
