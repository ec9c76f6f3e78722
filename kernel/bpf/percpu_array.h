// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Per-CPU array: each CPU has its own values of elements 0..max_entries-1, zeroed at first.
//
//     CPU 0: [ element 0 | element 1 | ... ]     each value_size, rounded up to 8 bytes
//     CPU 1: [ element 0 | element 1 | ... ]     on cache lines of its own
//
// One block of per-CPU memory, so that a program's lookup is this CPU's base plus an offset: no table of
// pointers in between, and no memory for one.
//
// A program sees the value of the CPU that it runs on. bpf(2) reads and writes the values of all possible
// CPUs side by side, 8-byte aligned.
//
// Unprivileged creators: as in arraymap.h, indices are masked and the array is a power of two long.
//
// Locking: none. A program is pinned, so only an interrupt, an NMI or bpf(2) may write the same value at
// the same time; no 8-byte word is ever torn.
#pragma once

#include "kernel/bpf/map.h"
#include "kernel/host/contract.h"

namespace barebpf {

struct PercpuArrayMap : Map {
    host::PerCpuMemory values;
    u32 element_size = 0;  // value_size rounded up to 8
    u32 index_mask = 0;    // covers max_entries - 1

    u8* at(u32 index, u32 cpu) const {
        return static_cast<u8*>(values.cpu(cpu)) + u64{element_size} * index;
    }
    // Pinned.
    u8* at_this_cpu(u32 index) const {
        return static_cast<u8*>(values.this_cpu()) + u64{element_size} * index;
    }
};

}  // namespace barebpf
