// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest: the heap, which looks for misuse of its blocks all the time.
//
//     small (below a page): blocks of a size class in slabs of 64 KiB (testkit/guest/heap_small.cc)
//
//         [header 48][red 16][payload: size bytes][red: at least 16, to the end of the class]
//
//     large: pages of its own in the `mapped` area (testkit/guest/heap_large.cc)
//
//         hole [payload: size bytes][red: to the end of the page] hole
//
// Red zones hold kRed, the payload of a freed small block kPoison; freed blocks rest in a quarantine before they
// are used again: small ones readable, so that a write shows when they leave it; large ones unmapped, so that
// any access faults. Each block remembers who allocated and who freed it. Damage, a double free, and a free
// with a wrong size end the run with a report. Looked at: at free, when a block leaves the quarantine, and all
// blocks in heap_check().
//
// Context: any but NMI.
#pragma once

#include "testkit/guest/arch.h"

namespace barebpf::guest::heap {

inline constexpr u8 kRed = 0xbd;
inline constexpr u8 kPoison = 0xdf;
inline constexpr u32 kCallers = 4;

void init();
void* alloc_zeroed(size_t size);  // null: no memory
void free(void* memory, size_t size);
// Empties the quarantines. For when memory is short.
void shrink();
// Says what is known of an address inside or near a block of the heap; nothing if it is none. For dumps.
void describe(u64 address);

// ── Between heap.cc, heap_small.cc and heap_large.cc ──────────────────────────────────────────

// Who allocated or freed a block: the low halves of return addresses in the image.
struct Callers {
    u32 at[kCallers];
};
Callers callers_here();

struct BlockReport {
    u64 address;
    u64 size;
    bool freed;
    const Callers* allocated_by;
    const Callers* freed_by;
};
void print_block(const BlockReport& block);
[[noreturn]] void report(const char* what, const BlockReport& block);

// The first byte of [from, to) that is not value; null: none.
const u8* find_damage(const u8* from, const u8* to, u8 value);

namespace small {
inline constexpr size_t kLimit = kPageBytes;  // sizes below
inline constexpr u64 kWindow = kMappedBase + kMappedSize / 2;
inline constexpr u64 kWindowSize = u64{1} << 30;
void init(u64 quarantine_bytes);
void* alloc_zeroed(size_t size);
void free(void* memory, size_t size);
void drain();
void check();
bool describe(u64 address);
inline bool owns(u64 address) {
    return address >= kWindow && address - kWindow < kWindowSize;
}
}  // namespace small

namespace large {
void init(u64 quarantine_pages);
void* alloc_zeroed(size_t size);
void free(void* memory, size_t size);
void drain();
void check();
bool describe(u64 address);
}  // namespace large

}  // namespace barebpf::guest::heap
