// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the members of the array family share: keys are 32-bit indices, and a creator without CAP_PERFMON has them
// masked behind each bounds check: a CPU that mispredicts the check then stays within the array, which has memory for
// whatever the mask lets through.
#pragma once

#include "kernel/bpf/map.h"
#include "kernel/lib/annotations.h"

namespace barebpf {

// Linux's checks of a MAP_CREATE; own_flags are what this member allows beyond the common ones.
Result<void> check_array_attr(const bpf_attr& attr, u32 own_flags);
s64 array_next_key(Map* map, const void* key, void* next_key);
// Ones up to the highest bit of the last index.
u32 index_mask_for(u32 max_entries);
// How an array is laid out for the current context.
struct ArrayLayout {
    bool bypass_spec_v1;
    u32 index_mask;
    u32 slots;  // elements in memory: max_entries, or, where indices are masked, index_mask + 1
};
// TooBig: no number of elements is that large a power of two.
Result<ArrayLayout> array_layout(u32 max_entries);
ALWAYS_INLINE u32 array_index(const void* key) {
    u32 index;
    __builtin_memcpy(&index, key, sizeof index);
    return index;
}

}  // namespace barebpf
