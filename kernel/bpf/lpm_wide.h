// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of lpm_trie: the wide nodes of tries whose keys have four bytes. One stands for the third byte of
// the key: below the first 16 bits there is always one, and nothing else that is longer than they are hangs
// there. It answers for prefixes of 17 to 24 bits in one step, whichever of them win:
//
//     the 256 values of the byte, in runs that have the same longest prefix
//
//     ends     0 0 0 0 1 0 0 1 0 1 0 0 0 ...      256 bits: where a run ends, but for the last; `after`: how
//                                                 many do so behind each of the eight words
//     entries  [ leaf /20 | leaf /23 | deep | leaf /20 | ... ][ hidden, hidden ... ]
//                one of each run, the last run's first;        prefixes that longer ones cover in whole
//                where none of these is: what covers the node (lpm_shortcut.h), or 0
//
// An entry is deep if it leads to prefixes longer than 24 bits: a node, or the leaf of a single one; its run
// is one value. What it does not cover is what would be there without it, and is looked for among all
// entries (cover_in()).
//
// Readers see a wide node complete: a change is a copy, but for what concerns a single entry.
// A reader's step has no condition that depends on the key: look-ups that follow one another overlap in the
// processor while they wait for memory.
#pragma once

#include "kernel/bpf/lpm_walk.h"

namespace barebpf::lpm {

// For entries: what covers so many places among the values of the byte.
struct Range {
    u32 first, last;
    u32 length;  // in bits of the key; kDeep: more than 24
};

ALWAYS_INLINE bool is_deep(u32 entry) {
    return entry && !(entry & kShortLeaf);
}
inline Range range_of(u32 slot, u32 prefixlen) {
    if (prefixlen > kWideEnd) return {slot, slot, kDeep};
    const u32 behind = (1u << (kWideEnd - prefixlen)) - 1;
    return {slot & ~behind, slot | behind, prefixlen};
}
inline Range range_of(const LpmTrie* trie, u32 entry) {
    if (!is_leaf(entry)) return range_of(trie->node(entry)->path >> 8 & 255, kDeep);
    const Leaf* leaf = trie->leaf(entry);
    return range_of(leaf->data()[kWideByte], leaf->prefixlen());
}

// The entry of the prefix with this range, or null. Of those of one run the first.
Atomic<u32>* find_in(const LpmTrie* trie, Wide* wide, const Range& range);

// Where it stands in the order of keys, from 1 on.
constexpr u32 order_of(const Range& range) {
    return (range.last << 4 | (kDeep - range.length)) + 1;
}
// The first entry behind that place; 0: none.
u32 next_in(const LpmTrie* trie, const Wide* wide, u32 order);

class WideWriter;

// A copy of a wide node with one entry more or less; the old one may be null: nothing there yet.
struct WideChange {
    const Wide* old;
    Range range;
    u32 entry;  // to put there, where nothing longer is, or in the place of `gone`
    u32 gone;   // to take away; 0: `entry` is new

    // The class of nodes that it fits.
    u32 size_class() const;
    void write(const LpmTrie* trie, Wide* made, const u8* data) const;

private:
    struct Painted {
        bool shown;   // the entry has a run
        u32 covered;  // what it covers, where it is new; 0: nothing
    };
    Painted paint(const LpmTrie* trie, WideWriter& writer) const;
};
// The same to the node itself, step by step: for want of memory. Readers of some keys may see it before
// readers of others.
void take_away_in_place(Wide* wide, u32 gone, u32 cover);

u32 occurrences(const Wide* wide, u32 entry);
// Whether nothing but `entry` is there.
bool is_only(const Wide* wide, u32 entry);

}  // namespace barebpf::lpm
