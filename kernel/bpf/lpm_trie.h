// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Longest-prefix match: prefixes of 0 to 2048 bits, the longest one that covers a key wins.
//
// A tree of nodes that each look at four bits of the key, the nibble at `depth`. A node holds the
// prefixes that end inside its nibble, one bit each in a bitmap in heap order, and what lies below, one
// bit for each of the sixteen ways on; for each bit set there is one entry behind the header:
//
//     node  [ header | path mask | inside: 30 bits | child, child, ... | leaf, leaf, ... ]
//             children: 16 bits                      one per bit of     one per bit of
//                                                    `children`         `inside`
//     inside:             *             (ends above: not here)
//                    2         3        1 bit of the nibble:   0*    1*
//                  4   5     6   7      2 bits               00* 01* 10* 11*
//                 8 9 ...      14 15    3
//               16 17 ...        30 31  4
//
// A child is a node or, where only one prefix lies below, its leaf at once. Nodes in which nothing
// would branch are left out: a node carries the bits before its nibble, up to seven nibbles, and is
// entered only if the key has them; where more than that is skipped, nodes with one child bridge the
// way. A leaf is verified against the key, so a wrong turn over left out bits ends there.
//
//     leaf  [ header, prefix length | the key's bytes ]   its value stands apart, among other values: a look-up that
//                                                         needs no leaf reaches few cache lines of them
//
// For one key: at each node of the way the longest prefix inside is one mask and one "highest bit"; the
// deepest node that has one wins unless a verified leaf ends the way.
//
// Keys of four bytes, which are the most, have nodes of another kind for their third byte (lpm_wide.h).
//
// Shortcut. From some thousand prefixes on, a table leads from a key's first bits straight to the entry
// below them, or to all that is there in one piece (lpm_shortcut.h, lpm_summary.h). It only ever saves steps:
// what is not found through it is looked for from the top. A trie for many entries has it from its creation.
//
// Writers hold the trie's one lock; they never change what a reader of a node looks at but for the
// entries themselves (a leaf replaced by a newer one of the same prefix, a child by another with the
// same prefixes and one more or less): any other change is a copy of the node, put in its place by one
// store. A reader that is on the old copy finds what was there when it came.
//
//     publishing:  *slot = entry (release)          pairs with the acquire of each entry that a reader
//                  then the shortcut, the same      follows
//                  then the old one to free_rcu()   nothing leads to it any more
//
// Lookups and walks take no lock and never wait. All objects come from one ObjectSpace and return to it
// after a grace period: the value that a program holds stays what it was. An update in an NMI fails with
// EBUSY if it interrupted the writer, with ENOMEM if its CPU's free objects are used up; a delete needs
// memory to make its copy, and without it leaves an empty entry behind (0), which readers pass over.
//
// The prefix of length 0 hangs on the map itself.
#pragma once

#include "kernel/bpf/map.h"
#include "kernel/bpf/object_space.h"
#include "kernel/host/contract.h"
#include "kernel/lib/bits.h"

namespace barebpf {

struct LpmClass {
    static constexpr host::LockClass kClass{"lpm_trie", 45};
};

namespace lpm {

using host::Atomic;
using host::Order;

inline constexpr u32 kLengthBytes = 4;  // a key begins with its prefix length
inline constexpr u32 kMaxDataBytes = 256;

// What a slot holds: 0, or an object's number, with one of these bits if it is a leaf: of a prefix that may
// stand in a wide node's own runs (lpm_wide.h), or of a longer one.
inline constexpr u32 kShortLeaf = 1;
inline constexpr u32 kLongLeaf = 2;
static_assert((kShortLeaf | kLongLeaf) == ObjectSpace::kUserBits);

// In a shortcut only: an object of lpm_summary.h.
inline constexpr u32 kSummary = kShortLeaf | kLongLeaf;

constexpr bool is_leaf(u32 entry) {
    return entry & (kShortLeaf | kLongLeaf);
}
constexpr u32 number_of(u32 entry) {
    return entry & ~(kShortLeaf | kLongLeaf);
}

struct Leaf {
    static constexpr u32 kDataOffset = 8;
    ObjectHeader header;
    u32 prefixlen() const { return header.half; }
    const u8* data() const { return reinterpret_cast<const u8*>(this) + kDataOffset; }
    u8* data() { return reinterpret_cast<u8*>(this) + kDataOffset; }
};

struct Node {
    ObjectHeader header;
    u32 path;    // the four bytes of the way that end in byte(); the lowest bits hold the shift
    u32 mask;    // those of them that a key must have: all known ones before the nibble
    u32 inside;  // heap order, bits 2..31
    Atomic<u32> entries[1];

