// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Ids of kernel objects, as bpf(2) shows them: given out in rising order from 1, so that an id
// comes back only after the numbers have wrapped at 2^31 - 2.
//
// A tree of 64-way nodes; two bits per slot say "in use" and "nothing free below", so that both the
// next free and the next used id are found without walking empty or full parts.
//
//     height 2:      [ node ]            ids 0..4095 (0 is never given out)
//                   /   |    .
//              [leaf] [leaf] ...         each slot an object
//
// Locking: one spin lock, taken here. Context: process or interrupt; insert() allocates atomically.
#pragma once

#include "kernel/host/alloc.h"
#include "kernel/host/spinlock.h"
#include "kernel/lib/new.h"
#include "kernel/lib/result.h"

namespace barebpf {

struct IdTableClass {
    static constexpr host::LockClass kClass{"id_table", 80};
};

namespace detail {

// Everything that does not depend on the object's type.
class IdTree {
public:
    static constexpr u32 kMaxId = 0x7ffffffe;
    using Lock = host::SpinLock<IdTableClass>;

    constexpr IdTree() = default;
    IdTree(const IdTree&) = delete;
    IdTree& operator=(const IdTree&) = delete;

    Result<void> insert(void* object, u32* place) EXCLUDES(lock_);
    void erase(u32 id) EXCLUDES(lock_);
    Result<u32> next_id(u32 after) EXCLUDES(lock_);
    void reset(u32 next) EXCLUDES(lock_);
    void* find_locked(u32 id) REQUIRES(lock_);

    Lock lock_;

private:
    struct Node;

    bool cover(u32 id) REQUIRES(lock_);
    bool store(u32 id, void* object) REQUIRES(lock_);
    void drop_empty(Node** path, u32 depth, u32 shift, u32 id) REQUIRES(lock_);
    bool erase_below(Node* node, u32 shift, u32 id) REQUIRES(lock_);
    u32 first_free(u32 from) REQUIRES(lock_);
    void free_below(Node* node, u32 shift) REQUIRES(lock_);

    Node* root_ GUARDED_BY(lock_) = nullptr;
    u32 shift_ GUARDED_BY(lock_) = 0;   // of the root: it covers 64 << shift_ ids
    u32 cursor_ GUARDED_BY(lock_) = 1;  // where the search for a free id begins
    host::MemoryOwner memory_;
};

}  // namespace detail

// T has a member `u32 id`, zero as long as the object is in no table.
template <class T>
class IdTable {
public:
    // Gives the object its id, in object->id: written before find() can return the object, and by nobody after that.
    // NoMem; NoSpc when 2^31 - 2 objects exist.
    Result<void> insert(T* object) { return tree_.insert(object, &object->id); }
    void erase(u32 id) { tree_.erase(id); }  // of none: nothing

    // keep(object) runs under the table's lock and takes a reference, or says false when the object
    // is on its way out. Null when there is no such id or keep said so.
    template <class Keep>
    T* find(u32 id, Keep keep) {
        host::Guard<detail::IdTree::Lock, host::IrqSave> guard(tree_.lock_);
        T* object = static_cast<T*>(tree_.find_locked(id));
        return object && keep(object) ? object : nullptr;
    }

    // The smallest id above `after`; NoEnt.
    Result<u32> next_id(u32 after) { return tree_.next_id(after); }

    // Forgets all ids and starts again at `next`; for a world that ends, and for tests.
    void reset(u32 next = 1) { tree_.reset(next); }

    // As if nothing had ever been in it, without a look at what is: in a copy of another process's
    // memory, where the lock may be taken and the tree half changed.
    void forget() { construct_at<IdTable>(this); }

private:
    detail::IdTree tree_;
};

}  // namespace barebpf
