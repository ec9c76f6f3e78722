// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of lpm_trie: a node in the making, its entries by place instead of by rank.
#pragma once

#include "kernel/bpf/lpm_walk.h"

namespace barebpf::lpm {

class Draft {
public:
    // Of a node that looks at the nibble at `depth` below the way that `data` begins with.
    Draft(const u8* data, u32 depth) {
        const u32 byte = depth / 2;
        const u32 shift = depth % 2 ? 0 : 4;
        byte_ = static_cast<u8>(byte);
        mask_ = ~u32{0} << (shift + 4);
        if (byte < 3) mask_ &= (1u << 8 * (byte + 1)) - 1;
        path_ = (KeyAny(data).window(byte) & mask_) | shift;
    }
    // A copy; empty entries are left out.
    explicit Draft(const Node* node)
        : path_(node->path), mask_(node->mask), byte_(static_cast<u8>(node->byte())) {
        const Atomic<u32>* entry = node->entries;
        for (u32 left = node->children(); left; left &= left - 1) {
            set_child(lowest_bit(left), (entry++)->load(Order::Relaxed));
        }
        for (u32 left = node->inside; left; left &= left - 1) {
            set_leaf(lowest_bit(left), (entry++)->load(Order::Relaxed));
        }
    }

    void set_child(u32 nibble, u32 entry) {
        if (!entry) return;
        children_ |= 1u << nibble;
        child_[nibble] = entry;
    }
    void set_leaf(u32 at, u32 entry) {
        if (!entry) return;
        inside_ |= 1u << at;
        leaf_[at] = entry;
    }
    void drop_child(u32 nibble) { children_ &= ~(1u << nibble); }
    void drop_leaf(u32 at) { inside_ &= ~(1u << at); }
    // A leaf where it belongs: inside, or below.
    void place(u32 entry, const u8* data, u32 depth, u32 prefixlen) {
        if (prefixlen <= 4 * depth + 4) return set_leaf(heap_index(data, depth, prefixlen), entry);
        set_child(nibble_at(data, depth), entry);
    }

    u32 count() const { return count_bits(u64{children_} << 32 | inside_); }
    u32 only() const {
        return children_ ? child_[lowest_bit(children_)] : leaf_[lowest_bit(inside_)];
    }

    // The class of nodes that it fits.
    u32 size_class() const {
        u32 i = 0;
        while (kNodeCapacities[i] < count()) ++i;
        return kLeafClass + 1 + i;
    }
    void write(Node* node) const {
        node->header.small = byte_;
        node->header.half = static_cast<u16>(children_);
        node->path = path_;
        node->mask = mask_;
        node->inside = inside_;
        Atomic<u32>* entry = node->entries;
        for (u32 left = children_; left; left &= left - 1) {
            (entry++)->store(child_[lowest_bit(left)], Order::Relaxed);
        }
        for (u32 left = inside_; left; left &= left - 1) {
            (entry++)->store(leaf_[lowest_bit(left)], Order::Relaxed);
        }
    }

private:
    u32 path_;
    u32 mask_;
    u32 inside_ = 0;
    u32 children_ = 0;
    u8 byte_;
    u32 child_[16];
    u32 leaf_[32];
};

}  // namespace barebpf::lpm
