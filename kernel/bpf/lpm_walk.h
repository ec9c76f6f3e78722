// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of lpm_trie: keys, and the way of a key through the nodes.
#pragma once

#include "kernel/bpf/lpm_trie.h"
#include "kernel/lib/count_bits.h"
#include "kernel/lib/hash.h"

namespace barebpf::lpm {

using barebpf::detail::load_unaligned;

ALWAYS_INLINE u32 load_be32(const u8* at) {
    return __builtin_bswap32(load_unaligned<u32>(at));
}
ALWAYS_INLINE u32 nibble_at(const u8* data, u32 depth) {
    return data[depth / 2] >> (depth % 2 ? 0 : 4) & 15;
}

// The number of leading bits that two keys have in common, at most `limit`.
inline u32 common_bits(const u8* a, const u8* b, u32 limit) {
    u32 bits = 0;
    for (; bits + 32 <= limit; bits += 32, a += 4, b += 4) {
        const u32 differ = load_be32(a) ^ load_be32(b);
        if (differ) return bits + 31 - highest_bit(differ);
    }
    for (; bits < limit; bits += 8, ++a, ++b) {
        const u32 differ = *a ^ *b;
        if (!differ) continue;
        bits += 7 - highest_bit(differ);
        break;
    }
    return bits < limit ? bits : limit;
}

// Tries of such keys have wide nodes; lpm_wide.h.
ALWAYS_INLINE bool is_direct(const LpmTrie* trie) {
    return trie->data_size == 4;
}
ALWAYS_INLINE bool is_wide(const Node* node) {
    return node->header.size_class >= kWideClass;
}
// The run that a value of the byte is in, counted from the last: as many end from it on as do in its word and behind that.
template <class Bits = PortableBits>
ALWAYS_INLINE size_t run_at(const Wide* wide, size_t slot) {
    return Bits::add_count(wide->after[slot / 32],
                           Bits::shift_right32(wide->ends[slot / 32], static_cast<u32>(slot)));
}
ALWAYS_INLINE u32 load_run(const Wide* wide, u32 slot) {
    return wide->entries[run_at(wide, slot)].load(Order::Acquire);
}
// The longest prefix that covers the value and is shorter than `below`, no deep one; 0: none.
u32 cover_in(const LpmTrie* trie, const Wide* wide, u32 slot, u32 below);

// The data of a key to look for. Four bytes are held in a register: pieces that were stored one by one
// just before are slow to load in one.
struct Key4 {
    static constexpr bool kWide = true;
    u32 bits;
    explicit Key4(const u8* data) : bits(load_be32(data)) {}
    // The four bytes that end in `byte`; those before the first are 0.
    ALWAYS_INLINE u32 window(u32 byte) const { return bits >> (24 - 8 * byte); }
    ALWAYS_INLINE bool has(const Leaf* leaf) const {
        return (load_be32(leaf->data()) ^ bits) >> (32 - leaf->prefixlen()) == 0;  // length >= 1
    }
};
struct KeyAny {
    static constexpr bool kWide = false;
    const u8* data;
    explicit KeyAny(const u8* bytes) : data(bytes) {}
    // Those before the first are what stands before a key's data: its length.
    ALWAYS_INLINE u32 window(u32 byte) const { return load_be32(data + byte - (kLengthBytes - 1)); }
    ALWAYS_INLINE bool has(const Leaf* leaf) const {
        const u8* theirs = leaf->data();
        const u8* ours = data;
        u32 left = leaf->prefixlen();
        for (; left >= 64; left -= 64, theirs += 8, ours += 8) {
            if (load_unaligned<u64>(theirs) != load_unaligned<u64>(ours)) return false;
        }
        for (; left >= 8; left -= 8, ++theirs, ++ours) {
            if (*theirs != *ours) return false;
        }
        return left == 0 || (*theirs ^ *ours) >> (8 - left) == 0;
    }
};

// The number of set bits of fifteen: each lands in a nibble of its own, and the nibbles are added up.
ALWAYS_INLINE u32 count_bits15(u32 bits) {
    constexpr u64 kSpread = 0x0002000400080010;
    constexpr u64 kEachNibble = 0x1111111111111111;
    return static_cast<u32>(((bits * kSpread) & kEachNibble) * kEachNibble >> 60);
}
// Positions among a node's entries.
ALWAYS_INLINE u32 child_rank(u32 children, u32 nibble) {
    return count_bits15(children & ((1u << nibble) - 1));
}
inline u32 leaf_rank(const Node* node, u32 at) {
    return count_bits(u64{node->children()} << 32 | (node->inside & ((1u << at) - 1)));
}
inline u32 entry_count(const Node* node) {
    return count_bits(u64{node->children()} << 32 | node->inside);
}
// Where a prefix that ends inside a node stands in its heap.
inline u32 heap_index(const u8* data, u32 depth, u32 prefixlen) {
    const u32 bits = prefixlen - 4 * depth;
    return 1u << bits | nibble_at(data, depth) >> (4 - bits);
}

// Some leaf below an entry that leads to no wide node: it has the bits of the way there. Null where empty entries are in
// the way.
inline Leaf* some_leaf(const LpmTrie* trie, u32 entry) {
    while (entry && !is_leaf(entry)) {
        const Node* node = trie->node(entry);
        entry = 0;
        for (u32 i = entry_count(node); i && !entry; --i) {
            entry = node->entries[i - 1].load(Order::Acquire);
        }
    }
    return entry ? trie->leaf(entry) : nullptr;
}

// The node in which the longest prefix was seen so far.
struct Best {
    const Node* node = nullptr;
    u32 covering = 0;  // of its prefixes those that cover the key
    u32 entry() const {
        if (!node) return 0;
        return node->entries[leaf_rank(node, highest_bit(covering))].load(Order::Acquire);
    }
};

// The longest prefix below `entry` that covers the key, or 0. The entry is the top, or that of our run in
// the wide node.
template <class Key>
ALWAYS_INLINE u32 descend(const LpmTrie* trie, const Key& key, u32 entry,
                          const Wide* wide = nullptr) {
    Best best, above;  // `above`: the best one before `wide`
    while (LIKELY(entry != 0)) {
        if (is_leaf(entry)) {
            if (LIKELY(key.has(trie->leaf(entry)))) return entry;
            break;
        }
        const Node* node = trie->node(entry);
        const u32 window = key.window(node->byte());
        if ((window ^ node->path) & node->mask) break;
        if constexpr (Key::kWide) {
            if (is_wide(node)) {
                wide = reinterpret_cast<const Wide*>(node);
                above = best;
                best = {};
                entry = load_run(wide, window & 255);
                continue;
            }
        }
        const u32 nibble = window >> node->shift() & 15;
        const u32 covering = node->inside & kCovering.of[nibble];
        best.node = covering ? node : best.node;
        best.covering = covering ? covering : best.covering;
        const u32 children = node->children();
        if (!(children >> nibble & 1)) break;
        entry = node->entries[child_rank(children, nibble)].load(Order::Acquire);
    }
    entry = best.entry();
    if constexpr (Key::kWide) {
        if (wide && !best.node) {
            if (wide->deep) entry = cover_in(trie, wide, key.window(kWideByte) & 255, kDeep);
            if (!entry) entry = above.entry();
        }
    }
    return entry;
}

// The longest prefix that covers the key and is no longer than prefixlen, from the top, past empty
// entries.
inline u32 find_limited(const LpmTrie* trie, const KeyAny& key, u32 prefixlen) {
    u32 best = trie->everywhere.load(Order::Acquire);
    u32 entry = trie->top.load(Order::Acquire);
    while (entry && !is_leaf(entry)) {
        const Node* node = trie->node(entry);
        const u32 window = key.window(node->byte());
        const u32 above = 4 * node->depth();
        if (prefixlen <= above || ((window ^ node->path) & node->mask)) break;
        if (is_wide(node)) {
            const auto* wide = reinterpret_cast<const Wide*>(node);
            const u32 slot = window & 255;
            const u32 found =
                cover_in(trie, wide, slot, prefixlen < kWideEnd ? prefixlen + 1 : kDeep);
            best = found ? found : best;
            entry = prefixlen > kWideEnd ? load_run(wide, slot) : 0;
            continue;
        }
        const u32 nibble = window >> node->shift() & 15;
        u32 covering = node->inside & kCovering.of[nibble];
        if (prefixlen < above + 4) covering &= (1u << (2u << (prefixlen - above))) - 1;
        for (; covering; covering &= ~(1u << highest_bit(covering))) {
            const u32 rank = leaf_rank(node, highest_bit(covering));
            const u32 found = node->entries[rank].load(Order::Acquire);
            if (!found) continue;
            best = found;
            break;
        }
        entry = 0;
        if (prefixlen > above + 4 && (node->children() >> nibble & 1)) {
            entry = node->entries[child_rank(node->children(), nibble)].load(Order::Acquire);
        }
    }
    if (entry && is_leaf(entry)) {
        const Leaf* leaf = trie->leaf(entry);
        if (leaf->prefixlen() <= prefixlen && key.has(leaf)) best = entry;
    }
    return best;
}

}  // namespace barebpf::lpm
