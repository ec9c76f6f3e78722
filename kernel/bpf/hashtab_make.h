// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Inside of hashtab: the parts of a map that every member of the family has. Process context.
#pragma once

#include "kernel/bpf/hashtab.h"

namespace barebpf::hashtab {

// Beyond this Linux's bucket array passes 2^32 bytes.
inline constexpr u32 kMaxEntries = 1u << 27;

Result<void> check_attr(const bpf_attr& attr);
// Sizes and offsets in an element, and the seed.
void choose_layout(HashMap* map, const bpf_attr& attr);
// False: no memory; what was made until then is freed by free_parts().
bool make_buckets(HashMap* map, u32 max_entries);
// Elements 1..max_entries, in nobody's list, and those behind them that are the CPUs' spares; in_place:
// no update needs one.
bool make_elements(HashMap* map, u32 max_entries, bool in_place);
// Whether all is freed; false while a batch of freed elements waits for its grace period.
bool free_parts(HashMap* map);

}  // namespace barebpf::hashtab
