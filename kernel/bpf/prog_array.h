// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The memory of a program array, as the interpreter and compiled tail calls read it. The map type's
// operations are in prog_array.cc; this is only the layout and the one read.
//
//     +-- ProgArray (a Map) --+ slot 0 | slot 1 | ...   pointers, null while empty
//
// There are max_entries of them; more where the fix-ups mask the index of a tail call (array_common.h), and those stay
// null.
//
// The first program that uses the array, or is put into it, decides which others may: a tail call
// enters a program of the same type and engine as its caller.
#pragma once

#include "kernel/bpf/map.h"
#include "kernel/host/atomic.h"

namespace barebpf {

struct Prog;

struct ProgArrayHead : Map {
    host::Atomic<u64> owner{};  // 0: nobody yet; otherwise what prog_array.cc makes of a program
    u32 index_mask = 0;         // covers max_entries - 1
    u32 slot_count = 0;         // in memory
};

struct ProgArray : ProgArrayHead {
    // Where the slots begin, from the start of the map.
    static constexpr u32 kSlotsOffset = (sizeof(ProgArrayHead) + 7) / 8 * 8;

    host::Atomic<Prog*>* slots() {
        return reinterpret_cast<host::Atomic<Prog*>*>(reinterpret_cast<u8*>(this) + kSlotsOffset);
    }
    static constexpr size_t bytes(u32 slot_count) {
        return kSlotsOffset + size_t{slot_count} * sizeof(host::Atomic<Prog*>);
    }
};

// Whether the program may be in the array, or may use it; the first one always may. Context: any.
bool prog_array_accepts(Map* map, const Prog* prog);

// The program in a slot, or null. Context: any, inside an RCU read section.
inline const Prog* prog_array_get(Map* map, u32 index) {
    if (index >= map->max_entries) return nullptr;
    // pairs with the release that puts a finished program into the slot
    return static_cast<ProgArray*>(map)->slots()[index].load(host::Order::Acquire);
}

}  // namespace barebpf
