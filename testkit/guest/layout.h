// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Guest: where things stand in the virtual address space, the same on both machines (48 bits, 4 levels of
// 512 entries, 4 KiB pages everywhere, so that any page can have its own protection).
//
//     0 .. 0x00007fff'ffffffff      nothing, once the final tables are on: what a "user pointer" faults on
//     0xffff8000'00000000  direct   all RAM at its physical address: read and write, never executed; without
//                                   write where the page is text, read-only data or a program, without anything
//                                   where the page is free (a use after free of a page faults)
//     0xffffa000'00000000  mapped   Pages::map(), stacks with a hole below, writable aliases of programs
//     0xffffc000'00000000  device   memory-mapped registers
//     0xffffffff'80000000  image    the kernel at its physical address: text RX, rodata R, data RW
//     0xffffffff'c0000000  programs executable memory: RX, within a 32-bit call of the image
//
// No page is writable and executable at once, at whichever address: guest_memory_test walks the tables.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf::guest {

inline constexpr u64 kDirectBase = 0xffff800000000000;
inline constexpr u64 kMappedBase = 0xffffa00000000000;
inline constexpr u64 kMappedSize = u64{1} << 36;
inline constexpr u64 kDeviceBase = 0xffffc00000000000;
inline constexpr u64 kImageBase =
    0xffffffff80000000;  // + physical address (arm64: of RAM's start, see image.ld)
inline constexpr u64 kProgramBase = 0xffffffffc0000000;
inline constexpr u64 kProgramSize = u64{64} << 20;

// The firmware's memory above this is left alone: the boot tables reach no farther.
inline constexpr u64 kMaxRam = u64{1} << 30;

inline constexpr u64 kPageBytes = 4096;
inline constexpr u32 kMaxGuestCpus = 8;
inline constexpr u64 kStackBytes = 128 << 10;     // of a CPU
inline constexpr u64 kTrapStackBytes = 32 << 10;  // for each kind of interruption

}  // namespace barebpf::guest
