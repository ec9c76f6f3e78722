// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Torture for LPM tries: nested prefixes come and go; what covers an address is found, however short it is. With keys of
// four bytes, and with the same prefixes behind 24 bits of a longer one, in a trie that has its shortcut from the beginning.
#include "kernel/bpf/lpm_trie.h"
#include "kernel/bpf/map_torture_test.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;
using test::Random;

struct Key {
    u32 length;
    u8 data[4];

    bool covers(const Key& other) const {
        if (length > other.length) return false;
        for (u32 bit = 0; bit < length; ++bit) {
            if ((data[bit / 8] ^ other.data[bit / 8]) >> (7 - bit % 8) & 1) return false;
        }
        return true;
    }
};

constexpr u32 kStaying = 4;
constexpr u32 kNumbers = 80;
constexpr u32 kEntries = 64;

// Prefixes, all different. The first stay; the others are of all lengths, above, below and beside them.
class Prefixes {
public:
    // `longest`: in bits.
    explicit Prefixes(u32 longest = 32) {
        for (const Key& key : {Key{8, {10}}, {16, {10, 1}}, {20, {10, 1, 16}}, {24, {10, 2, 3}}}) {
            keys_[count_++] = key;
        }
        for (u32 n = 0; count_ < kNumbers; ++n) {
            const u32 lengths = longest - 8;
            Key key{9 + n * 7 % lengths, {10, u8(n / lengths % 4), u8(n % 5 * 16 + 1), u8(n)}};
            for (u32 bit = key.length; bit < 32; ++bit) key.data[bit / 8] &= u8(~(0x80 >> bit % 8));
            if (number_of(key) == kNumbers) keys_[count_++] = key;
        }
    }
    const Key& operator[](u32 number) const { return keys_[number]; }
    // kNumbers: none of them.
    u32 number_of(const Key& key) const {
        for (u32 number = 0; number < count_; ++number) {
            if (keys_[number].length == key.length && keys_[number].covers(key)) return number;
        }
        return kNumbers;
    }
    // The longest of those that stay.
    u32 least_length(const Key& address) const {
        u32 least = 0;
        for (u32 number = 0; number < kStaying; ++number) {
            const Key& staying = keys_[number];
            if (staying.covers(address) && staying.length > least) least = staying.length;
        }
        return least;
    }

private:
    Key keys_[kNumbers];
    u32 count_ = 0;
};

// As the map has it.
struct MapKey {
    static constexpr u32 kLongBytes = 8;
    u32 length;
    u8 data[kLongBytes];
};

class LpmTorture : public test::MapTorture<> {
public:
    void work(Random& random, u32) {
        const InsideProgram inside;
        random.one_in(16) ? void(list_keys()) : turn(random);
    }
    void interrupt(Random& random) { turn(random); }

protected:
    static constexpr u32 kAhead = 3;  // bytes before ours in a long key