    u32 byte() const { return header.small; }  // of the key, where the nibble is
    u32 shift() const { return path & 15; }
    u32 children() const { return header.half; }
    u32 depth() const { return 2 * byte() + (shift() == 0); }
};
inline constexpr u32 kNodeHeader = 20;
static_assert(__builtin_offsetof(Node, entries) == kNodeHeader);

// Nibbles that a node may skip; at even depths six full ones stand in `path`.
inline constexpr u32 kMaxSkip = 6;

// Size classes: the leaf, then nodes for so many entries.
inline constexpr u32 kLeafClass = 0;
inline constexpr u32 kNodeCapacities[] = {3, 7, 11, 15, 23, 47};
inline constexpr u32 kNodeClasses = sizeof(kNodeCapacities) / sizeof(u32);
constexpr u32 node_bytes(u32 capacity) {
    return kNodeHeader + capacity * 4;
}

// A node for a whole byte of the key, lpm_wide.h; up to `mask` like any other.
struct Wide {
    ObjectHeader header;
    u32 path;
    u32 mask;
    u16 runs;
    u16 deep;  // so many entries may be
    u32 cover;  // a prefix of 8 to 16 bits that runs have where none of the node's own is (lpm_shortcut.h)
    // From here on a cache line begins: what stands before is for writers, and readers reach fewer lines.
    u8 after[8];
    u32 ends[8];
    Atomic<u32> entries[1];

    u32 count() const { return header.half; }
    // entries[run]; GCC makes one instruction less of it.
    ALWAYS_INLINE const Atomic<u32>& entry(size_t run) const;
};
inline constexpr u32 kWideHeader = 64;
static_assert(__builtin_offsetof(Wide, entries) == kWideHeader);
inline constexpr u32 kLine = 64;
inline constexpr u32 kWideForReaders = __builtin_offsetof(Wide, after);
ALWAYS_INLINE const Atomic<u32>& Wide::entry(size_t run) const {
    const u8* base = reinterpret_cast<const u8*>(this) + kWideHeader;
    return host::atomic_at<u32>(base + run * sizeof(u32));
}
inline constexpr u32 kWideByte = 2;     // of the key
inline constexpr u32 kWideNibbles = 4;  // before it
inline constexpr u32 kWideMask = 0xffff00;
inline constexpr u32 kWideEnd = 24;  // bits; prefixes that are longer are deep
inline constexpr u32 kDeep = kWideEnd + 1;

// Their size classes, behind those of the other nodes; the last has room for all: 256 runs that are deep, and
// 510 prefixes behind them. Not more of them: nodes below different first bits grow at about the same time, and what
// they leave behind is of use to none of them. Not fewer: what no entry is in takes its part of the caches.
inline constexpr u32 kWideClass = kLeafClass + 1 + kNodeClasses;
inline constexpr u32 kWideCapacities[] = {16, 32, 48, 64, 128, 768};
inline constexpr u32 kWideClasses = sizeof(kWideCapacities) / sizeof(u32);
constexpr u32 wide_bytes(u32 capacity) {
    return kWideHeader + capacity * 4;
}
// Tries of longer keys have no wide nodes, but runs.
inline constexpr u32 kSummaryClass = kWideClass;
inline constexpr u32 kSummaryClasses = 2;

// The bits of `inside` that cover a key with this nibble.
struct CoveringTable {
    u32 of[16];
    constexpr CoveringTable() : of{} {
        for (u32 nibble = 0; nibble < 16; ++nibble) {
            for (u32 at = 16 + nibble; at >= 2; at >>= 1) of[nibble] |= 1u << at;
        }
    }
};
inline constexpr CoveringTable kCovering;

struct Shortcut;
struct Standing;
struct Summary;

}  // namespace lpm

struct LpmTrie : Map {
    using Lock = host::SpinLock<LpmClass>;

    host::Atomic<u32> top{};         // what covers all prefixes but the empty one
    host::Atomic<u32> everywhere{};  // the leaf of length 0
    host::RcuPointer<lpm::Shortcut> shortcut;
    lpm::Standing* standing = nullptr;  // of a trie for many entries, from its creation to its end
    u32 data_size = 0;                  // bytes of a key behind its length
    u32 max_prefixlen = 0;
    ObjectSpace space;

    Lock lock;
    u32 count GUARDED_BY(lock) = 0;
    lpm::Shortcut* growing GUARDED_BY(lock) = nullptr;  // the next one, being filled
    lpm::Shortcut* draining GUARDED_BY(lock) =
        nullptr;                        // the last one, whose summaries are being freed
    host::Atomic<u32> grow_at{};        // prefixes at which the next shortcut is made; ~0: never
    host::Atomic<u32> old_shortcuts{};  // that wait for their grace period
    host::Atomic<u32> holes{};          // not 0: there may be empty entries in nodes

    ALWAYS_INLINE lpm::Leaf* leaf(u32 entry) const {
        return reinterpret_cast<lpm::Leaf*>(space.first(lpm::number_of(entry)));
    }
    ALWAYS_INLINE u8* value(u32 entry) const { return space.side(lpm::number_of(entry)); }
    ALWAYS_INLINE u8* short_value(u32 entry) const { return space.side<lpm::kShortLeaf>(entry); }
    ALWAYS_INLINE lpm::Node* node(u32 entry) const {
        return reinterpret_cast<lpm::Node*>(space.at(entry));
    }
    ALWAYS_INLINE lpm::Wide* wide(u32 entry) const {
        return reinterpret_cast<lpm::Wide*>(space.at(entry));
    }
    ALWAYS_INLINE lpm::Summary* summary(u32 entry) const {
        return reinterpret_cast<lpm::Summary*>(space.at_tagged<lpm::kSummary>(entry));
    }
};

}  // namespace barebpf
