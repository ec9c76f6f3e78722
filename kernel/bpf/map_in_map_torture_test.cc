// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Torture for maps of maps: inner maps are replaced, deleted and freed while programs, and what interrupts them, use
// them. Words of memory that was given back too early would not be those of the key that they were found under.
#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/map_torture_test.h"

namespace barebpf {
namespace {

using Client = test::MapClient<test::OurBpf>;
using host::Order;
using test::Random;

constexpr u32 kKeys = 6;
constexpr u32 kInnerEntries = 4;

class MapInMapTorture : public test::MapTorture<::testing::TestWithParam<u32>> {
public:
    void work(Random& random, u32) {
        const u32 key = random.below(kKeys);
        if (random.one_in(32)) return replace(key, random.below(1u << 24));
        if (random.one_in(64)) return erase(key);
        if (random.one_in(16)) return ask_id(key);
        const InsideProgram inside;
        use(key);
    }
    void interrupt(Random& random) { use(random.below(kKeys)); }

protected:
    static int make_inner(u32 key, u32 counter) {
        const int inner = Client::create(BPF_MAP_TYPE_ARRAY, 4, 8, kInnerEntries);
        for (u32 i = 0; i < kInnerEntries && inner >= 0; ++i) {
            const u64 word = test::Stamp<1>::of(key, counter).words[0] | i;
            Client::update(inner, &i, &word);
        }
        return inner;
    }
    void replace(u32 key, u32 counter) {
        const int inner = make_inner(key, counter);
        verdict_.expect(inner >= 0, "no inner map");
        const s64 result = Client::update(outer_, &key, &inner);
        verdict_.expect(result == 0, "no update");
        verdict_.expect(machine::close_fd(inner) == 0, "no close");
        replaced_.fetch_add(1, Order::Relaxed);
    }
    void erase(u32 key) {
        verdict_.succeeded(Client::erase(outer_, &key), {Errno::NoEnt}, "erase");
    }
    // Of a map that there was, even if it has gone by now.
    void ask_id(u32 key) {
        u32 id = 0;
        const s64 result = Client::lookup(outer_, &key, &id);
        if (!verdict_.succeeded(result, {Errno::NoEnt}, "ask")) return;
        verdict_.expect(id != 0, "no id");
        const s64 fd = test::MapClient<test::OurBpf>::fd_by_id(id);
        if (fd < 0) return verdict_.expect(fd == -to_int(Errno::NoEnt), "no descriptor");
        machine::close_fd(static_cast<int>(fd));
    }
    void use(u32 key) {
        auto* inner = static_cast<Map*>(map_->ops->lookup(map_, &key));
        if (!inner) return;
        found_.fetch_add(1, Order::Relaxed);
        verdict_.expect(inner->type == BPF_MAP_TYPE_ARRAY, "not an inner map");
        for (u32 i = 0; i < kInnerEntries; ++i) {
            const void* value = inner->ops->lookup(inner, &i);
            const u64 word = value ? host::atomic_at<u64>(value).load(Order::Relaxed) : 0;
            verdict_.expect(test::Stamp<1>::word_is_of(word, i, key), "not this key's inner map");
        }
    }

    int outer_ = -1;
    host::Atomic<u32> found_{}, replaced_{};
};
INSTANTIATE_TEST_SUITE_P(Types, MapInMapTorture,
                         ::testing::Values(u32{BPF_MAP_TYPE_ARRAY_OF_MAPS},
                                           u32{BPF_MAP_TYPE_HASH_OF_MAPS}),
                         [](const auto& made) {
                             return std::string(made.param == BPF_MAP_TYPE_ARRAY_OF_MAPS ? "Array"
                                                                                         : "Hash");
                         });

TEST_P(MapInMapTorture, WhatIsFoundIsThatKeysAndStillThere) {
    const int like = make_inner(0, 0);
    // What a delete has taken out of a hash is not free at once: room for those under way.
    outer_ = Client::create_outer(GetParam(), 4, kKeys + test::threads(), like);
    Client::close(like);
    ASSERT_GE(outer_, 0);
    map_ = test::map_of(outer_);
    for (u32 key = 0; key < kKeys; ++key) replace(key, 0);
    test::torture(*this);
    map_ = nullptr;
    Client::close(outer_);
    EXPECT_GT(found_.load(Order::Relaxed), 0u);
    EXPECT_GT(replaced_.load(Order::Relaxed), kKeys);
}

}  // namespace
}  // namespace barebpf