    MapKey map_key(const Key& key) const {
        MapKey made{key.length, {0x20, 0x01, 0x0d}};
        if (long_) made.length += 8 * kAhead;
        __builtin_memcpy(made.data + (long_ ? kAhead : 0), key.data, sizeof key.data);
        return made;
    }
    Key key_of(const MapKey& made) const {
        Key key{made.length - (long_ ? 8 * kAhead : 0), {}};
        __builtin_memcpy(key.data, made.data + (long_ ? kAhead : 0), sizeof key.data);
        return key;
    }
    s64 erase(const Key& key) {
        const MapKey wanted = map_key(key);
        return map_->ops->erase(map_, &wanted);
    }
    void run();
    void expect_shortcut() {
        host::RcuReadGuard rcu;
        EXPECT_TRUE(static_cast<LpmTrie*>(map_)->shortcut.dereference());
    }
    s64 update(u32 number, u32 counter, u64 flags) {
        const MapKey key = map_key(prefixes_[number]);
        const u64 value = u64{number + 1} << 32 | counter;
        return map_->ops->update(map_, &key, &value, flags);
    }
    void turn(Random& random) {
        const u32 number = random.below(kNumbers);
        const Key& key = prefixes_[number];
        const u32 counter = random.below(1u << 24);
        switch (random.below(6)) {
            case 0:
                if (verdict_.succeeded(update(number, counter, BPF_NOEXIST),
                                       {Errno::Exist, Errno::NoSpc, Errno::NoMem}, "insert")) {
                    balance_.fetch_add(1, Order::Relaxed);
                }
                return;
            case 1:
                if (number < kStaying) return;
                if (verdict_.succeeded(erase(key), {Errno::NoEnt, Errno::NoMem}, "erase")) {
                    balance_.fetch_sub(1, Order::Relaxed);
                }
                return;
            case 2:
                verdict_.succeeded(update(number, counter, BPF_EXIST), {Errno::NoEnt, Errno::NoMem},
                                   "replace");
                return;
            default:
                return look(key, random);
        }
    }
    void look(const Key& near, Random& random) {
        Key address = near;
        address.length = 32;
        address.data[3] = static_cast<u8>(address.data[3] | random.below(2));
        const u32 least = prefixes_.least_length(address);
        MapKey wanted = map_key(address);
        if (long_) wanted.length = 8 * MapKey::kLongBytes;
        const void* found = map_->ops->lookup(map_, &wanted);
        if (!found) return verdict_.expect(least == 0, "nothing covers what something covers");
        const u64 value = host::atomic_at<u64>(found).load(Order::Relaxed);
        const u32 number = static_cast<u32>(value >> 32) - 1;
        verdict_.expect(number < kNumbers, "a value that nobody wrote");
        if (number >= kNumbers) return;
        const Key& prefix = prefixes_[number];
        verdict_.expect(prefix.covers(address), "the value of a prefix that does not cover");
        verdict_.expect(prefix.length >= least, "the value of a shorter prefix");
    }
    // Others may delete the key that the walk stands on; it goes on behind it.
    u32 list_keys() {
        MapKey at, next;
        s64 error = map_->ops->next_key(map_, nullptr, &at);
        u32 count = 0;
        for (; error == 0 && count < 2 * kNumbers; ++count, at = next) {
            verdict_.expect(prefixes_.number_of(key_of(at)) < kNumbers,
                            "a prefix that nobody inserted");
            error = map_->ops->next_key(map_, &at, &next);
        }
        verdict_.expect(error == -to_int(Errno::NoEnt) || error == 0, "walk");
        return count;
    }

    Prefixes prefixes_;
    Atomic<u32> balance_{};
    bool long_ = false;
    bool direct_ = false;
};

void LpmTorture::run() {
    const u32 data_size = long_ ? MapKey::kLongBytes : sizeof(Key::data);
    make(test::map_attr(BPF_MAP_TYPE_LPM_TRIE, sizeof(u32) + data_size, sizeof(u64), kEntries,
                        BPF_F_NO_PREALLOC));
    auto* trie = static_cast<LpmTrie*>(map_);
    if (long_ || direct_) trie->grow_at.store(1, Order::Relaxed);
    for (u32 number = 0; number < kStaying; ++number) {
        ASSERT_EQ(update(number, 0, BPF_NOEXIST), 0);
    }
    balance_.store(kStaying, Order::Relaxed);
    // Each update fills some places of the direct table.
    for (u32 i = 0; direct_ && i < 1200; ++i) ASSERT_EQ(update(0, i, BPF_EXIST), 0);
    test::torture(*this);
    EXPECT_EQ(list_keys(), balance_.load(Order::Relaxed));
    for (u32 number = 0; number < kNumbers; ++number) erase(prefixes_[number]);
    EXPECT_EQ(list_keys(), 0u);
    test::settle();
    for (u32 number = 0; number < kEntries; ++number) {
        ASSERT_EQ(update(number, 1, BPF_NOEXIST), 0) << number;
    }
    EXPECT_EQ(update(kEntries, 1, BPF_NOEXIST), -to_int(Errno::NoSpc));
    EXPECT_EQ(list_keys(), kEntries);
}

TEST_F(LpmTorture, WhatCoversIsFoundAndNothingIsLost) {
    run();
}

// With the table that large tries have, where nodes without longer ways hold what covers them from above.
TEST_F(LpmTorture, BelowADirectTableToo) {
    direct_ = true;
    prefixes_ = Prefixes(24);
    run();
    expect_shortcut();
}

TEST_F(LpmTorture, OfLongKeysToo) {
    long_ = true;
    run();
    expect_shortcut();
}

}  // namespace
}  // namespace barebpf
