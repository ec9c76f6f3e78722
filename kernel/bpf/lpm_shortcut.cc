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
constexpr u32 kFirstSize = 8192;        // prefixes from which a table pays
constexpr u32 kSecondDirect = 1 << 18;  // the same for one of 20 bits
constexpr u32 kMaxHashedBits = 28;
constexpr u32 kFillStep = 64;  // entries that one update fills in

u32 first_bits_of(const Shortcut* table, const u8* data) {
    return load_be32(data) >> (32 - 4 * table->nibbles);
}

void put(const LpmTrie* trie, Shortcut* table, u32 first_bits, u32 entry) {
    if (is_direct(trie)) {
        table->direct(first_bits).store(entry, Order::Release);  // pairs with through_shortcut()
        return;
    }
    Atomic<u64>& place = table->hashed(table->hash(first_bits));
    const bool ours = place.load(Order::Relaxed) >> 36 == first_bits;
    if (!entry && !ours) return;
    place.store(entry ? u64{first_bits} << 36 | entry : 0, Order::Release);  // through_shortcut()
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
    if (trie->data_size < 4) return kNever;
    if (is_direct(trie)) return table->nibbles == 4 ? kSecondDirect : kNever;
    return table->place_bits < kMaxHashedBits ? 1u << table->place_bits : kNever;
}

Shortcut* make(LpmTrie* trie, u32 prefixes) {
    const bool direct = is_direct(trie);
    const u32 place_bits =
        direct ? (prefixes < kSecondDirect ? 16 : 20) : highest_bit(prefixes) + 1;
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

}  // namespace

void shortcut_note(LpmTrie* trie, const u8* data, u32 prefixlen) {
    Shortcut* const tables[] = {trie->shortcut.get_locked(), trie->growing};
    for (Shortcut* table : tables) {
        if (!table || prefixlen <= 4 * table->nibbles) continue;
        put(trie, table, first_bits_of(table, data), crossing(trie, table->nibbles, data));
    }
}

void shortcut_advance(LpmTrie* trie) {
    Shortcut* table = trie->growing;
    for (u32 i = 0; i < kFillStep; ++i) {
        const Crossing found =
            first_crossing(trie, table->nibbles, trie->top.load(Order::Relaxed), 0, 0, table->next);
        const bool last = found.entry && found.first_bits + 1 == 1u << 4 * table->nibbles;
        if (found.entry) {
            put(trie, table, found.first_bits, found.entry);
            table->next = found.first_bits + 1;
        }
        if (found.entry && !last) continue;
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
        return;
    }
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
