// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/lib/id_table.h"

#include "kernel/lib/bits.h"

namespace barebpf::detail {

using host::Guard;
using host::IrqSave;

namespace {
constexpr u32 kBits = 6;
constexpr u32 kSlots = 1u << kBits;
constexpr u32 kNone = 0;  // never a valid id

constexpr u32 slot_of(u32 id, u32 shift) {
    return (id >> shift) % kSlots;
}
// The first id that lies in the given slot of the node which also holds `id`, if that slot is not
// id's own; id itself if it is.
constexpr u32 enter_slot(u32 id, u32 shift, u32 slot) {
    if (slot_of(id, shift) == slot) return id;
    const u64 width = u64{kSlots} << shift;
    return static_cast<u32>((id & ~(width - 1)) | u64{slot} << shift);
}
constexpr u64 from_slot(u32 slot) {
    return ~u64{0} << slot;
}
}  // namespace

struct IdTree::Node {
    u64 used;  // slots with something in them
    u64 full;  // slots without room below
    void* slots[kSlots];

    Node* child(u32 slot) { return static_cast<Node*>(slots[slot]); }

    // The first id >= from that is used (or free), looked for below this node; kNone.
    u32 find(u32 shift, u32 from, bool wanted_used) {
        u32 slot = slot_of(from, shift);
        const u64 candidates = (wanted_used ? used : ~full) & from_slot(slot);
        for (u64 rest = candidates; rest; rest &= rest - 1) {
            slot = lowest_bit(rest);
            const u32 id = enter_slot(from, shift, slot);
            if (shift == 0 || !child(slot)) return id;
            const u32 found = child(slot)->find(shift - kBits, id, wanted_used);
            if (found != kNone) return found;
        }
        return kNone;
    }
};

// Makes the tree high enough for id; an empty one at once, with nothing below the root.
bool IdTree::cover(u32 id) {
    while (!root_ || (u64{kSlots} << shift_) <= id) {
        auto* node =
            static_cast<Node*>(host::alloc(sizeof(Node), host::AllocContext::Atomic, memory_));
        if (!node) return false;
        if (root_) {
            node->slots[0] = root_;
            node->used = 1;
            node->full = ~root_->full == 0;
            shift_ += kBits;
        } else {
            for (shift_ = 0; (u64{kSlots} << shift_) <= id;) shift_ += kBits;
        }
        root_ = node;
    }
    return true;
}

// Gives back what was made on the way to an id for which there is no memory: the last of the path, of that shift, and
// those above it, as far as nothing is in them.
void IdTree::drop_empty(Node** path, u32 depth, u32 shift, u32 id) {
    while (path[--depth]->used == 0) {
        host::free(path[depth], sizeof(Node), memory_);
        if (depth == 0) {
            root_ = nullptr;
            shift_ = 0;
            return;
        }
        shift += kBits;
        path[depth - 1]->slots[slot_of(id, shift)] = nullptr;
        path[depth - 1]->used &= ~(u64{1} << slot_of(id, shift));
    }
}

bool IdTree::store(u32 id, void* object) {
    Node* path[32 / kBits + 1];
    u32 depth = 0;
    Node* node = root_;
    for (u32 shift = shift_; shift != 0; shift -= kBits) {
        path[depth++] = node;
        const u32 slot = slot_of(id, shift);
        if (!node->slots[slot]) {
            void* fresh = host::alloc(sizeof(Node), host::AllocContext::Atomic, memory_);
            if (!fresh) {
                drop_empty(path, depth, shift, id);
                return false;
            }
            node->slots[slot] = fresh;
            node->used |= u64{1} << slot;
        }
        node = node->child(slot);
    }
    node->slots[slot_of(id, 0)] = object;
    node->used |= u64{1} << slot_of(id, 0);
    node->full |= u64{1} << slot_of(id, 0);
    for (u32 shift = kBits; depth != 0 && ~node->full == 0; shift += kBits) {
        node = path[--depth];
        node->full |= u64{1} << slot_of(id, shift);
    }
    return true;
}

u32 IdTree::first_free(u32 from) {
    if (!root_) return from;
    if ((u64{kSlots} << shift_) > from) {
        const u32 found = root_->find(shift_, from, false);
        if (found != kNone) return found;
        const u64 beyond = u64{kSlots} << shift_;
        return beyond > kMaxId ? kMaxId + 1 : static_cast<u32>(beyond);
    }
    return from;
}

Result<void> IdTree::insert(void* object, u32* place) {
    Guard<Lock, IrqSave> guard(lock_);
    u32 id = first_free(cursor_);
    if (id > kMaxId) id = first_free(1);
    if (id > kMaxId) return Errno::NoSpc;
    if (!cover(id) || !store(id, object)) return Errno::NoMem;
    cursor_ = id == kMaxId ? 1 : id + 1;
    *place = id;
    return {};
}

// True when the node has become empty.
bool IdTree::erase_below(Node* node, u32 shift, u32 id) {
    const u32 slot = slot_of(id, shift);
    node->full &= ~(u64{1} << slot);
    if (shift != 0) {
        if (!erase_below(node->child(slot), shift - kBits, id)) return false;
        host::free(node->slots[slot], sizeof(Node), memory_);
    }
    node->slots[slot] = nullptr;
    node->used &= ~(u64{1} << slot);
    return node->used == 0;
}

void IdTree::erase(u32 id) {
    Guard<Lock, IrqSave> guard(lock_);
    if (!find_locked(id) || !erase_below(root_, shift_, id)) return;
    host::free(root_, sizeof(Node), memory_);
    root_ = nullptr;
    shift_ = 0;
}

void* IdTree::find_locked(u32 id) {
    if (!root_ || (u64{kSlots} << shift_) <= id) return nullptr;
    Node* node = root_;
    for (u32 shift = shift_; node && shift != 0; shift -= kBits) {
        node = node->child(slot_of(id, shift));
    }
    return node ? node->slots[slot_of(id, 0)] : nullptr;
}

Result<u32> IdTree::next_id(u32 after) {
    Guard<Lock, IrqSave> guard(lock_);
    if (!root_ || after >= kMaxId || (u64{kSlots} << shift_) <= u64{after} + 1) return Errno::NoEnt;
    const u32 found = root_->find(shift_, after + 1, true);
    if (found == kNone) return Errno::NoEnt;
    return found;
}

void IdTree::free_below(Node* node, u32 shift) {
    if (shift != 0) {
        for (u32 slot = 0; slot < kSlots; ++slot) {
            if (node->slots[slot]) free_below(node->child(slot), shift - kBits);
        }
    }
    host::free(node, sizeof(Node), memory_);
}

void IdTree::reset(u32 next) {
    Guard<Lock, IrqSave> guard(lock_);
    if (root_) free_below(root_, shift_);
    root_ = nullptr;
    shift_ = 0;
    cursor_ = next;
}

}  // namespace barebpf::detail
