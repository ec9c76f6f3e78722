// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest: addresses of the `mapped` area (testkit/guest/layout.h), handed out page by page.
//
// Next fit over a bitmap. Each range is followed by one page that nobody gets: the hole that a stack, a block or
// a mapping runs into when it is overrun, and that guards its successor from below.
//
// Context: any but NMI.
#pragma once

#include "testkit/guest/arch.h"

namespace barebpf::guest::address_space {

void init(u64 ram_pages);  // the area that is used grows with RAM: tables cost memory too

u64 take(u64 pages);  // the address; 0: none left
void give_back(u64 address, u64 pages);

// The frames mapped in a row in a new range; 0: no addresses, or no memory for tables.
u64 map_frames(const u32* frames, u64 count, Access access);
// Unmaps, flushes, gives the addresses back. The frames are the caller's.
void unmap_range(u64 address, u64 count);

// Frames of its own, whatever they held. 0: no memory.
u64 map_new(u64 pages);
void unmap_and_free(u64 address, u64 pages);

}  // namespace barebpf::guest::address_space
