// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/lpm_shortcut.h"

#include "kernel/bpf/free_in_steps.h"
#include "kernel/lib/list.h"

namespace barebpf::lpm {
namespace {

using host::AllocContext;
using host::Guard;
using host::IrqSave;

constexpr u32 kNever = ~u32{0};
constexpr u32 kFirstSize = 8192;  // prefixes from which a table pays
constexpr u32 kMaxHashedBits = 28;
constexpr u32 kFillStep = 64;  // entries that one update fills in

u32 first_bits_of(const Shortcut* table, const u8* data) {
    return load_be32(data) >> (32 - 4 * table->nibbles);
}

// Of places below which nothing is.
constinit const Wide kNothing{.runs = 1};

// The releases pair with the acquires of readers.
void put(const LpmTrie* trie, Shortcut* table, u32 first_bits, u32 entry) {
    if (is_direct(trie)) {
        const Wide* wide = entry ? trie->wide(entry) : &kNothing;
        table->wide(Shortcut::place_of(first_bits)).store(wide, Order::Release);
        return;
    }
    Atomic<u64>& place = table->hashed(table->hash(first_bits));
    const bool ours = place.load(Order::Relaxed) >> 36 == first_bits;
    if (!entry && !ours) return;
    place.store(entry ? u64{first_bits} << 36 | entry : 0, Order::Release);
}

// The longest prefix that covers these bits and has at least kMinCover and at most so many.
u32 cover_of(const LpmTrie* trie, const u8* data, u32 prefixlen) {
    const u32 entry = find_limited(trie, KeyAny(data), prefixlen);
    return entry && trie->leaf(entry)->prefixlen() >= Shortcut::kMinCover ? entry : 0;
}

// The prefix has come, changed or gone: where nothing longer covers, what covers now.
void put_covers(const LpmTrie* trie, Shortcut* table, const u8* data, u32 prefixlen) {
    if (prefixlen < Shortcut::kMinCover) return;
    const u32 cover = cover_of(trie, data, prefixlen);
    const u32 places = 1u << (Shortcut::kDirectBits - prefixlen);
    const u32 first = first_bits_of(table, data) & ~(places - 1);
    u32 known = 0;
    bool longer = false;
    for (u32 bits = first; bits < first + places; ++bits) {
        Atomic<u32>& place = table->cover(Shortcut::place_of(bits));
        const u32 before = place.load(Order::Relaxed);
        if (before != known) longer = before && trie->leaf(before)->prefixlen() > prefixlen;
        known = before;
        if (!longer) place.store(cover, Order::Release);
    }
}

// The entry at which the way of these bits crosses, or 0.
u32 crossing(const LpmTrie* trie, u32 nibbles, const u8* data) {
    u32 entry = trie->top.load(Order::Relaxed);
    while (entry) {
        if (is_leaf(entry)) {
            const Leaf* leaf = trie->leaf(entry);
            const bool below = leaf->prefixlen() > 4 * nibbles &&
                               common_bits(leaf->data(), data, 4 * nibbles) == 4 * nibbles;
            return below ? entry : 0;
        }
        const Node* node = trie->node(entry);
        const u32 depth = node->depth();
        u32 differ = (KeyAny(data).window(node->byte()) ^ node->path) & node->mask;
        if (depth >= nibbles) {
            // Only the first bits count.
            const u32 extra = 4 * (depth - nibbles) + node->shift() + 4;
            return extra >= 32 || differ >> extra == 0 ? entry : 0;
        }
        const u32 nibble = nibble_at(data, depth);
        if (differ || !(node->children() >> nibble & 1)) return 0;
        entry = node->entries[child_rank(node->children(), nibble)].load(Order::Relaxed);
    }
    return 0;
}

struct Crossing {
    u32 first_bits;
    u32 entry;  // 0: none
};

// The first crossing below `entry` at or after the bits `from`. `bits` are the nibbles above, `level`
// their number. Recursion goes at most as deep as `nibbles`.
Crossing first_crossing(const LpmTrie* trie, u32 nibbles, u32 entry, u32 level, u32 bits,
                        u32 from) {
    if (!entry) return {};
    const u32 whole = 4 * nibbles;
    if (is_leaf(entry)) {
        const Leaf* leaf = trie->leaf(entry);
        const u32 first = load_be32(leaf->data()) >> (32 - whole);
        if (leaf->prefixlen() <= whole || first < from) return {};
        return {first, entry};
    }
    const Node* node = trie->node(entry);
    const u32 depth = node->depth();
    const u32 upto = depth < nibbles ? depth : nibbles;
    // The nibbles that the node skips, as far as they count.
    for (; level < upto; ++level) {
        const u32 in_window = 8 * (node->byte() - level / 2) + (level % 2 ? 0 : 4);
        bits = bits << 4 | (node->path >> in_window & 15);
    }
    if (depth >= nibbles) {
        if (bits < from) return {};
        return {bits, entry};
    }
    const u32 below = 4 * (nibbles - depth - 1);
    u32 rank = 0;
    for (u32 left = node->children(); left; left &= left - 1, ++rank) {
        const u32 nibble = lowest_bit(left);
        const u32 child_bits = bits << 4 | nibble;
        if (child_bits < from >> below) continue;
        const u32 child = node->entries[rank].load(Order::Relaxed);
        const Crossing found = first_crossing(trie, nibbles, child, depth + 1, child_bits, from);
        if (found.entry) return found;
    }
    return {};
}

// The size at which to make the next one, after one of so many places.
u32 next_growth(const LpmTrie* trie, const Shortcut* table) {
    if (is_direct(trie)) return kNever;
    return table->place_bits < kMaxHashedBits ? 1u << table->place_bits : kNever;
}

Shortcut* make(LpmTrie* trie, u32 prefixes) {
    const bool direct = is_direct(trie);
    const u32 place_bits = direct ? Shortcut::kDirectBits : highest_bit(prefixes) + 1;
    auto* table = static_cast<Shortcut*>(
        host::alloc(Shortcut::bytes(direct, place_bits), AllocContext::Atomic, trie->memory));
    if (!table) return nullptr;
    table->trie = trie;
    table->place_bits = place_bits;
    table->nibbles = direct ? place_bits / 4 : Shortcut::kHashedNibbles;
    return table;
}

void free_table(Shortcut* table) {
    if (!table) return;
    LpmTrie* trie = table->trie;
    free_in_steps(table, Shortcut::bytes(is_direct(trie), table->place_bits), trie->memory);
}

// The next place of a direct table. False: there is none.
bool fill_place(const LpmTrie* trie, Shortcut* table) {
    if (table->next >> Shortcut::kDirectBits) return false;
    u8 key[kLengthBytes + 4] = {};
    u8* data = key + kLengthBytes;
    data[0] = static_cast<u8>(table->next >> 8);
    data[1] = static_cast<u8>(table->next);
    put(trie, table, table->next, crossing(trie, table->nibbles, data));
    table->cover(Shortcut::place_of(data))
        .store(cover_of(trie, data, Shortcut::kDirectBits), Order::Relaxed);
    ++table->next;
    return true;
}

// The next entry of a hashed one.
bool fill_entry(const LpmTrie* trie, Shortcut* table) {
    if (table->next >> 4 * table->nibbles) return false;
    const Crossing found =
        first_crossing(trie, table->nibbles, trie->top.load(Order::Relaxed), 0, 0, table->next);
    if (!found.entry) return false;
    put(trie, table, found.first_bits, found.entry);
    table->next = found.first_bits + 1;
    return true;
}

void publish(LpmTrie* trie, Shortcut* table) REQUIRES(trie->lock) {
    Shortcut* old = trie->shortcut.get_locked();
    trie->shortcut.publish(table);
    trie->growing = nullptr;
    trie->grow_at.store(next_growth(trie, table), Order::Relaxed);
    if (!old) return;
    trie->old_shortcuts.fetch_add(1, Order::Relaxed);
    host::call_rcu_process(&old->rcu, [](host::RcuHead* head) {
        auto* dead = barebpf::detail::container<Shortcut, host::RcuHead, &Shortcut::rcu>(head);
        LpmTrie* of = dead->trie;
        free_table(dead);
        of->old_shortcuts.fetch_sub(1, Order::Release);  // pairs with the end of the map
    });
}

}  // namespace

void shortcut_note(LpmTrie* trie, const u8* data, u32 prefixlen) {
    Shortcut* const tables[] = {trie->shortcut.get_locked(), trie->growing};
    for (Shortcut* table : tables) {
        if (!table) continue;
        if (prefixlen > 4 * table->nibbles) {
            put(trie, table, first_bits_of(table, data), crossing(trie, table->nibbles, data));
        } else if (is_direct(trie)) {
            put_covers(trie, table, data, prefixlen);
        }
    }
}

void shortcut_advance(LpmTrie* trie) {
    Shortcut* table = trie->growing;
    bool more = true;
    for (u32 i = 0; more && i < kFillStep; ++i) {
        more = is_direct(trie) ? fill_place(trie, table) : fill_entry(trie, table);
    }
    if (!more) publish(trie, table);
}

void shortcut_prepare(LpmTrie* trie, u32 prefixes) {
    u32 due = trie->grow_at.load(Order::Relaxed);
    if (prefixes < due ||
        !trie->grow_at.compare_exchange(due, kNever, Order::Relaxed, Order::Relaxed)) {
        return;  // somebody else makes it
    }
    Shortcut* table = make(trie, prefixes);
    if (!table) {
        trie->grow_at.store(prefixes + prefixes / 4, Order::Relaxed);
        return;
    }
    Guard<LpmTrie::Lock, IrqSave> guard(trie->lock);
    trie->growing = table;
}

u32 shortcut_first_size(const LpmTrie* trie) {
    return trie->data_size < 4 ? kNever : kFirstSize;
}

bool shortcut_free(LpmTrie* trie) {
    // Acquire: pairs with the release in the callback, which is through with the map then.
    if (trie->old_shortcuts.load(Order::Acquire)) return false;
    Shortcut* growing;
    {
        Guard<LpmTrie::Lock, IrqSave> guard(trie->lock);
        growing = trie->growing;
        trie->growing = nullptr;
    }
    free_table(growing);
    free_table(trie->shortcut.exchange(nullptr));
    return true;
}

}  // namespace barebpf::lpm
