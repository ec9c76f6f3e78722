// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Arrays of objects that user space names by descriptor: of maps, of perf events, of cgroups. (Program
// arrays have a layout of their own, which compiled tail calls know: prog_array.h.)
//
//     +-- FdArray (a Map) --+ slot 0 | slot 1 | ...   pointers, null while empty
//
// There are max_entries of them; more where indices are masked (array_common.h), and those stay null.
//
// A slot holds a reference to its object, taken by the type's fd_get and dropped by its fd_put.
//
// Locking: none. A slot changes by one exchange; its release pairs with the acquire in get(). Objects are
// freed after a grace period, so a program may use what it read until it ends.
#pragma once

#include "kernel/bpf/map.h"
#include "kernel/host/atomic.h"

namespace barebpf {

struct FdArrayHead : Map {
    u32 index_mask = 0;  // covers max_entries - 1
    u32 slot_count = 0;  // in memory
};

struct FdArray : FdArrayHead {
    // Where the slots begin, from the start of the map.
    static constexpr u32 kSlotsOffset = (sizeof(FdArrayHead) + 7) / 8 * 8;

    host::Atomic<void*>* slots() {
        return reinterpret_cast<host::Atomic<void*>*>(reinterpret_cast<u8*>(this) + kSlotsOffset);
    }
    const host::Atomic<void*>* slots() const { return const_cast<FdArray*>(this)->slots(); }
    // index < max_entries, unless a CPU mispredicted that.
    host::Atomic<void*>& slot(u32 index) { return slots()[index & index_mask]; }
    // The object in a slot, or null. Context: any, inside an RCU read section.
    void* get(u32 index) const {
        if (UNLIKELY(index >= max_entries)) return nullptr;
        return slots()[index & index_mask].load(host::Order::Acquire);
    }
    static constexpr size_t bytes(u32 slot_count) {
        return kSlotsOffset + size_t{slot_count} * sizeof(host::Atomic<void*>);
    }
};

// Parts of MapOps for such types; process context but for copy_value and erase (any).
Result<void> fd_array_check_attr(const bpf_attr& attr, u32 own_flags);
Result<Map*> fd_array_create(const bpf_attr& attr);
void fd_array_empty(Map* map);  // all slots
void fd_array_free(Map* map);
s64 fd_array_copy_value(Map* map, const void* key, void* value, u64 flags);  // the object's id
s64 fd_array_update(Map* map, const void* key, const void* value, u64 flags);
s64 fd_array_erase(Map* map, const void* key);

}  // namespace barebpf
