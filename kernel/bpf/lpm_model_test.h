// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// For tests of the LPM trie: a trie to work on, and a list of prefixes that does the same slowly.
#pragma once

#include <cstring>
#include <map>
#include <random>
#include <string>

#include "kernel/bpf/lpm_trie.h"
#include "kernel/bpf/map_test.h"

namespace barebpf::lpm_test {

struct Prefix {
    u32 length;
    std::string data;  // whole, bits behind the length included

    u32 bit(u32 i) const { return static_cast<u8>(data[i / 8]) >> (7 - i % 8) & 1; }
    bool covers(const Prefix& other) const {
        if (length > other.length) return false;
        for (u32 i = 0; i < length; ++i) {
            if (bit(i) != other.bit(i)) return false;
        }
        return true;
    }
    std::string key() const {
        std::string bytes(4, '\0');
        std::memcpy(bytes.data(), &length, 4);
        return bytes + data;
    }
};

// Of an IPv4 address.
inline Prefix prefix4(u32 address, u32 length) {
    Prefix made{length, std::string(4, '\0')};
    for (u32 i = 0; i < 4; ++i) made.data[i] = static_cast<char>(address >> (24 - 8 * i));
    return made;
}

// The order of a walk: what is covered first, then 0 before 1. Bits behind the length do not count.
struct WalkOrder {
    bool operator()(const Prefix& a, const Prefix& b) const {
        const u32 shorter = std::min(a.length, b.length);
        for (u32 i = 0; i < shorter; ++i) {
            if (a.bit(i) != b.bit(i)) return a.bit(i) < b.bit(i);
        }
        return a.length > b.length;
    }
};

inline bpf_attr trie_attr(u32 data_size, u32 entries, u32 value_size = 8) {
    return test::map_attr(BPF_MAP_TYPE_LPM_TRIE, 4 + data_size, value_size, entries,
                          BPF_F_NO_PREALLOC);
}

class TestTrie {
public:
    TestTrie(u32 data_size, u32 entries, u32 value_size = 8)
        : map_(test::make_map(trie_attr(data_size, entries, value_size))) {}
    ~TestTrie() { test::drop_map(map_); }
    TestTrie(const TestTrie&) = delete;
    TestTrie& operator=(const TestTrie&) = delete;

    Map* map() { return map_; }
    LpmTrie* trie() { return static_cast<LpmTrie*>(map_); }
    // Of a value that is larger the number is the first word.
    s64 update(const Prefix& prefix, u64 number, u64 flags = BPF_ANY) {
        std::string value(map_->value_size, '\x5a');
        std::memcpy(value.data(), &number, sizeof number);
        host::RcuReadGuard rcu;
        return map_->ops->update(map_, prefix.key().data(), value.data(), flags);
    }
    s64 erase(const Prefix& prefix) {
        host::RcuReadGuard rcu;
        return map_->ops->erase(map_, prefix.key().data());
    }
    // -1: none covers it.
    s64 lookup(const Prefix& key) {
        host::RcuReadGuard rcu;
        const void* value = map_->ops->lookup(map_, key.key().data());
        if (!value) return -1;
        return static_cast<s64>(host::atomic_at<u64>(value).load(host::Order::Relaxed));
    }
    // The error, or 0 and *next.
    s64 next(const Prefix* after, Prefix* next) {
        host::RcuReadGuard rcu;
        const u32 data_size = map_->key_size - 4;
        const std::string key = after ? after->key() : std::string();
        std::string bytes(map_->key_size, '\0');
        const s64 error = map_->ops->next_key(map_, after ? key.data() : nullptr, bytes.data());
        if (error) return error;
        std::memcpy(&next->length, bytes.data(), 4);
        next->data = bytes.substr(4, data_size);
        return 0;
    }

private:
    Map* map_;
};

// The same by a sorted list.
class Model {
public:
    explicit Model(u32 entries) : entries_(entries) {}
    s64 update(const Prefix& prefix, u64 value, u64 flags = BPF_ANY) {
        const auto found = values_.find(prefix);
        if (found != values_.end()) {
            if (flags == BPF_NOEXIST) return -to_int(Errno::Exist);
            values_.erase(found);  // the new one brings its own bits behind the length
        } else {
            if (flags == BPF_EXIST) return -to_int(Errno::NoEnt);
            if (values_.size() == entries_) return -to_int(Errno::NoSpc);
        }
        values_[prefix] = value;
        return 0;
    }
    s64 erase(const Prefix& prefix) { return values_.erase(prefix) ? 0 : -to_int(Errno::NoEnt); }
    s64 lookup(const Prefix& key) const {
        const Prefix* best = nullptr;
        s64 value = -1;
        for (const auto& [prefix, its_value] : values_) {
            if ((best && prefix.length < best->length) || !prefix.covers(key)) continue;
            best = &prefix;
            value = static_cast<s64>(its_value);
        }
        return value;
    }
    s64 next(const Prefix* after, Prefix* next) const {
        auto at = values_.begin();
        if (after) {
            const auto found = values_.find(*after);
            if (found != values_.end()) at = std::next(found);
        }
        if (at == values_.end()) return -to_int(Errno::NoEnt);
        *next = at->first;
        return 0;
    }
    const std::map<Prefix, u64, WalkOrder>& values() const { return values_; }

private:
    size_t entries_;
    std::map<Prefix, u64, WalkOrder> values_;
};

// Prefixes that meet: bytes from few values, lengths everywhere.
inline Prefix random_prefix(std::mt19937& random, u32 data_size, u32 variety) {
    Prefix prefix;
    prefix.data.resize(data_size);
    for (char& byte : prefix.data) {
        byte = static_cast<char>(random() % variety == 0 ? random() : 0x5a);
    }
    prefix.length = random() % (8 * data_size + 1);
    if (random() % 4 == 0) prefix.length = 8 * (random() % (data_size + 1));
    return prefix;
}

inline void expect_same_walk(TestTrie& trie, const Model& model) {
    Prefix at{}, next{};
    s64 error = trie.next(nullptr, &at);
    for (const auto& [prefix, value] : model.values()) {
        ASSERT_EQ(error, 0);
        ASSERT_EQ(at.length, prefix.length);
        ASSERT_TRUE(at.data == prefix.data);
        ASSERT_EQ(trie.lookup(at), static_cast<s64>(value));
        error = trie.next(&at, &next);
        at = next;
    }
    EXPECT_EQ(error, -to_int(Errno::NoEnt));
}

}  // namespace barebpf::lpm_test
