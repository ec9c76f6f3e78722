// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of lpm_trie: the table that leads from the first bits of a key to what lies below them.
//
//     Direct, keys of 4 bytes:      place = the first 16 bits, as a number whose low byte comes first
//                                   [ wide node (lpm_wide.h), or one with nothing in it ]
//                                   [ longest prefix of 8 to 16 bits that covers all below ]; the node's runs that have
//                                     nothing else have it too, unless an entry in it may be empty where something
//                                     shorter of its own covers
//     Hashed, keys of 5 and more:   buckets of four places by a hash of the first 32 bits, up to twice as
//                                   many places as prefixes
//                                   [ first 32 bits | entry ]
//
// The entry for some first bits is the one at which their way crosses from above to below: a node that
// looks at later bits, or a leaf with a longer prefix. Of keys of 6 bytes and more it is, where little is
// below, all of that in one piece (lpm_summary.h), which belongs to the table. 0: nothing known; look from the
// top. Of more than four of one bucket one is not there.
//
// A table is made when the map has grown by enough, and filled by the updates that follow, some entries
// each, in the order of the keys; readers get it when it is complete. Writers keep both it and the one in
// use up to date. Readers reach it through RCU. The one that was in use has its summaries freed, as it was filled.
//
// A trie of four-byte keys for so many entries that it will not matter has its table, empty, from its creation, and what
// leads from numbers to objects beside it: compilers may rely on their address (Standing).
//
// So one update writes one place, but for prefixes of 8 to 16 bits of the direct kind: up to 256 of them,
// one after the other. Meanwhile such a prefix may be seen below one place and not yet below another.
#pragma once

#include "kernel/bpf/lpm_summary.h"
#include "kernel/bpf/lpm_walk.h"

namespace barebpf::lpm {

struct Shortcut {
    host::RcuHead rcu;
    LpmTrie* trie;
    u32 nibbles;     // the first bits, in nibbles
    u32 place_bits;  // log2 of the number of places
    u32 hash_shift;  // 32 less that
    u64 next;        // first bits from which it is still to be filled; behind the last: complete;
                     // of one being drained: the place
    u64 spare[2];
    u64 places[1];  // where direct, u32 covers[] behind them

    static constexpr u32 kHashedNibbles = 8;
    static constexpr u32 kBucket = 4;  // places
    static constexpr u32 kLeastPlaceBits = 4;
    static constexpr u32 kDirectBits = 4 * kWideNibbles;
    static constexpr u32 kMinCover = 8;
    static size_t bytes(bool direct, u32 place_bits) {
        return __builtin_offsetof(Shortcut, places) + (size_t{direct ? 12u : 8u} << place_bits);
    }
    // Of the direct kind.
    static ALWAYS_INLINE u32 place_of(const u8* data) { return load_unaligned<u16>(data); }
    static constexpr u32 place_of(u32 first_bits) { return __builtin_bswap16(u16(first_bits)); }
    // All are accessed by readers at any time.
    ALWAYS_INLINE Atomic<Wide*>& wide(u32 place) { return host::atomic_at<Wide*>(places + place); }
    ALWAYS_INLINE Atomic<u32>& cover(u32 place) {
        return host::atomic_at<u32>(reinterpret_cast<u32*>(places + (1u << kDirectBits)) + place);
    }
    ALWAYS_INLINE Atomic<u64>& hashed(u64 place) { return host::atomic_at<u64>(places + place); }
    // Its place, or one of the same bucket: this one with the lowest bits changed.
    ALWAYS_INLINE u32 first_choice(u32 first_bits) const {
        return first_bits * 0x9e3779b1u >> hash_shift;
    }
    // For readers. 0: not known. (The acquires pair with the release in put_hashed().)
    ALWAYS_INLINE u32 entry_of(u32 first_bits) {
        const u32 first = first_choice(first_bits);
        const u64 place = hashed(first).load(Order::Acquire);
        return LIKELY(place >> 32 == first_bits) ? u32(place) : other_choice(first_bits, first);
    }

private:
    NOINLINE u32 other_choice(u32 first_bits, u32 first) {
        for (u32 i = 1; i < kBucket; ++i) {
            const u64 place = hashed(first ^ i).load(Order::Acquire);
            if (place >> 32 == first_bits) return static_cast<u32>(place);
        }
        return 0;
    }
};
static_assert(__builtin_offsetof(Shortcut, places) == 64);  // buckets do not cross cache lines

// What look-ups go through besides nodes and values, in one piece, at one address for the life of the trie.
struct Standing {
    alignas(64) u8 chunks[ObjectSpace::whole_table_bytes()];
    alignas(64) Shortcut shortcut;  // direct; its places and covers go on behind it

    static constexpr u32 kFrom = 1u << 18;  // max_entries; some 4 bytes for each of them
    static size_t bytes() {
        return __builtin_offsetof(Standing, shortcut) +
               Shortcut::bytes(true, Shortcut::kDirectBits);
    }
};

// Of a trie that is being made, before its space: makes that, where it is for enough entries and there is memory.
void standing_make(LpmTrie* trie, u32 max_entries);
// After its space.
void standing_free(LpmTrie* trie);

// A prefix of that length and data has come, changed or gone: its way may cross another entry. False: all is right, but
// without memory for summaries; may be called again when there is some.
bool shortcut_note(LpmTrie* trie, const u8* data, u32 prefixlen) REQUIRES(trie->lock);
// A piece of the work that is left on the next table, and on the last. False: it waits for memory for summaries.
bool shortcut_advance(LpmTrie* trie) REQUIRES(trie->lock);
// Makes the next table if the map has grown by enough. Not in an NMI, no lock held.
void shortcut_prepare(LpmTrie* trie, u32 prefixes);
// The first value of grow_at.
u32 shortcut_first_size(const LpmTrie* trie);
// At the end of the map. False: one still waits for its grace period.
bool shortcut_free(LpmTrie* trie);

}  // namespace barebpf::lpm
