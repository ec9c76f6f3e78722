// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Array map: elements 0..max_entries-1 always exist, zeroed, and are written in place.
//
//     values: [ element 0 | element 1 | ... ]     each value_size, rounded up to 8 bytes
//
// The values stand in memory of their own: on the heap, or, with BPF_F_MMAPABLE, in whole pages
// that user space may map. Their address never changes, so compiled programs hold it as a constant
// (inlined lookups; .rodata, .data and .bss, which are arrays of one element).
//
// Unprivileged creators: indices are masked after the bounds check, so that a mispredicted branch
// cannot read beyond; the array then is a power of two long in memory.
//
// Locking: none. Reads and writes of one 8-byte word are never torn; larger values are (unless
// BPF_F_LOCK is used), as on Linux.
#pragma once

#include "kernel/bpf/map.h"
#include "kernel/host/contract.h"

namespace barebpf {

struct ArrayMap : Map {
    u8* values = nullptr;
    u64 heap_size = 0;        // 0: the values are in pages
    host::MappedPages pages;  // BPF_F_MMAPABLE
    u32 element_size = 0;     // value_size rounded up to 8
    u32 index_mask = 0;       // covers max_entries - 1

    u8* at(u32 index) const { return values + u64{element_size} * index; }
};

// Where instructions find them, from the start of the map. Map has no virtual bases: every compiler that
// builds this knows the offsets, though the standard promises them for simpler structs only.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
inline constexpr s16 kArrayMaxEntriesOffset = __builtin_offsetof(ArrayMap, max_entries);
inline constexpr s16 kArrayIndexMaskOffset = __builtin_offsetof(ArrayMap, index_mask);
inline constexpr s16 kArrayValuesOffset = __builtin_offsetof(ArrayMap, values);
#pragma GCC diagnostic pop

}  // namespace barebpf
