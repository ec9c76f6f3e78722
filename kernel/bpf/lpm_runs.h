// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of lpm_trie: what there is below some first 32 bits, where that is little, for one look: keys of six bytes and
// more, reached through the hashed shortcut (lpm_shortcut.h).
//
//     the 65536 values of the next two bytes, in runs that have the same longest prefix of 32 to 48 bits
//
//     ends     [ 0x00ff | 0x4fff | 0x5000 | 0x5fff | 0xffff, 0xffff, ... ]   the last value of each run; 16 or 64
//     entries  [ leaf/40| leaf/36|  deep  | leaf/36|   0, ...            ]   as many
//
// An entry is a leaf, with kShortLeaf whatever its own is; or that of the tree below one value (deep), the way that goes
// on behind 48 bits; or 0: nothing that is known here. The two latter are no answer: the tree has it. Nothing of a leaf
// that is found is compared, the way to it has all its bits.
//
// It is made anew, by one walk over the few leaves, whenever one of its prefixes changes, and never changes itself.
#pragma once

#include "kernel/bpf/lpm_walk.h"

namespace barebpf::lpm {

struct Runs {
    static constexpr u32 kFirst = 32;  // bits of the key before those that it stands for
    static constexpr u32 kEnd = 48;    // and behind them
    static constexpr u32 kFew = 16;
    static constexpr u32 kMany = 64;

    ObjectHeader header;

    bool has_many() const { return header.size_class != kRunsClass; }
    // Of a key.
    static ALWAYS_INLINE u32 value_of(const u8* data) {
        return __builtin_bswap16(load_unaligned<u16>(data + kFirst / 8));
    }
};
template <u32 kCapacity>
struct RunsOf : Runs {
    u16 ends[kCapacity];  // the last one is always 0xffff
    Atomic<u32> entries[kCapacity];

    static_assert(kCapacity == 16 || kCapacity == 64);

    // No condition depends on the key: look-ups that follow one another overlap.
    ALWAYS_INLINE u32 entry_of(u32 value) const {
        u32 run = 0;
        if constexpr (kCapacity > 32) run = ends[31] < value ? 32 : 0;
        if constexpr (kCapacity > 32) run += ends[run + 15] < value ? 16 : 0;
        run += ends[run + 7] < value ? 8 : 0;
        run += ends[run + 3] < value ? 4 : 0;
        run += ends[run + 1] < value ? 2 : 0;
        run += ends[run] < value ? 1 : 0;
        return entries[run].load(Order::Acquire);
    }
};
using FewRuns = RunsOf<Runs::kFew>;
using ManyRuns = RunsOf<Runs::kMany>;
inline constexpr u32 kRunsBytes[] = {128, 448};  // the first: two cache lines in one pair
static_assert(sizeof(FewRuns) <= kRunsBytes[0] && sizeof(ManyRuns) <= kRunsBytes[1]);

// Keys long enough for it.
ALWAYS_INLINE bool has_runs(const LpmTrie* trie) {
    return 8 * trie->data_size >= Runs::kEnd;
}

enum class MadeRuns : u8 { Yes, TooMany, NoMemory };

// What lies below the first 32 bits of `data`: `entry` leads there, or is 0. Too many: prefixes or runs, or most of them
// are longer than 48 bits, so that little is gained.
MadeRuns make_runs(LpmTrie* trie, const u8* data, u32 entry, u32* made) REQUIRES(trie->lock);

}  // namespace barebpf::lpm
