// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/lpm_summary.h"

namespace barebpf::lpm {
namespace {

constexpr u32 kLast = 0xffff;  // value

struct Part {
    u32 first, last;  // values
    u32 length;       // in bits of the key; kDeepPart: more than 48
    u32 entry;
};
constexpr u32 kDeepPart = Summary::kEnd + 1;

// All prefixes that begin with some 32 bits, and the ways on.
class Parts {
public:
    static constexpr u32 kMost = 32;

    explicit Parts(const LpmTrie* trie) : trie_(trie) {}

    // False: too many.
    bool add_leaf(u32 entry) {
        const Leaf* leaf = trie_->leaf(entry);
        const u32 length = leaf->prefixlen();
        if (length > Summary::kEnd) return add_deep(entry, leaf);
        if (length <= Summary::kFirst) {
            return add({0, kLast, Summary::kFirst, number_of(entry) | kShortLeaf});
        }
        const u32 behind = kLast >> (length - Summary::kFirst);
        const u32 value = Summary::value_of(leaf->data());
        return add({value & ~behind, value | behind, length, number_of(entry) | kShortLeaf});
    }
    bool add_all(u32 entry) {
        if (!entry) return true;
        if (is_leaf(entry)) return add_leaf(entry);
        const Node* node = trie_->node(entry);
        if (4 * node->depth() >= Summary::kEnd) return add_deep(entry, some_leaf(trie_, entry));
        const u32 all = entry_count(node);
        for (u32 i = 0; i < all; ++i) {
            if (!add_all(node->entries[i].load(Order::Relaxed))) return false;
        }
        return true;
    }
    bool worth_it() const { return count_ && 2 * deep_ <= count_; }

    u32 size_class() const {
        return count_ <= PrefixList::kMost ? kSummaryClass : kSummaryClass + 1;
    }
    u32 count_runs() const {
        u32 runs = 0;
        each_run([&](u32, u32) { ++runs; });
        return runs;
    }
    void write(PrefixList* list) const;
    void write(Runs* runs) const;

private:
    // Longer ones first.
    bool add(const Part& part) {
        if (count_ == kMost) return false;
        u32 at = count_++;
        for (; at && parts_[at - 1].length < part.length; --at) parts_[at] = parts_[at - 1];
        parts_[at] = part;
        return true;
    }
    bool add_deep(u32 entry, const Leaf* leaf) {
        if (!leaf) return false;
        ++deep_;
        const u32 value = Summary::value_of(leaf->data());
        return add({value, value, kDeepPart, entry & ~kShortLeaf});
    }
    // The entry for this value, and the last of those up to which nothing changes.
    u32 longest(u32 value, u32* last) const {
        u32 entry = 0;
        *last = kLast;
        for (u32 i = count_; i; --i) {
            const Part& part = parts_[i - 1];
            if (value < part.first) {
                if (part.first <= *last) *last = part.first - 1;
            } else if (value <= part.last) {
                if (part.last < *last) *last = part.last;
                entry = part.entry;
            }
        }
        return entry;
    }
    // use(last value, entry)
    template <class Use>
    void each_run(Use use) const {
        u32 last;
        u32 entry = longest(0, &last);
        while (last != kLast) {
            u32 end;
            const u32 next = longest(last + 1, &end);
            if (next != entry) use(last, entry);
            entry = next;
            last = end;
        }
        use(kLast, entry);
    }

    const LpmTrie* trie_;
    u32 count_ = 0;
    u32 deep_ = 0;
    Part parts_[kMost];
};

void Parts::write(PrefixList* list) const {
    for (u64& word : list->words) word = 0;
    for (u32 i = 0; i < PrefixList::kMost; ++i) {
        const Part& part = parts_[i < count_ ? i : count_ - 1];
        const u64 bits = part.first << 1 | (part.last - part.first + 1);
        const PrefixList::Lane to = PrefixList::kLanes[i];
        list->words[to.word] |= bits << PrefixList::kLane * to.lane;
        list->entries[to.index()].store(part.entry, Order::Relaxed);
    }
}

void Parts::write(Runs* runs) const {
    u32 run = 0;
    each_run([&](u32 last, u32 entry) {
        runs->ends[run] = static_cast<u16>(last);
        runs->entries[run++].store(entry, Order::Relaxed);
    });
    for (; run < Runs::kMost; ++run) {
        runs->ends[run] = kLast;
        runs->entries[run].store(0, Order::Relaxed);
    }
}

// The longest prefix that covers all of it, or 0.
u32 cover_of(const LpmTrie* trie, const u8* data) {
    const u32 entry = find_limited(trie, KeyAny(data), Summary::kFirst);
    return entry && trie->leaf(entry)->prefixlen() >= Summary::kLeastCover ? entry : 0;
}

}  // namespace

MadeSummary make_summary(LpmTrie* trie, const u8* data, u32 entry, u32* made) {
    Parts parts(trie);
    if (const u32 cover = cover_of(trie, data)) parts.add_leaf(cover);
    if (!parts.add_all(entry) || !parts.worth_it()) return MadeSummary::No;
    const u32 size_class = parts.size_class();
    const bool list = size_class == kSummaryClass;
    if (!list && parts.count_runs() > Runs::kMost) return MadeSummary::No;
    const u32 number = trie->space.alloc(size_class);
    if (!number) return MadeSummary::NoMemory;
    *made = number | kSummary;
    if (list) {
        parts.write(static_cast<PrefixList*>(trie->summary(*made)));
    } else {
        parts.write(static_cast<Runs*>(trie->summary(*made)));
    }
    return MadeSummary::Yes;
}

}  // namespace barebpf::lpm
