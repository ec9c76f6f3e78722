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
// What one update does for a table to come: entries, or summaries; or for one that has gone: places.
constexpr u32 kFillStep = 64;
constexpr u32 kFillSummariesStep = 16;
constexpr u32 kDrainStep = 256;

u32 first_bits_of(const Shortcut* table, const u8* data) {
    return load_be32(data) >> (32 - 4 * table->nibbles);
}

// Of places below which nothing is. Nobody writes to it.
constinit Wide nothing{.runs = 1};

// Where nothing of the node's own is. Where a way that goes on was emptied for want of memory, what is longer and covers it
// may be among the node's other prefixes: then the node has no cover.
void put_cover(Wide* wide, u32 cover) {
    if (wide->deep) cover = 0;
    for (u32 i = 0; i < wide->runs; ++i) {
        const u32 entry = wide->entries[i].load(Order::Relaxed);
        if (entry != wide->cover) continue;
        wide->entries[i].store(cover, Order::Release);  // pairs with the acquire of readers
    }
    wide->cover = cover;
}

// The release pairs with the acquire of readers.
void put_direct(const LpmTrie* trie, Shortcut* table, u32 first_bits, u32 entry) {
    const u32 place = Shortcut::place_of(first_bits);
    Wide* wide = entry ? trie->wide(entry) : &nothing;
    if (entry) put_cover(wide, table->cover(place).load(Order::Relaxed));
    table->wide(place).store(wide, Order::Release);
}

void free_summary(LpmTrie* trie, u64 place) {
    const u32 entry = static_cast<u32>(place);
    if ((entry & kSummary) == kSummary) trie->space.free_rcu(number_of(entry));
}

// Where these bits are, or else may be put: at an empty place, or another's.
Atomic<u64>& place_for(Shortcut* table, u32 first_bits) {
    const u32 first = table->first_choice(first_bits);
    u32 best = first;
    bool empty = false;
    for (u32 i = 0; i < Shortcut::kBucket; ++i) {
        const u64 place = table->hashed(first ^ i).load(Order::Relaxed);
        if (place && place >> 32 == first_bits) return table->hashed(first ^ i);
        if (!place && !empty) best = first ^ i, empty = true;
    }
    return table->hashed(best);
}

