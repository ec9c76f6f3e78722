// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of lpm_trie: inserting and deleting. lpm_trie.h has the rules for readers meanwhile.
#include "kernel/bpf/lpm_update.h"

#include "kernel/bpf/lpm_draft.h"
#include "kernel/bpf/lpm_shortcut.h"
#include "kernel/bpf/lpm_wide.h"
#include "kernel/bpf/map_value.h"

namespace barebpf::lpm {
namespace {

using host::Adopt;
using host::Guard;

constexpr s64 kNoMem = -to_int(Errno::NoMem);
constexpr s64 kNoEnt = -to_int(Errno::NoEnt);

constexpr u32 min(u32 a, u32 b) {
    return a < b ? a : b;
}

// A place that holds an entry, and the number of nibbles that lead to it.
struct Slot {
    Atomic<u32>* at;
    u32 level;
};

// The work on one prefix, with the trie locked.
class Writer {
public:
    Writer(LpmTrie* trie, const u8* data, u32 prefixlen)
        : trie_(trie), data_(data), prefixlen_(prefixlen) {}

    struct Outcome {
        s64 result;
        u32 missing;  // with kNoMem: the class whose objects are used up
        u32 count;    // of prefixes now
        bool noted;   // the shortcut has its summaries
    };
    // The leaf is complete. An error: it is still the caller's.
    Outcome insert(u32 leaf, u64 flags);
    Outcome erase();
    // After one of them that went without summaries, when there is memory.
    void note();

private:
    s64 insert_locked(u32 leaf, u64 flags) REQUIRES(trie_->lock);
    s64 erase_locked() REQUIRES(trie_->lock);
    Outcome finish(s64 result) REQUIRES(trie_->lock);
    void publish(Atomic<u32>* slot, u32 entry) { slot->store(entry, Order::Release); }
    // To be freed when nothing leads there any more, the shortcut neither.
    void retire(u32 number) {
        link_of(number).store(retired_, Order::Relaxed);
        retired_ = number;
    }
    // Readers that are still there have no use for it.
    Atomic<u32>& link_of(u32 number) const { return trie_->space.object(number)->link; }
    bool is_ours(u32 leaf) const {
        const Leaf* other = trie_->leaf(leaf);
        return other->prefixlen() == prefixlen_ &&
               common_bits(other->data(), data_, prefixlen_) == prefixlen_;
    }
    u32 common_with_path(const Node* node) const;
    u32 make_node(const Draft& draft);
    u32 make_chain(const Draft& draft, u32 level, u32 depth);
    void free_unpublished_chain(u32 entry, u32 links);

    s64 may_add(u64 flags) const REQUIRES(trie_->lock);
    s64 add(Atomic<u32>* slot, u32 entry, u64 flags) REQUIRES(trie_->lock);
    s64 replace(Atomic<u32>* slot, u32 leaf, u64 flags);
    s64 insert_beside_leaf(Slot slot, u32 other, u32 leaf, u64 flags) REQUIRES(trie_->lock);
    s64 insert_above_node(Slot slot, u32 other, u32 common, u32 leaf, u64 flags)
        REQUIRES(trie_->lock);
    s64 insert_into_node(Slot slot, u32 holder, u32 leaf, u64 flags) REQUIRES(trie_->lock);
    s64 insert_at(u32 leaf, u64 flags) REQUIRES(trie_->lock);
    s64 insert_here(Slot slot, u32 there, u32 leaf, u64 flags) REQUIRES(trie_->lock);
    u32 make_wide(const WideChange& change);
    Atomic<u32>* deep_entry(Wide* wide) const;
    s64 insert_into_wide(Slot slot, u32 leaf, u64 flags) REQUIRES(trie_->lock);

