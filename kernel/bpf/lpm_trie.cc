// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Longest-prefix match: creation, lookups, the order of keys, the end. lpm_trie.h explains the
// structure.
#include "kernel/bpf/lpm_trie.h"

#include <arch/bit_instructions.h>

#include "kernel/bpf/lpm_shortcut.h"
#include "kernel/bpf/lpm_update.h"
#include "kernel/bpf/lpm_wide.h"
#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_types.h"
#include "kernel/host/cred.h"

namespace barebpf::lpm {
namespace {

using host::AllocContext;

constexpr u32 kCreateFlags = BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | kMapAccessFlags;
// Linux's limit: what its kmalloc() gives, less its own node and the longest key.
constexpr u64 kMaxValueSize = kKmallocMaxSize - kMaxDataBytes - 40;

Result<void> check_attr(const bpf_attr& attr) {
    if (!host::capable(host::Capability::Bpf)) return Errno::Perm;
    const bool ok = attr.max_entries != 0 && (attr.map_flags & BPF_F_NO_PREALLOC) &&
                    !(attr.map_flags & ~kCreateFlags) && map_access_flags_ok(attr.map_flags) &&
                    attr.key_size > kLengthBytes && attr.key_size <= kLengthBytes + kMaxDataBytes &&
                    attr.value_size != 0 && attr.value_size <= kMaxValueSize;
    return ok ? Result<void>{} : Errno::Inval;
}

u32 value_bytes(const LpmTrie* trie) {
    return static_cast<u32>(align_up(trie->value_size, 8));
}

const MapOps* ops_for(const LpmTrie* trie);

bool make_parts(LpmTrie* trie, u32 max_entries) {
    static_assert(kSummaryClass + kSummaryClasses <= kWideClass + kWideClasses);
    u32 sizes[kWideClass + kWideClasses];
    sizes[kLeafClass] = static_cast<u32>(align_up(Leaf::kDataOffset + trie->data_size, 4));
    for (u32 i = 0; i < kNodeClasses; ++i) {
        sizes[kLeafClass + 1 + i] = static_cast<u32>(align_up(node_bytes(kNodeCapacities[i]), 8));
    }
    for (u32 i = 0; i < kWideClasses; ++i) {
        sizes[kWideClass + i] = static_cast<u32>(align_up(wide_bytes(kWideCapacities[i]), kLine));
    }
    u32 classes = kWideClass + kWideClasses;
    if (!is_direct(trie)) {
        for (u32 i = 0; i < kSummaryClasses; ++i) sizes[kSummaryClass + i] = kSummaryBytes[i];
        classes = has_summaries(trie) ? kSummaryClass + kSummaryClasses : kWideClass;
    }
    standing_make(trie, max_entries);
    // What readers need of a wide node begins with a cache line.
    const ObjectSpace::Layout layout{
        .side = value_bytes(trie),
        .lead_from = is_direct(trie) ? kWideClass : classes,
        .lead = kLine - kWideForReaders,
        .whole_table = trie->standing ? trie->standing->chunks : nullptr,
    };
    if (!trie->space.create(sizes, classes, layout, trie->memory)) return false;
    // What an update in an NMI takes, should it be the first.
    host::Cpu::Pin pin;
    return trie->space.refill(kLeafClass) && trie->space.refill(kLeafClass + 1) &&
           (!is_direct(trie) || trie->space.refill(kWideClass));
}

// False: something still waits for its grace period.
bool free_parts(LpmTrie* trie) {
    if (!shortcut_free(trie) || !trie->space.try_destroy()) return false;
    standing_free(trie);
    return true;
}

Result<Map*> create(const bpf_attr& attr) {
    auto* trie = new_map<LpmTrie>();
    if (!trie) return Errno::NoMem;
    trie->data_size = attr.key_size - kLengthBytes;
    trie->max_prefixlen = trie->data_size * 8;
    trie->value_size = attr.value_size;
    trie->grow_at.store(shortcut_first_size(trie), Order::Relaxed);
    if (!make_parts(trie, attr.max_entries)) {
        free_parts(trie);  // nothing was in use: it cannot say "later"
        delete_map(trie);
        return Errno::NoMem;
    }
    trie->ops = ops_for(trie);
    return static_cast<Map*>(trie);
}

void free(Map* map) {
    auto* trie = static_cast<LpmTrie*>(map);
    if (free_parts(trie)) return delete_map(trie);
    host::call_rcu_process(&trie->rcu,
                           [](host::RcuHead* head) { lpm::free(map_of_rcu_head(head)); });
}

// ── Lookups ───────────────────────────────────────────────────────────────────────────────────

// What is not found below the shortcut.
template <class Key>
NOINLINE void* look_from_top(const LpmTrie* trie, const u8* data) {
    u32 entry = descend(trie, Key(data), trie->top.load(Order::Acquire));
    if (!entry && UNLIKELY(trie->holes.load(Order::Relaxed))) {
        entry = find_limited(trie, KeyAny(data), trie->max_prefixlen);
    }
    if (!entry) entry = trie->everywhere.load(Order::Acquire);
    return entry ? trie->value(entry) : nullptr;
}

// What bpf(2) may ask for: the longest prefix that is no longer than the key says.
NOINLINE void* lookup_limited(const LpmTrie* trie, const u8* key) {
    const u32 prefixlen = load_unaligned<u32>(key);
    if (prefixlen > trie->max_prefixlen) return nullptr;
    const u32 entry = find_limited(trie, KeyAny(key + kLengthBytes), prefixlen);
    return entry ? trie->value(entry) : nullptr;
}

// Where the wide node leads on, or is not known, or has nothing.
NOINLINE void* look_further(const LpmTrie* trie, const u8* key, const Wide* wide) {
    const u8* data = key + kLengthBytes;
    u32 entry = wide ? load_run(wide, data[kWideByte]) : 0;
    if (entry) {
        entry = descend(trie, Key4(data), entry, wide);
    } else if (wide && !wide->deep) {
        // A newer table may be there by now; it is as good.
        Shortcut* table = trie->shortcut.dereference();
        entry = table->cover(Shortcut::place_of(data)).load(Order::Acquire);
    }
    return LIKELY(entry != 0) ? trie->value(entry) : look_from_top<Key4>(trie, data);
}

// To most of all values it is three steps, the third by the caller, of which each needs the one before.
// Nothing else waits for any of them, and the leaf is not looked at. The fewer instructions the more look-ups
// that follow one another overlap. kValue: of the most common size of values their bytes, 0: of any other.
template <class Bits, u32 kValue>
void* lookup4(Map* map, const void* key_bytes) {
    const auto* trie = static_cast<const LpmTrie*>(map);
    const u8* key = static_cast<const u8*>(key_bytes);
    if (UNLIKELY(load_unaligned<u32>(key) != 32)) return lookup_limited(trie, key);
    Shortcut* table = trie->shortcut.dereference();
    if (UNLIKELY(!table)) return look_further(trie, key, nullptr);
    const u32 place = Shortcut::place_of(key + kLengthBytes);
    const Wide* wide = table->wide(place).load(Order::Acquire);
    // Where the run is likely to be; most nodes have three lines.
    __builtin_prefetch(reinterpret_cast<const u8*>(wide) + kWideForReaders + kLine);
    __builtin_prefetch(reinterpret_cast<const u8*>(wide) + kWideForReaders + 2 * kLine);
    const size_t run = run_at<Bits>(wide, key[kLengthBytes + kWideByte]);
    const u32 entry = wide->entry(run).load(Order::Acquire);
    if (UNLIKELY(!(entry & kShortLeaf))) return look_further(trie, key, wide);
    return kValue ? trie->space.side_of_size<kShortLeaf, kValue>(entry) : trie->short_value(entry);
}

// From an entry of the shortcut, or what a summary has there.
NOINLINE void* look_below(const LpmTrie* trie, const u8* data, u32 entry) {
    entry = descend(trie, KeyAny(data), entry);
    return LIKELY(entry != 0) ? trie->value(entry) : look_from_top<KeyAny>(trie, data);
}

// What the shortcut has, but not at its first choice, or as runs.
NOINLINE void* look_harder(const LpmTrie* trie, const u8* data, Shortcut* table) {
    const u32 entry = table->entry_of(load_be32(data));
    if ((entry & kSummary) != kSummary) return look_below(trie, data, entry);
    const u32 found = entry_in(trie->summary(entry), Summary::value_of(data));
    if (UNLIKELY(!(found & kShortLeaf))) return look_below(trie, data, found);
    return trie->short_value(found);
}

// What most look-ups need stands here, and calls nothing that it would come back from: it keeps no registers, and the fewer
// instructions the more look-ups that follow one another overlap.
template <u32 kValue>
void* lookup_any(Map* map, const void* key) {
    const auto* trie = static_cast<const LpmTrie*>(map);
    const u8* data = static_cast<const u8*>(key) + kLengthBytes;
    if (UNLIKELY(load_unaligned<u32>(key) != trie->max_prefixlen)) {
        return lookup_limited(trie, static_cast<const u8*>(key));
    }
    Shortcut* table = trie->shortcut.dereference();
    if (UNLIKELY(!table)) return look_below(trie, data, 0);
    const u32 first_bits = load_be32(data);
    // Acquire pairs with the release in put_hashed().
    const u64 place = table->hashed(table->first_choice(first_bits)).load(Order::Acquire);
    if (UNLIKELY(place >> 32 != first_bits)) return look_harder(trie, data, table);
    const u32 entry = static_cast<u32>(place);
    if (UNLIKELY((entry & kSummary) != kSummary)) return look_below(trie, data, entry);
    const Summary* summary = trie->summary(entry);
    if (UNLIKELY(!summary->is_list())) return look_harder(trie, data, table);
    const u32 found = static_cast<const PrefixList*>(summary)->entry_of(Summary::value_of(data));
    if (UNLIKELY(!(found & kShortLeaf))) return look_below(trie, data, found);
    return kValue ? trie->space.side_of_size<kShortLeaf, kValue>(found) : trie->short_value(found);
}

// ── The order of keys ─────────────────────────────────────────────────────────────────────────
// What a prefix covers comes before it; apart from that, 0 before 1. Inside a node: for each nibble what
// is below, then the prefix of that nibble, then those shorter ones whose second half is complete.

u32 load_entry(const Node* node, u32 rank) {
    return node->entries[rank].load(Order::Acquire);
}

u32 child_of(const Node* node, u32 nibble) {
    if (!(node->children() >> nibble & 1)) return 0;
    return load_entry(node, child_rank(node->children(), nibble));
}

// The entry that comes next: at `at` in the heap or, with what is there left behind, after it.
u32 entry_from(const Node* node, u32 at) {
    for (;;) {
        if (node->inside >> at & 1) {
            if (const u32 entry = load_entry(node, leaf_rank(node, at))) return entry;
        }
        if (at & 1) {
            at >>= 1;
            if (at < 2) return 0;
            continue;
        }
        for (++at; at < 16; at <<= 1) {
        }
        if (const u32 entry = child_of(node, at - 16)) return entry;
    }
}
u32 entry_after(const Node* node, u32 at) {
    if (at & 1) return at >> 1 < 2 ? 0 : entry_from(node, at >> 1);
    for (++at; at < 16; at <<= 1) {
    }
    if (const u32 entry = child_of(node, at - 16)) return entry;
    return entry_from(node, at);
}

// The first leaf of all below an entry; 0 when it was emptied under our eyes.
u32 first_leaf(const LpmTrie* trie, u32 entry) {
    while (entry && !is_leaf(entry)) {
        const Node* node = trie->node(entry);
        if (is_wide(node)) {
            entry = next_in(trie, trie->wide(entry), 0);
            continue;
        }
        entry = child_of(node, 0);
        if (!entry) entry = entry_from(node, 16);
    }
    return entry;
}

// The entry below which the leaf after a prefix is; 0: that was the last, but for the one of length 0.
u32 leaf_entry_after(const LpmTrie* trie, const u8* data, u32 prefixlen) {
    const KeyAny key(data);
    u32 found = 0;
    u32 entry = trie->top.load(Order::Acquire);
    while (entry && !is_leaf(entry)) {
        const Node* node = trie->node(entry);
        const u32 depth = node->depth();
        if (prefixlen <= 4 * depth || ((key.window(node->byte()) ^ node->path) & node->mask)) break;
        if (is_wide(node)) {
            const Wide* wide = trie->wide(entry);
            const u32 slot = data[kWideByte];
            if (const u32 next = next_in(trie, wide, order_of(range_of(slot, prefixlen)))) {
                found = next;
            }
            if (prefixlen <= kWideEnd) break;
            entry = load_run(wide, slot);
            if (!is_deep(entry)) break;
            continue;
        }
        if (prefixlen <= 4 * depth + 4) {
            const u32 next = entry_after(node, heap_index(data, depth, prefixlen));
            if (next) found = next;
            break;
        }
        const u32 nibble = nibble_at(data, depth);
        if (const u32 next = entry_from(node, 16 + nibble)) found = next;
        entry = child_of(node, nibble);
    }
    return found;
}

bool has_prefix(const LpmTrie* trie, const u8* data, u32 prefixlen) {
    const u32 found = find_limited(trie, KeyAny(data), prefixlen);
    return found && trie->leaf(found)->prefixlen() == prefixlen;
}

// The leaf that follows, or the first; 0: none does. A key that is not there starts the walk again, as
// in a hash.
u32 next_leaf(const LpmTrie* trie, const u8* data, u32 prefixlen, bool there) {
    u32 found = 0;
    // Where an entry was emptied under our eyes, what is there now is looked at.
    for (u32 tries = 0; tries < 64; ++tries) {
        const u32 from =
            there ? leaf_entry_after(trie, data, prefixlen) : trie->top.load(Order::Acquire);
        found = first_leaf(trie, from);
        if (found || !from) break;
    }
    return found ? found : trie->everywhere.load(Order::Acquire);
}

s64 next_key(Map* map, const void* key, void* next) {
    const auto* trie = static_cast<const LpmTrie*>(map);
    const u32 prefixlen = key ? load_unaligned<u32>(key) : ~u32{0};
    const u8* data = key ? static_cast<const u8*>(key) + kLengthBytes : nullptr;
    const bool there = prefixlen <= trie->max_prefixlen && has_prefix(trie, data, prefixlen);
    const bool last = there && prefixlen == 0;  // the one that covers all
    const u32 found = last ? 0 : next_leaf(trie, data, prefixlen, there);
    if (!found) return -to_int(Errno::NoEnt);
    const Leaf* leaf = trie->leaf(found);
    const u32 length = leaf->prefixlen();
    __builtin_memcpy(next, &length, kLengthBytes);
    __builtin_memcpy(static_cast<u8*>(next) + kLengthBytes, leaf->data(), trie->data_size);
    return 0;
}

// ── Operations ────────────────────────────────────────────────────────────────────────────────

template <void* (*kLookup)(Map*, const void*), LookupShape kShape = LookupShape::Call>
constexpr MapOps kOps = {
    .check_attr = check_attr,
    .create = create,
    .free = lpm::free,
    .lookup = kLookup,
    .lookup_shape = kShape,
    .update = update,
    .erase = erase,
    .next_key = next_key,
    .batch_commands = kBatchLookup | kBatchUpdate | kBatchDelete,
    .meta_equal = map_meta_equal,
};

// Of the most common size of values, as a counter or a pointer has it.
constexpr u32 kUsual = 8;

template <class Bits, LookupShape kShape>
const MapOps* ops4_for(const LpmTrie* trie) {
    return value_bytes(trie) == kUsual ? &kOps<lookup4<Bits, kUsual>, kShape>
                                       : &kOps<lookup4<Bits, 0>>;
}
const MapOps* ops_for(const LpmTrie* trie) {
    if (is_direct(trie)) {
        return arch::has_bit_instructions()
                   ? ops4_for<arch::BitInstructions, LookupShape::Lpm4>(trie)
                   : ops4_for<PortableBits, LookupShape::Call>(trie);
    }
    return value_bytes(trie) == kUsual ? &kOps<lookup_any<kUsual>> : &kOps<lookup_any<0>>;
}

}  // namespace
}  // namespace barebpf::lpm

namespace barebpf {

constinit const MapOps kLpmTrieMapOps = lpm::kOps<lpm::lookup_any<0>>;

}  // namespace barebpf