void put_hashed(LpmTrie* trie, Shortcut* table, u32 first_bits, u32 entry) {
    Atomic<u64>& place = place_for(table, first_bits);
    const u64 old = place.load(Order::Relaxed);
    if (!entry && old >> 32 != first_bits) return;
    place.store(entry ? u64{first_bits} << 32 | entry : 0, Order::Release);
    free_summary(trie, old);
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
        const u32 place = Shortcut::place_of(bits);
        const u32 before = table->cover(place).load(Order::Relaxed);
        if (before != known) longer = before && trie->leaf(before)->prefixlen() > prefixlen;
        known = before;
        if (longer) continue;
        table->cover(place).store(cover, Order::Release);      // pairs with readers
        Wide* wide = table->wide(place).load(Order::Relaxed);  // null: not filled yet
        if (wide && wide != &nothing) put_cover(wide, cover);
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

// A prefix that covers the first bits of a hashed table, from some on.
Crossing first_covered(const LpmTrie* trie, u32 entry, u32 from) {
    const Leaf* leaf = trie->leaf(entry);
    const u32 length = leaf->prefixlen();
    if (length < Summary::kLeastCover) return {};
    const u32 behind = length < Summary::kFirst ? (1u << (Summary::kFirst - length)) - 1 : 0;
    const u32 first = load_be32(leaf->data()) & ~behind;
    if ((first | behind) < from) return {};
    return {first < from ? from : first, entry};
}

// Of a hashed table, the first at or after the bits `from` that have a place: a crossing below `entry`, or else a prefix
// that covers them. `bits` are the nibbles above, `level` their number. Recursion goes at most as deep as `nibbles`.
Crossing first_crossing(const LpmTrie* trie, u32 entry, u32 level, u32 bits, u32 from) {
    constexpr u32 nibbles = Shortcut::kHashedNibbles;
    if (!entry) return {};
    if (is_leaf(entry)) return first_covered(trie, entry, from);
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
    for (u32 nibble = 0; nibble < 16; ++nibble) {
        const u32 child_bits = bits << 4 | nibble;
        if (child_bits < from >> below) continue;
        const u32 covering = below ? 0 : node->inside & kCovering.of[nibble];
        u32 rank;
        if (node->children() >> nibble & 1) {
            rank = child_rank(node->children(), nibble);
        } else if (covering) {
            rank = leaf_rank(node, highest_bit(covering));
        } else {
            continue;
        }
        const u32 next = node->entries[rank].load(Order::Relaxed);
        const Crossing found =
            first_crossing(trie, next, depth + 1, child_bits, covering ? child_bits : from);
        if (found.entry) return found;
    }
    return {};
}

// The entry that leads below the first 32 bits of `data`, for the places of a hashed table: a summary, where
// there can be one. False: no memory for it.
bool gather(LpmTrie* trie, const u8* data, u32* entry) REQUIRES(trie->lock) {
    if (!has_summaries(trie)) return true;
    u32 made = 0;
    const MadeSummary result = make_summary(trie, data, *entry, &made);
    if (result == MadeSummary::Yes) *entry = made;
    return result != MadeSummary::NoMemory;
}

// The size at which to make the next one, after one of so many places.
u32 next_growth(const LpmTrie* trie, const Shortcut* table) {
    if (is_direct(trie)) return kNever;
    return table->place_bits < kMaxHashedBits ? 1u << table->place_bits : kNever;
}

// In memory that is zero.
void start(LpmTrie* trie, Shortcut* table, u32 place_bits) {
    table->trie = trie;
    table->place_bits = place_bits;
    table->hash_shift = 32 - place_bits;
    table->nibbles = is_direct(trie) ? place_bits / 4 : Shortcut::kHashedNibbles;
}

Shortcut* make(LpmTrie* trie, u32 prefixes) {
    const bool direct = is_direct(trie);
    u32 place_bits = direct ? Shortcut::kDirectBits : highest_bit(prefixes) + 1;
    if (place_bits < Shortcut::kLeastPlaceBits) place_bits = Shortcut::kLeastPlaceBits;
    auto* table = static_cast<Shortcut*>(
        host::alloc(Shortcut::bytes(direct, place_bits), AllocContext::Atomic, trie->memory));
    if (table) start(trie, table, place_bits);
    return table;
}

void free_table(Shortcut* table) {
    if (!table) return;
    LpmTrie* trie = table->trie;
    if (trie->standing && table == &trie->standing->shortcut) return;
    free_in_steps(table, Shortcut::bytes(is_direct(trie), table->place_bits), trie->memory);
}

// A key that begins with these bits.
class FirstBits {
public:
    explicit FirstBits(u32 bits) {
        bits = __builtin_bswap32(bits);
        __builtin_memcpy(key_ + kLengthBytes, &bits, sizeof bits);
    }
    const u8* data() const { return key_ + kLengthBytes; }

private:
    u8 key_[kLengthBytes + kMaxDataBytes] = {};
};

// The place of the first bits of `data`. False: no memory for a summary.
bool note_hashed(LpmTrie* trie, Shortcut* table, const u8* data) REQUIRES(trie->lock) {
    u32 entry = crossing(trie, table->nibbles, data);
    const bool enough = gather(trie, data, &entry);
    put_hashed(trie, table, first_bits_of(table, data), entry);
    return enough;
}

// A prefix of that length and data: the place that it is below of, or those that it covers.
bool note_all_hashed(LpmTrie* trie, Shortcut* table, const u8* data, u32 prefixlen)
    REQUIRES(trie->lock) {
    if (prefixlen > Summary::kFirst) return note_hashed(trie, table, data);
    if (!has_summaries(trie) || prefixlen < Summary::kLeastCover) return true;
    const u32 places = 1u << (Summary::kFirst - prefixlen);
    const u32 first = load_be32(data) & ~(places - 1);
    bool enough = true;
    for (u32 i = 0; i < places; ++i) {
        enough &= note_hashed(trie, table, FirstBits(first + i).data());
    }
    return enough;
}

enum class Step : u8 { Done, Later, Last };

// The next place of a direct table.
Step fill_place(const LpmTrie* trie, Shortcut* table) {
    if (table->next >> Shortcut::kDirectBits) return Step::Last;
    u8 key[kLengthBytes + 4] = {};
    u8* data = key + kLengthBytes;
    data[0] = static_cast<u8>(table->next >> 8);
    data[1] = static_cast<u8>(table->next);
    table->cover(Shortcut::place_of(data))
        .store(cover_of(trie, data, Shortcut::kDirectBits), Order::Relaxed);
    put_direct(trie, table, static_cast<u32>(table->next), crossing(trie, table->nibbles, data));
    ++table->next;
    return Step::Done;
}

// The next entry of a hashed one. Later: when there is memory for its summary.
Step fill_entry(LpmTrie* trie, Shortcut* table) REQUIRES(trie->lock) {
    if (table->next >> 4 * Shortcut::kHashedNibbles) return Step::Last;
    const Crossing found =
        first_crossing(trie, trie->top.load(Order::Relaxed), 0, 0, static_cast<u32>(table->next));
    if (!found.entry) return Step::Last;
    if (!note_hashed(trie, table, FirstBits(found.first_bits).data())) return Step::Later;
    table->next = u64{found.first_bits} + 1;
    return Step::Done;
}

// After a grace period.
void retire(LpmTrie* trie, Shortcut* old) {
    trie->old_shortcuts.fetch_add(1, Order::Relaxed);
    host::call_rcu_process(&old->rcu, [](host::RcuHead* head) {
        auto* dead = barebpf::detail::container<Shortcut, host::RcuHead, &Shortcut::rcu>(head);
        LpmTrie* of = dead->trie;
        free_table(dead);
        of->old_shortcuts.fetch_sub(1, Order::Release);  // pairs with the end of the map
    });
}

// Some places of the table that was in use before; nobody who comes now reads it.
void drain(LpmTrie* trie) REQUIRES(trie->lock) {
    Shortcut* table = trie->draining;
    const u64 places = u64{1} << table->place_bits;
    for (u32 i = 0; i < kDrainStep && table->next < places; ++i, ++table->next) {
        free_summary(trie, table->hashed(table->next).load(Order::Relaxed));
    }
    if (table->next < places) return;
    trie->draining = nullptr;
    retire(trie, table);
}

void publish(LpmTrie* trie, Shortcut* table) REQUIRES(trie->lock) {
    Shortcut* old = trie->shortcut.get_locked();
    trie->shortcut.publish(table);
    trie->growing = nullptr;
    trie->grow_at.store(next_growth(trie, table), Order::Relaxed);
    if (!old) return;
    if (!has_summaries(trie)) return retire(trie, old);
    old->next = 0;
    trie->draining = old;
}

bool fill(LpmTrie* trie) REQUIRES(trie->lock) {
    Shortcut* table = trie->growing;
    const bool direct = is_direct(trie);
    Step step = Step::Done;
    for (u32 i = has_summaries(trie) ? kFillSummariesStep : kFillStep; i && step == Step::Done;
         --i) {
        step = direct ? fill_place(trie, table) : fill_entry(trie, table);
    }
    if (step == Step::Last) publish(trie, table);
    return step != Step::Later;
}

}  // namespace