    Atomic<u32>* entry_of(Node* node, u32 depth) const;
    struct Way {
        Atomic<u32>* anchor;
        Slot slot;
    };
    s64 erase_in_wide(const Way& above, Slot slot) REQUIRES(trie_->lock);
    void remove(Atomic<u32>* anchor, Slot slot, Atomic<u32>* entry) REQUIRES(trie_->lock);
    void free_chain(u32 first, u32 last);
    void make_hole(Atomic<u32>* slot);
    u32 live_count(const Node* node) const;

    LpmTrie* trie_;
    const u8* data_;
    u32 prefixlen_;
    u32 missing_ = 0;
    u32 wrapped_ = 0;  // a wide node made for our leaf
    u32 retired_ = 0;  // the last of them
    bool noted_ = true;
};

// Leading bits that the way to the node has in common with our data, all up to its nibble if they are
// the same.
u32 Writer::common_with_path(const Node* node) const {
    const u32 differ = (KeyAny(data_).window(node->byte()) ^ node->path) & node->mask;
    if (!differ) return 4 * node->depth();
    return 8 * node->byte() + 7 - highest_bit(differ);  // bit 0 is the last of the node's byte
}

// ── Making nodes ──────────────────────────────────────────────────────────────────────────────

u32 Writer::make_node(const Draft& draft) {
    const u32 size_class = draft.size_class();
    const u32 number = trie_->space.alloc(size_class);
    if (UNLIKELY(!number)) {
        missing_ = size_class;
        return 0;
    }
    draft.write(trie_->node(number));
    return number;
}

// The node, below as many others with one child as it takes to lead from `level` to its depth.
u32 Writer::make_chain(const Draft& draft, u32 level, u32 depth) {
    u32 entry = make_node(draft);
    const u32 gap = depth - level;
    u32 bridges = gap / (kMaxSkip + 1);
    const u32 all = bridges;
    while (entry && bridges) {
        --bridges;
        const u32 bridge_depth = level + kMaxSkip + bridges * (kMaxSkip + 1);
        Draft bridge(data_, bridge_depth);
        bridge.set_child(nibble_at(data_, bridge_depth), entry);
        const u32 made = make_node(bridge);
        if (!made) {
            free_unpublished_chain(entry, all - bridges);
            return 0;
        }
        entry = made;
    }
    return entry;
}

void Writer::free_unpublished_chain(u32 entry, u32 links) {
    for (; links; --links) {
        const u32 next = trie_->node(entry)->entries[0].load(Order::Relaxed);
        trie_->space.free(entry);
        entry = next;
    }
}

// ── Inserting ─────────────────────────────────────────────────────────────────────────────────

s64 Writer::may_add(u64 flags) const {
    if (flags == BPF_EXIST) return kNoEnt;
    return trie_->count < trie_->max_entries ? 0 : -to_int(Errno::NoSpc);
}

// The entry holds one prefix more than what was there.
s64 Writer::add(Atomic<u32>* slot, u32 entry, u64 flags) {
    if (const s64 error = may_add(flags)) return error;
    publish(slot, entry);
    ++trie_->count;
    return 0;
}

s64 Writer::replace(Atomic<u32>* slot, u32 leaf, u64 flags) {
    if (flags == BPF_NOEXIST) return -to_int(Errno::Exist);
    const u32 old = slot->load(Order::Relaxed);
    publish(slot, leaf);
    retire(number_of(old));
    return 0;
}

s64 Writer::insert_locked(u32 leaf, u64 flags) {
    const s64 result = insert_at(leaf, flags);
    if (UNLIKELY(result != 0) && wrapped_) trie_->space.free(wrapped_);
    return result;
}

s64 Writer::insert_at(u32 leaf, u64 flags) {
    if (prefixlen_ == 0) {
        if (trie_->everywhere.load(Order::Relaxed)) return replace(&trie_->everywhere, leaf, flags);
        return add(&trie_->everywhere, leaf, flags);
    }
    Slot slot{&trie_->top, 0};
    for (;;) {
        const u32 entry = slot.at->load(Order::Relaxed);
        if (!entry || is_leaf(entry)) return insert_here(slot, entry, leaf, flags);
        Node* node = trie_->node(entry);
        const u32 depth = node->depth();
        if (prefixlen_ <= 4 * depth || common_with_path(node) < 4 * depth) {
            return insert_here(slot, entry, leaf, flags);
        }
        if (is_wide(node)) {
            Atomic<u32>* deep = deep_entry(trie_->wide(entry));
            if (!deep) return insert_into_wide(slot, leaf, flags);
            slot = {deep, kWideEnd / 4};
            continue;
        }
        const u32 nibble = nibble_at(data_, depth);
        if (prefixlen_ <= 4 * depth + 4 || !(node->children() >> nibble & 1)) {
            return insert_here(slot, entry, leaf, flags);
        }
        slot = {&node->entries[child_rank(node->children(), nibble)], depth + 1};
    }
}

s64 Writer::insert_here(Slot slot, u32 there, u32 leaf, u64 flags) {
    if (is_direct(trie_) && prefixlen_ > 4 * kWideNibbles && slot.level <= kWideNibbles) {
        leaf = wrapped_ = make_wide({nullptr, range_of(data_[kWideByte], prefixlen_), leaf, 0});
        if (UNLIKELY(!leaf)) return kNoMem;
    }
    if (!there) return add(slot.at, leaf, flags);
    if (is_leaf(there)) return insert_beside_leaf(slot, there, leaf, flags);
    const Node* node = trie_->node(there);
    const u32 common = min(common_with_path(node), prefixlen_);
    if (common < 4 * node->depth() || prefixlen_ == 4 * node->depth()) {
        return insert_above_node(slot, there, common, leaf, flags);
    }
    return insert_into_node(slot, there, leaf, flags);
}

// The entry of the wide node that leads on to our prefix, if it is a long one; or null.
Atomic<u32>* Writer::deep_entry(Wide* wide) const {
    if (prefixlen_ <= kWideEnd) return nullptr;
    Atomic<u32>* entry = &wide->entries[run_at(wide, data_[kWideByte])];
    return is_deep(entry->load(Order::Relaxed)) ? entry : nullptr;
}

u32 Writer::make_wide(const WideChange& change) {
    const u32 size_class = change.size_class();
    const u32 number = trie_->space.alloc(size_class);
    if (UNLIKELY(!number)) {
        missing_ = size_class;
        return 0;
    }
    change.write(trie_, trie_->wide(number), data_);
    return number;
}

s64 Writer::insert_into_wide(Slot slot, u32 leaf, u64 flags) {
    const u32 holder = slot.at->load(Order::Relaxed);
    Wide* wide = trie_->wide(holder);
    WideChange change{wide, range_of(data_[kWideByte], prefixlen_), leaf, 0};
    Atomic<u32>* entry = find_in(trie_, wide, change.range);
    if (entry) {
        change.gone = entry->load(Order::Relaxed);
        if (flags == BPF_NOEXIST || occurrences(wide, change.gone) == 1) {
            return replace(entry, leaf, flags);
        }
    } else if (const s64 error = may_add(flags)) {
        return error;
    }
    const u32 made = make_wide(change);
    if (UNLIKELY(!made)) return kNoMem;
    publish(slot.at, made);
    retire(holder);
    if (entry) {
        retire(number_of(change.gone));
    } else {
        ++trie_->count;
    }
    return 0;
}

s64 Writer::insert_beside_leaf(Slot slot, u32 other, u32 leaf, u64 flags) {
    if (is_ours(other)) return replace(slot.at, leaf, flags);
    if (const s64 error = may_add(flags)) return error;
    const Leaf* neighbour = trie_->leaf(other);
    const u32 shorter = min(prefixlen_, neighbour->prefixlen());
    const u32 common = common_bits(data_, neighbour->data(), shorter);
    const u32 depth = min(common, shorter - 1) / 4;
    Draft draft(data_, depth);
    draft.place(other, neighbour->data(), depth, neighbour->prefixlen());
    draft.place(leaf, data_, depth, prefixlen_);
    const u32 entry = make_chain(draft, slot.level, depth);
    return entry ? add(slot.at, entry, flags) : kNoMem;
}

// Our way leaves that of the node, or ends, before its nibble.
s64 Writer::insert_above_node(Slot slot, u32 other, u32 common, u32 leaf, u64 flags) {
    if (const s64 error = may_add(flags)) return error;
    const Node* below = trie_->node(other);
    const u32 depth = min(common, prefixlen_ - 1) / 4;
    const u32 in_window = 8 * (below->byte() - depth / 2) + (depth % 2 ? 0 : 4);
    Draft draft(data_, depth);
    draft.set_child(below->path >> in_window & 15, other);
    draft.place(leaf, data_, depth, prefixlen_);
    const u32 entry = make_node(draft);
    return entry ? add(slot.at, entry, flags) : kNoMem;
}

s64 Writer::insert_into_node(Slot slot, u32 holder, u32 leaf, u64 flags) {
    Node* node = trie_->node(holder);
    const u32 depth = node->depth();
    if (Atomic<u32>* entry = entry_of(node, depth)) {  // of our length: it is inside
        if (entry->load(Order::Relaxed)) return replace(entry, leaf, flags);
        return add(entry, leaf, flags);
    }
    if (const s64 error = may_add(flags)) return error;
    Draft draft(node);
    draft.place(leaf, data_, depth, prefixlen_);
    const u32 made = make_node(draft);
    if (!made) return kNoMem;
    retire(holder);
    return add(slot.at, made, flags);
}

// ── Deleting ──────────────────────────────────────────────────────────────────────────────────

// The entry of our prefix, or of the way that it goes on; null: there is none.
Atomic<u32>* Writer::entry_of(Node* node, u32 depth) const {
    if (prefixlen_ <= 4 * depth + 4) {
        const u32 at = heap_index(data_, depth, prefixlen_);
        return node->inside >> at & 1 ? &node->entries[leaf_rank(node, at)] : nullptr;
    }
    const u32 nibble = nibble_at(data_, depth);
    return node->children() >> nibble & 1 ? &node->entries[child_rank(node->children(), nibble)]
                                          : nullptr;
}

// The anchor is the slot from which nothing but nodes with one live entry lead to where we are: when
// only a leaf is left there, it takes the place of all of them. So below each slot there is a leaf.
s64 Writer::erase_locked() {
    Slot slot{prefixlen_ ? &trie_->top : &trie_->everywhere, 0};
    Atomic<u32>* anchor = slot.at;
    u32 entry = slot.at->load(Order::Relaxed);
    if (!entry) return kNoEnt;
    if (is_leaf(entry)) {
        if (!is_ours(entry)) return kNoEnt;
        publish(slot.at, 0);
        retire(number_of(entry));
        --trie_->count;
        return 0;
    }
    Way above{anchor, {nullptr, 0}};
    for (;;) {
        Node* node = trie_->node(entry);
        const u32 depth = node->depth();
        if (prefixlen_ <= 4 * depth || common_with_path(node) < 4 * depth) return kNoEnt;
        const bool wide = is_wide(node);
        Atomic<u32>* next = wide ? deep_entry(trie_->wide(entry)) : entry_of(node, depth);
        if (wide && (!next || is_leaf(next->load(Order::Relaxed))))
            return erase_in_wide(above, slot);
        if (!next || !(entry = next->load(Order::Relaxed))) return kNoEnt;
        if (is_leaf(entry)) {
            if (!is_ours(entry)) return kNoEnt;
            remove(anchor, slot, next);
            retire(number_of(entry));
            --trie_->count;
            return 0;
        }
        above = {anchor, slot};
        if (wide || live_count(node) != 1) anchor = next;
        slot = {next, wide ? kWideEnd / 4 : depth + 1};
    }
}

// `above` is where the node is that leads to the wide one in `slot`, if one does.
s64 Writer::erase_in_wide(const Way& above, Slot slot) {
    const u32 holder = slot.at->load(Order::Relaxed);
    Wide* wide = trie_->wide(holder);
    const Range range = range_of(data_[kWideByte], prefixlen_);
    Atomic<u32>* entry = range.length == kDeep ? deep_entry(wide) : find_in(trie_, wide, range);
    const u32 gone = entry ? entry->load(Order::Relaxed) : 0;
    if (!gone || !is_ours(gone)) return kNoEnt;
    if (!is_only(wide, gone)) {
        const u32 cover = cover_in(trie_, wide, range.first, range.length);
        const u32 made = make_wide({wide, range, cover, gone});
        if (LIKELY(made != 0)) {
            publish(slot.at, made);
            retire(holder);
        } else {
            take_away_in_place(wide, gone, cover);
        }
    } else {
        if (above.slot.at) {
            remove(above.anchor, above.slot, slot.at);
        } else {
            publish(slot.at, 0);
        }
        retire(holder);
    }
    retire(number_of(gone));
    --trie_->count;
    return 0;
}

// Takes the entry of our prefix out of the node in `slot`.
void Writer::remove(Atomic<u32>* anchor, Slot slot, Atomic<u32>* entry) {
    const u32 holder = slot.at->load(Order::Relaxed);
    const Node* node = trie_->node(holder);
    const u32 depth = node->depth();
    Draft draft(node);
    if (prefixlen_ <= 4 * depth + 4) {
        draft.drop_leaf(heap_index(data_, depth, prefixlen_));
    } else {
        draft.drop_child(nibble_at(data_, depth));
    }
    if (UNLIKELY(draft.count() == 0)) {  // there had been holes
        const u32 first = anchor->load(Order::Relaxed);
        make_hole(anchor);
        return free_chain(first, holder);
    }
    if (draft.count() == 1) {
        const u32 last = draft.only();
        if (is_leaf(last)) {
            const u32 first = anchor->load(Order::Relaxed);
            publish(anchor, last);
            return free_chain(first, holder);
        }
        if (trie_->node(last)->depth() - slot.level <= kMaxSkip) {
            publish(slot.at, last);
            return retire(holder);
        }
    }
    const u32 made = make_node(draft);
    if (UNLIKELY(!made)) return make_hole(entry);
    publish(slot.at, made);
    retire(holder);
}

// Nodes with one live entry, and the last.
void Writer::free_chain(u32 first, u32 last) {
    while (first != last) {
        const Atomic<u32>* entry = trie_->node(first)->entries;
        u32 next;
        while (!(next = entry->load(Order::Relaxed))) ++entry;
        retire(first);
        first = next;
    }
    retire(last);
}

// Without memory for a copy: the bit stays and the entry is empty. Whoever sees it sees `holes` too.
void Writer::make_hole(Atomic<u32>* slot) {
    trie_->holes.store(1, Order::Relaxed);
    publish(slot, 0);
}

u32 Writer::live_count(const Node* node) const {
    const u32 all = entry_count(node);
    if (LIKELY(!trie_->holes.load(Order::Relaxed))) return all;
    u32 live = 0;
    for (u32 i = 0; i < all; ++i) live += node->entries[i].load(Order::Relaxed) != 0;
    return live;
}

// ── With the lock ─────────────────────────────────────────────────────────────────────────────

Writer::Outcome Writer::finish(s64 result) {
    if (result == 0) {
        noted_ = shortcut_note(trie_, data_, prefixlen_);
        noted_ &= shortcut_advance(trie_);
    }
    while (retired_) {
        const u32 number = retired_;
        retired_ = link_of(number).load(Order::Relaxed);
        trie_->space.free_rcu(number);
    }
    return {result, missing_, trie_->count, noted_};
}

Writer::Outcome Writer::insert(u32 leaf, u64 flags) {
    host::IrqState irq;
    if (UNLIKELY(!trie_->lock.acquire_in_any_context(&irq)))
        return {-to_int(Errno::Busy), 0, 0, true};
    Guard<LpmTrie::Lock, Adopt> guard(trie_->lock, irq);
    return finish(insert_locked(leaf, flags));
}

Writer::Outcome Writer::erase() {
    host::IrqState irq;
    if (UNLIKELY(!trie_->lock.acquire_in_any_context(&irq)))
        return {-to_int(Errno::Busy), 0, 0, true};
    Guard<LpmTrie::Lock, Adopt> guard(trie_->lock, irq);
    return finish(erase_locked());
}

void Writer::note() {
    host::IrqState irq;
    if (UNLIKELY(!trie_->lock.acquire_in_any_context(&irq))) return;
    Guard<LpmTrie::Lock, Adopt> guard(trie_->lock, irq);
    shortcut_note(trie_, data_, prefixlen_);
}

// An object of that class, with memory for it if there is none and it can be had.
u32 take(LpmTrie* trie, u32 size_class) {
    if (UNLIKELY(!trie->space.ready(size_class)) && !host::in_nmi()) trie->space.refill(size_class);
    return trie->space.alloc(size_class);
}

// After a change that went without the summaries it should have made: again with what can be had.
NOINLINE void note_again(LpmTrie* trie, Writer* writer) {
    if (host::in_nmi()) return;
    for (u32 i = kSummaryClass; i < kSummaryClass + kSummaryClasses; ++i) {
        if (!trie->space.ready(i)) trie->space.refill(i);
    }
    writer->note();
}

u32 make_leaf(LpmTrie* trie, const u8* data, u32 prefixlen, const void* value) {
    const u32 number = take(trie, kLeafClass);
    if (!number) return 0;
    Leaf* leaf = trie->leaf(number);
    leaf->header.half = static_cast<u16>(prefixlen);
    __builtin_memcpy(leaf->data(), data, trie->data_size);
    store_new_value(trie, trie->value(number), value);
    return number | (prefixlen <= kWideEnd ? kShortLeaf : kLongLeaf);
}

// Enough for a chain of nodes down a key of 2048 bits.
constexpr u32 kMaxRefills = 96;

}  // namespace

s64 update(Map* map, const void* key, const void* value, u64 flags) {
    auto* trie = static_cast<LpmTrie*>(map);
    const u32 prefixlen = load_unaligned<u32>(key);
    if (flags > BPF_EXIST || prefixlen > trie->max_prefixlen) return -to_int(Errno::Inval);
    const u8* data = static_cast<const u8*>(key) + kLengthBytes;
    const u32 leaf = make_leaf(trie, data, prefixlen, value);
    if (UNLIKELY(!leaf)) return kNoMem;
    for (u32 refills = 0;; ++refills) {
        Writer writer(trie, data, prefixlen);
        const Writer::Outcome outcome = writer.insert(leaf, flags);
        if (LIKELY(outcome.result == 0)) {
            if (UNLIKELY(!outcome.noted)) note_again(trie, &writer);
            if (UNLIKELY(outcome.count >= trie->grow_at.load(Order::Relaxed)) && !host::in_nmi()) {
                shortcut_prepare(trie, outcome.count);
            }
            return 0;
        }
        const bool again = outcome.result == kNoMem && refills < kMaxRefills && !host::in_nmi() &&
                           trie->space.refill(outcome.missing);
        if (again) continue;
        trie->space.free(number_of(leaf));
        return outcome.result;
    }
}

s64 erase(Map* map, const void* key) {
    auto* trie = static_cast<LpmTrie*>(map);
    const u32 prefixlen = load_unaligned<u32>(key);
    if (prefixlen > trie->max_prefixlen) return -to_int(Errno::Inval);
    const u8* data = static_cast<const u8*>(key) + kLengthBytes;
    Writer writer(trie, data, prefixlen);
    const Writer::Outcome outcome = writer.erase();
    if (UNLIKELY(!outcome.noted)) note_again(trie, &writer);
    return outcome.result;
}

}  // namespace barebpf::lpm
