// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/lpm_runs.h"

namespace barebpf::lpm {
namespace {

constexpr u32 kLast = 0xffff;
constexpr u32 kMost = 32;  // prefixes

struct Part {
    u32 first, last;  // values
    u32 length;
    u32 entry;
};

// All that begins with some 32 bits.
class Parts {
public:
    explicit Parts(const LpmTrie* trie) : trie_(trie) {}

    bool add_leaf(u32 entry) {
        const Leaf* leaf = trie_->leaf(entry);
        const u32 length = leaf->prefixlen();
        if (length > Runs::kEnd) return add_deep(entry, leaf);
        const u32 behind = kLast >> (length - Runs::kFirst);
        const u32 value = Runs::value_of(leaf->data());
        return add(
            {value & ~behind & kLast, value | behind, length, number_of(entry) | kShortLeaf});
    }
    bool add_all(u32 entry) {
        if (!entry) return true;
        if (is_leaf(entry)) return add_leaf(entry);
        const Node* node = trie_->node(entry);
        if (4 * node->depth() >= Runs::kEnd) return add_deep(entry, some_leaf(trie_, entry));
        const u32 all = entry_count(node);
        for (u32 i = 0; i < all; ++i) {
            if (!add_all(node->entries[i].load(Order::Relaxed))) return false;
        }
        return true;
    }
    bool worth_it() const { return count_ && 2 * deep_ <= count_; }

    // The number of runs.
    u32 count_runs() const {
        u32 runs = 0;
        each_run([&](u32, u32) { ++runs; });
        return runs;
    }
    // There is room for so many.
    template <u32 kCapacity>
    void write(RunsOf<kCapacity>* runs) const {
        u32 run = 0;
        each_run([&](u32 last, u32 entry) {
            runs->ends[run] = static_cast<u16>(last);
            runs->entries[run++].store(entry, Order::Relaxed);
        });
        for (; run < kCapacity; ++run) {
            runs->ends[run] = kLast;
            runs->entries[run].store(0, Order::Relaxed);
        }
    }

private:
    bool add(const Part& part) {
        if (count_ == kMost) return false;
        parts_[count_++] = part;
        return true;
    }
    bool add_deep(u32 entry, const Leaf* leaf) {
        if (!leaf) return false;
        ++deep_;
        const u32 value = Runs::value_of(leaf->data());
        return add({value, value, Runs::kEnd + 1, entry & ~kShortLeaf});
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
    // The entry for this value, and the last of those up to which nothing changes.
    u32 longest(u32 value, u32* last) const {
        u32 entry = 0, length = 0;
        *last = kLast;
        for (u32 i = 0; i < count_; ++i) {
            const Part& part = parts_[i];
            if (value < part.first) {
                if (part.first <= *last) *last = part.first - 1;
            } else if (value <= part.last) {
                if (part.last < *last) *last = part.last;
                if (part.length > length) entry = part.entry, length = part.length;
            }
        }
        return entry;
    }

    const LpmTrie* trie_;
    u32 count_ = 0;
    u32 deep_ = 0;
    Part parts_[kMost];
};

// The prefix of just 32 bits, or 0.
u32 exact_cover(const LpmTrie* trie, const u8* data) {
    const u32 entry = find_limited(trie, KeyAny(data), Runs::kFirst);
    return entry && trie->leaf(entry)->prefixlen() == Runs::kFirst ? entry : 0;
}

}  // namespace

MadeRuns make_runs(LpmTrie* trie, const u8* data, u32 entry, u32* made) {
    Parts parts(trie);
    const u32 cover = exact_cover(trie, data);
    if (cover) parts.add_leaf(cover);
    if ((entry && !parts.add_all(entry)) || !parts.worth_it()) return MadeRuns::TooMany;
    const u32 runs = parts.count_runs();
    if (runs > Runs::kMany) return MadeRuns::TooMany;
    const bool few = runs <= Runs::kFew;
    const u32 number = trie->space.alloc(few ? kRunsClass : kRunsClass + 1);
    if (!number) return MadeRuns::NoMemory;
    *made = number | kRuns;
    if (few) {
        parts.write(static_cast<FewRuns*>(trie->runs(*made)));
    } else {
        parts.write(static_cast<ManyRuns*>(trie->runs(*made)));
    }
    return MadeRuns::Yes;
}

}  // namespace barebpf::lpm
