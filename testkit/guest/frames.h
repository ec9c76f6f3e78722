// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest: the page allocator. A frame is a page of RAM, named by its physical address.
//
//     RAM     [boot data][image      ][initrd ][ frames .................................... ]
//     bitmap                                     1 0 0 1 1 ...     1: free
//
// Allocation goes round (next fit), so that a freed page stays free for long. A free page is not in the direct
// map: who uses it faults (kUnmapFreePages). Pages that were freed a moment ago wait in a batch, so that one
// flush of all TLBs serves many; nothing but that detection depends on the flush, for a page has the same
// direct address whenever it has one.
//
// Context: any but NMI.
#pragma once

#include "testkit/guest/arch.h"

namespace barebpf::guest::frames {

inline constexpr bool kUnmapFreePages = true;

// Takes over the RAM that the firmware tells of. Fails the run when it is too little.
void init(const Machine& machine);
// From here on free pages leave the direct map: the final tables are on.
void start_unmapping();

u64 alloc();         // readable and writable at direct(); whatever it held. kNoPage: none is left
u64 alloc_zeroed();  // the same, zeroed
void free(u64 frame);

bool is_ram(u64 physical);  // of the firmware's, image and initrd included
bool is_free(u64 frame);    // for reports: may be out of date at once
u64 free_count();           // batch included
u64 total_count();          // that can be allocated at all
u64 least_free();           // the lowest free_count() so far
void for_each_ram(void (*visit)(u64 first, u64 end));  // page-aligned

}  // namespace barebpf::guest::frames
