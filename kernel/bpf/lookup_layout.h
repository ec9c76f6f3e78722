// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Where a compiler that writes out look-ups (MapOps::lookup_shape) finds what the map's own function reads: offsets in bytes,
// from the map where nothing else is said. The steps are those of lookup() in hashtab_lookup.h and of lookup4() in
// lpm_trie.cc, of values of up to eight bytes.
#pragma once

#include "kernel/bpf/hashtab_bucket.h"
#include "kernel/bpf/lpm_shortcut.h"

namespace barebpf {

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

struct HashLookupLayout {
    static constexpr s32 kSeedA = __builtin_offsetof(HashMap, seed.a);
    static constexpr s32 kSeedB = __builtin_offsetof(HashMap, seed.b);
    static constexpr s32 kFactor = __builtin_offsetof(HashMap, operands.upper_factor);
    static constexpr s32 kEachByte = __builtin_offsetof(HashMap, operands.each_byte);
    static constexpr s32 kTopBits = __builtin_offsetof(HashMap, operands.top_bits);
    static constexpr s32 kOffsetMask = __builtin_offsetof(HashMap, bucket_offset_mask);
    static constexpr s32 kBuckets = __builtin_offsetof(HashMap, buckets);
    static constexpr s32 kValues = __builtin_offsetof(HashMap, values);
    // Of the hash: where the tag begins, and the bucket's offset.
    static constexpr u32 kTagShift = hashtab::kTagShift;
    static constexpr u32 kOffsetShift = hashtab::kOffsetShift;
    static constexpr s32 kTagBits = hashtab::kTagBits;
    // In a bucket.
    static constexpr s32 kTags = __builtin_offsetof(HashBucket, tags);
    static constexpr s32 kSlots = __builtin_offsetof(HashBucket, slots);
    static constexpr s32 kVersion = __builtin_offsetof(HashBucket, version);
    static constexpr s32 kOverflow = __builtin_offsetof(HashBucket, overflow);
    // From element to element; the key stands right before the value.
    static constexpr u64 stride(u32 key_size) { return hashtab::usual_stride(key_size); }
};

struct LpmLookupLayout {
    static constexpr s32 kTable = __builtin_offsetof(LpmTrie, shortcut);
    static_assert(sizeof(LpmTrie::shortcut) == sizeof(void*));
    static constexpr s32 kChunks = __builtin_offsetof(LpmTrie, space) + ObjectSpace::sides_offset();
    // In a key.
    static constexpr s32 kKeyBits = 32;
    static constexpr s32 kFirstBits = lpm::kLengthBytes;
    static constexpr s32 kByte = lpm::kLengthBytes + lpm::kWideByte;
    // A Standing, or null, from before any program can have the map; in it, and in the table, and in a node.
    static constexpr s32 kStanding = __builtin_offsetof(LpmTrie, standing);
    static constexpr s32 kStandingTable = __builtin_offsetof(lpm::Standing, shortcut);
    static constexpr s32 kStandingChunks = ObjectSpace::sides_in_whole_table();
    static constexpr s32 kPlaces = __builtin_offsetof(lpm::Shortcut, places);
    static constexpr s32 kLines[] = {lpm::kWideForReaders + lpm::kLine,
                                     lpm::kWideForReaders + 2 * lpm::kLine};  // to ask for
    static constexpr s32 kAfter = __builtin_offsetof(lpm::Wide, after);
    static constexpr s32 kEnds = __builtin_offsetof(lpm::Wide, ends);
    static constexpr s32 kEntries = __builtin_offsetof(lpm::Wide, entries);
    // Of an entry: what says that it is a leaf, its chunk, and bytes from value to value for each number.
    static constexpr s32 kLeafBit = lpm::kShortLeaf;
    static constexpr u32 kChunkShift = ObjectSpace::kChunkShift;
    static constexpr s32 kValueStep = 8 / ObjectSpace::kNumberStep;
};

#pragma GCC diagnostic pop

}  // namespace barebpf
