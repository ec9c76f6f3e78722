// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/lpm_wide.h"

namespace barebpf::lpm {
namespace {

constexpr u32 kWords = 8;

u32 load(const Wide* wide, size_t index) {
    return wide->entries[index].load(Order::Acquire);
}

bool has(const u32* bits, u32 slot) {
    return bits[slot / 32] >> (slot % 32) & 1;
}
void set(u32* bits, u32 slot) {
    bits[slot / 32] |= 1u << (slot % 32);
}

}  // namespace

// A node in the making.
class WideWriter {
public:
    explicit WideWriter(Wide* made) : made_(made) {}

    // In the order of slots, the first at 0.
    void run(u32 slot, u32 entry) {
        if (runs_ && made_->entries[runs_ - 1].load(Order::Relaxed) == entry) return;
        if (slot) set(made_->ends, slot - 1);
        made_->entries[runs_++].store(entry, Order::Relaxed);
    }
    // After the last run.
    void hidden(u32 entry) { made_->entries[runs_ + hidden_++].store(entry, Order::Relaxed); }
    bool has_entry(u32 entry) const {
        for (u32 i = 0; i < runs_ + hidden_; ++i) {
            if (made_->entries[i].load(Order::Relaxed) == entry) return true;
        }
        return false;
    }
    void finish() {
        u32 behind = 0;
        for (u32 i = kWords; i-- > 0;) {
            made_->after[i] = static_cast<u8>(behind);
            behind += count_bits32(made_->ends[i]);
        }
        reverse_runs();
        made_->runs = static_cast<u16>(runs_);
        made_->header.half = static_cast<u16>(runs_ + hidden_);
    }

private:
    void reverse_runs() {
        for (u32 i = 0, j = runs_; i + 1 < j; ++i) {
            const u32 entry = made_->entries[i].load(Order::Relaxed);
            made_->entries[i].store(made_->entries[--j].load(Order::Relaxed), Order::Relaxed);
            made_->entries[j].store(entry, Order::Relaxed);
        }
    }

    Wide* made_;
    u32 runs_ = 0;
    u32 hidden_ = 0;
};

u32 cover_in(const LpmTrie* trie, const Wide* wide, u32 slot, u32 below) {
    u32 best = 0;
    u32 best_length = 0;
    for (u32 i = 0; i < wide->count(); ++i) {
        const u32 entry = load(wide, i);
        if (entry == best || !is_leaf(entry)) continue;
        const Range range = range_of(trie, entry);
        if (range.length >= below || range.length >= kDeep || range.length <= best_length) continue;
        if (slot < range.first || slot > range.last) continue;
        best = entry;
        best_length = range.length;
    }
    return best;
}

Atomic<u32>* find_in(const LpmTrie* trie, Wide* wide, const Range& range) {
    size_t i = run_at(wide, range.last);
    for (const size_t last = run_at(wide, range.first); i < wide->count(); ++i) {
        if (i > last && i < wide->runs) i = wide->runs;
        if (i == wide->count()) break;
        const u32 entry = load(wide, i);
        if (!entry) continue;
        const Range other = range_of(trie, entry);
        if (other.first == range.first && other.length == range.length) return &wide->entries[i];
    }
    return nullptr;
}

u32 next_in(const LpmTrie* trie, const Wide* wide, u32 order) {
    u32 best = 0;
    u32 best_order = ~u32{0};
    for (u32 i = 0; i < wide->count(); ++i) {
        const u32 entry = load(wide, i);
        if (!entry) continue;
        const Range range = range_of(trie, entry);
        if (range.length <= 4 * kWideNibbles) continue;  // what covers the node
        const u32 its_order = order_of(range);
        if (its_order <= order || its_order >= best_order) continue;
        best = entry;
        best_order = its_order;
    }
    return best;
}

u32 occurrences(const Wide* wide, u32 entry) {
    u32 seen = 0;
    for (u32 i = 0; i < wide->count(); ++i) seen += load(wide, i) == entry;
    return seen;
}

bool is_only(const Wide* wide, u32 entry) {
    for (u32 i = 0; i < wide->count(); ++i) {
        const u32 other = load(wide, i);
        if (other && other != entry && other != wide->cover) return false;
    }
    return true;
}

u32 WideChange::size_class() const {
    // A new one divides a run in three, or hides one, or is hidden itself.
    const u32 count = (old ? old->count() : 1) + (gone ? 0 : 2);
    u32 i = 0;
    while (kWideCapacities[i] < count) ++i;
    return kWideClass + i;
}

// The runs of the new node. Where the old ones begin, and where the change does and what is behind it, one
// may begin.
WideChange::Painted WideChange::paint(const LpmTrie* trie, WideWriter& writer) const {
    u32 starts[kWords], places[kWords];
    u32 carry = 1;
    for (u32 i = 0; i < kWords; ++i) {
        const u32 ends = old ? old->ends[i] : 0;
        places[i] = starts[i] = ends << 1 | carry;
        carry = ends >> 31;
    }
    set(places, range.first);
    if (range.last != 255) set(places, range.last + 1);

    const bool holes = old && trie->holes.load(Order::Relaxed);
    Painted painted{};
    u32 here = 0, left = old ? old->runs : 0;
    for (u32 i = 0; i < kWords; ++i) {
        for (u32 bits = places[i]; bits; bits &= bits - 1) {
            const u32 slot = 32 * i + lowest_bit(bits);
            if (has(starts, slot)) {
                here = old ? load(old, --left) : 0;
                if (UNLIKELY(holes && !here)) here = cover_in(trie, old, slot, kDeep);
                if (old && here == old->cover) here = 0;
            }
            bool ours = gone && here == gone;
            if (!gone && slot >= range.first && slot <= range.last) {
                ours = !here || range_of(trie, here).length < range.length;
                if (ours) painted.covered = here;
            }
            painted.shown |= ours;
            writer.run(slot, ours ? entry : here);
        }
    }
    return painted;
}

void WideChange::write(const LpmTrie* trie, Wide* made, const u8* data) const {
    made->header.small = kWideByte;
    made->path = (load_be32(data) >> 8 & kWideMask) | 4;
    made->mask = kWideMask;
    made->cover = 0;  // until a shortcut leads here
    for (u32& word : made->ends) word = 0;
    WideWriter writer(made);
    const Painted painted = paint(trie, writer);
    const u32 all = old ? old->count() : 0;
    for (u32 i = old ? old->runs : 0; i < all; ++i) {
        const u32 other = load(old, i);
        if (!other || other == gone || (gone && painted.shown && other == entry)) continue;
        writer.hidden(other);
    }
    if (painted.covered && !writer.has_entry(painted.covered)) writer.hidden(painted.covered);
    if (!gone && !painted.shown) writer.hidden(entry);
    writer.finish();
    made->deep = old ? old->deep : 0;
    if (range.length == kDeep) made->deep = static_cast<u16>(made->deep + (gone ? -1 : 1));
}

// What covers may be among the hidden ones as well afterwards: who looks for it at this moment finds it.
void take_away_in_place(Wide* wide, u32 gone, u32 cover) {
    for (u32 i = 0; i < wide->count(); ++i) {
        if (load(wide, i) != gone) continue;
        wide->entries[i].store(i < wide->runs ? cover : 0, Order::Release);  // pairs with readers
    }
}

}  // namespace barebpf::lpm
