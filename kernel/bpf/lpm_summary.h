// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of lpm_trie: what there is below some first 32 bits, where that is little, in one piece for one look: keys of six
// bytes and more, reached through the hashed shortcut (lpm_shortcut.h). Prefixes of 33 to 48 bits, and the longest of 29 to 32:
//
//     up to 8    PrefixList  [ header | 3 words of 3 lanes, 21 bits each: a prefix | 8 entries ]  one cache line
//     up to 32   Runs        the 65536 values of the next two bytes, in runs that have the same longest prefix
//                            ends     [ 0x00ff | 0x4fff | 0x5000 | 0xffff, 0xffff, ... ]   last value of each, 64
//                            entries  [ leaf/40| leaf/36|  deep  |   0, ...            ]   as many
//
// An entry is a leaf, with kShortLeaf whatever its own is; or that of the tree below one value (deep), the way that goes
// on behind 48 bits; or 0: nothing that is known here. The two latter are no answer: the tree has it. Nothing of a leaf
// that is found is compared, the way to it has all its bits.
//
// A lane has the bits of the prefix behind the first 32, a 1 and zeros: 17 bits. What a key differs in is below that 1
// if the prefix covers it, that is, no more than the lane's lowest 1 and all below it. The longest that covers is the
// first one of the order in which the lanes are filled; lanes left over repeat the last.
//
// No condition of a look depends on the key: look-ups that follow one another overlap. A summary is made anew, by one walk
// over its few leaves, whenever one of its prefixes changes, and never changes itself.
#pragma once

#include "kernel/bpf/lpm_walk.h"
#include "kernel/lib/bits.h"

namespace barebpf::lpm {

struct Summary {
    static constexpr u32 kFirst = 32;       // bits of the key before those that it stands for
    static constexpr u32 kEnd = 48;         // and behind them
    static constexpr u32 kLeastCover = 29;  // of a prefix that covers all of it

    ObjectHeader header;

    ALWAYS_INLINE bool is_list() const { return header.size_class == kSummaryClass; }
    // Of a key.
    static ALWAYS_INLINE u32 value_of(const u8* data) {
        return __builtin_bswap16(load_unaligned<u16>(data + kFirst / 8));
    }
};

struct PrefixList : Summary {
    static constexpr u32 kMost = 8;
    static constexpr u32 kLane = 21;
    static constexpr u64 kEachLane = 1 | u64{1} << kLane | u64{1} << 2 * kLane;
    static constexpr u64 kGuards = kEachLane << 17;

    u64 words[3];
    Atomic<u32> entries[kMost];

    // For a value, the entry of the first that covers it.
    ALWAYS_INLINE u32 entry_of(u32 value) const {
        // Not as additions, which the compiler takes for cheaper: they are more instructions.
        u64 each = kEachLane << 1;
        asm("" : "+r"(each));
        const u64 all = value * each;
        const u64 covers = covering(0, all) >> 17 | covering(1, all) >> 16 |
                           (covering(2, all) & kGuards >> kLane) >> 10;
        return LIKELY(covers != 0) ? entries[index_at(lowest_bit(covers))].load(Order::Acquire) : 0;
    }
    // Where in the order of lanes the i-th one is: word, lane. Bits 0, 1, 7, 21, 22, 28, 42, 43 above.
    struct Lane {
        u8 word, lane;
        u32 index() const { return index_at(kLane * lane + (word == 2 ? 7 : word)); }
    };
    static constexpr Lane kLanes[kMost] = {{0, 0}, {1, 0}, {2, 0}, {0, 1},
                                           {1, 1}, {2, 1}, {0, 2}, {1, 2}};

private:
    // All different for those eight bits.
    static constexpr u32 index_at(u32 bit) { return bit % kMost; }
    ALWAYS_INLINE u64 covering(u32 i, u64 all) const {
        const u64 word = words[i];
        const u64 may_differ = (word - kEachLane) ^ word;
        return ((may_differ | kGuards) - (word ^ all)) & kGuards;
    }
};
static_assert(sizeof(PrefixList) == 64);

struct Runs : Summary {
    static constexpr u32 kMost = 64;

    u16 ends[kMost];  // the last one is always 0xffff
    Atomic<u32> entries[kMost];

    ALWAYS_INLINE u32 entry_of(u32 value) const {
        u32 run = 0;
        for (u32 half = kMost / 2; half; half /= 2) {
            run += ends[run + half - 1] < value ? half : 0;
        }
        return entries[run].load(Order::Acquire);
    }
};
ALWAYS_INLINE u32 entry_in(const Summary* summary, u32 value) {
    return LIKELY(summary->is_list()) ? static_cast<const PrefixList*>(summary)->entry_of(value)
                                      : static_cast<const Runs*>(summary)->entry_of(value);
}
inline constexpr u32 kSummaryBytes[kSummaryClasses] = {64, align_up(sizeof(Runs), 64)};

// Keys long enough for it.
ALWAYS_INLINE bool has_summaries(const LpmTrie* trie) {
    return 8 * trie->data_size >= Summary::kEnd;
}

enum class MadeSummary : u8 { Yes, No, NoMemory };

// Of what lies below the first 32 bits of `data`: `entry` leads there, or is 0. No: that is nothing, or too much, or most
// of it longer than 48 bits, so that little would be gained.
MadeSummary make_summary(LpmTrie* trie, const u8* data, u32 entry, u32* made) REQUIRES(trie->lock);

}  // namespace barebpf::lpm