void standing_make(LpmTrie* trie, u32 max_entries) {
    if (!is_direct(trie) || max_entries < Standing::kFrom) return;
    auto* standing = static_cast<Standing*>(
        host::alloc(Standing::bytes(), AllocContext::MaySleep, trie->memory));
    if (!standing) return;  // there will be a table later
    Shortcut* table = &standing->shortcut;
    start(trie, table, Shortcut::kDirectBits);
    for (u32 place = 0; place >> Shortcut::kDirectBits == 0; ++place) {
        table->wide(place).store(&nothing, Order::Relaxed);
    }
    trie->standing = standing;
    trie->shortcut.publish(table);
    trie->grow_at.store(kNever, Order::Relaxed);
}

void standing_free(LpmTrie* trie) {
    if (!trie->standing) return;
    free_in_steps(trie->standing, Standing::bytes(), trie->memory);
    trie->standing = nullptr;
}

bool shortcut_note(LpmTrie* trie, const u8* data, u32 prefixlen) {
    bool enough = true;
    Shortcut* const tables[] = {trie->shortcut.get_locked(), trie->growing};
    for (Shortcut* table : tables) {
        if (!table) continue;
        if (!is_direct(trie)) {
            enough &= note_all_hashed(trie, table, data, prefixlen);
        } else if (prefixlen > 4 * table->nibbles) {
            put_direct(trie, table, first_bits_of(table, data),
                       crossing(trie, table->nibbles, data));
        } else {
            put_covers(trie, table, data, prefixlen);
        }
    }
    return enough;
}

bool shortcut_advance(LpmTrie* trie) {
    if (UNLIKELY(trie->draining != nullptr)) {
        drain(trie);
        return true;
    }
    return LIKELY(trie->growing == nullptr) || fill(trie);
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
    Shortcut *growing, *draining;
    {
        Guard<LpmTrie::Lock, IrqSave> guard(trie->lock);
        growing = trie->growing;
        draining = trie->draining;
        trie->growing = trie->draining = nullptr;
    }
    free_table(growing);
    free_table(draining);
    free_table(trie->shortcut.exchange(nullptr));
    return true;
}

}  // namespace barebpf::lpm
