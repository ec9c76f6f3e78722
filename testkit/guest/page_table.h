// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest: the kernel's one set of page tables (what stands where: testkit/guest/layout.h).
//
//     root ──> 512 ──> 512 ──> 512 leaves of 4 KiB; tables are made as needed and never freed
//
// Entries are written with single stores, and tables are linked in by compare-and-exchange, so nothing here
// takes a lock. Who owns a range of addresses owns its leaves. None of the functions flushes TLBs.
//
// A leaf that is not present may remember the frame that it showed last ("parked"): bit 0 of an entry says
// present on both machines, and a frame's address has it clear.
//
// Context: any but NMI; reading: any.
#pragma once

#include "testkit/guest/arch.h"

namespace barebpf::guest::page_table {

// Builds the final tables over frames and image, and uses them on this CPU.
void init();
u64 root();         // physical; what a started CPU comes up on
u64 table_count();  // frames that are tables; they are never freed

bool map(u64 address, u64 frame, Access access,
         bool device = false);  // false: no frame for a table
u64 unmap(u64 address);         // the frame that was there, parked ones too; kNoPage
void park(u64 address);         // not present, frame remembered
void protect(u64 address, Access access);
u64 frame_at(u64 address);      // present or parked; kNoPage
Access access_at(u64 address);  // None: not present

// The frame's page in the direct map; None takes it out.
void set_direct(u64 frame, Access access);

// Every present leaf, by address. The walk may miss what others change meanwhile.
using Visit = void (*)(void* context, u64 address, u64 entry);
void for_each_leaf(Visit visit, void* context);

}  // namespace barebpf::guest::page_table
