// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Hash maps: of bytes, of per-CPU values, of maps; preallocated or not. (LRU: hashtab_lru.h.)
//
// A bucket is one cache line. It names elements by index and holds one byte of each one's hash, so
// that a lookup touches the bucket and, as a rule, only the element that it looks for:
//
//     0        8                               40     44        48         52        64
//     [ tags x8 | slots: element index x8      | lock | version | overflow | (spare) ]
//        |  byte i: 7 bits of the hash of slot i, 0: empty          |
//        v                                                          v
//     element: [ link | key (zero-padded to 8) | value ]      link ──> link ──> 0
//              a key of 4 bytes stands beside the link
//
// Buckets number a power of two with 2.25 to 4.5 elements each when the map is full; the few that
// find their eight slots taken are chained from `overflow`, sorted by a hash of the key, so that a walk
// finds its place again after others, or its own visitor, have deleted and inserted.
//
// Two policies make the kinds: Storage (hashtab_storage.h: where elements come from) and Value
// (hashtab_value.h: what is in them). Per-CPU values stand beside the elements, by the same index, each
// CPU's on cache lines of its own:
//
//     elements     [ 1 ][ 2 ][ 3 ] ...          on demand: so in each chunk of memalloc
//     cpu_values   CPU 0 [ 1 ][ 2 ][ 3 ] ... | CPU 1 [ 1 ][ 2 ][ 3 ] ... | ...
//
// They, and the pointers of a map of maps, are updated in place; of plain values the following holds.
//
// An update puts a fresh element in the place of the old one, so that a program never sees a value
// half old and half new through the pointer that a lookup gave it, as long as the old element is
// not recycled. Preallocated maps recycle at once (a program that keeps a pointer across updates by
// others may see another element's value, as on Linux); maps without preallocation recycle after a
// grace period. Preallocated, each CPU keeps two elements aside, one for each level of re-entry:
// the replaced element becomes the spare, is still in the cache for the next update, and an update
// works when the map is full.
//
// Readers take no lock. `version` changes when an element leaves its place, before it can be
// recycled:
//
//     reader                                writer (bucket locked)
//     v = version      (acquire)            slot or tag or link changed   (release)
//     tags, slot, compare key               version + 1                   (release)
//     fence (acquire)                       ... element to the free list; whoever takes it:
//     version == v ?  else again            fence (release), new key, new value
//
// A reader that saw a byte of a recycled element therefore sees that the version has changed: it
// neither takes another key for its own nor misses one that stayed. There is no "write in progress"
// state to wait for, so a program in an NMI reads a bucket whose writer it interrupted. A reader
// repeats only when another CPU finished a write to the same bucket meanwhile; after kMaxRetries it
// takes the lock.
//
// Locking: one spin lock in each bucket (rank: docs/locking.md), never two at once; nothing else is
// taken inside. An update fails with EBUSY only when it interrupted this very bucket's writer on
// its own CPU, waited long in an NMI, or is nested deeper than kLevels.
#pragma once

#include "kernel/bpf/element_limit.h"
#include "kernel/bpf/hash_bucket.h"
#include "kernel/bpf/map.h"
#include "kernel/bpf/memalloc.h"
#include "kernel/bpf/percpu_freelist.h"
#include "kernel/host/contract.h"
#include "kernel/lib/bits.h"
#include "kernel/lib/hash.h"

namespace barebpf {

// Numbers that look-ups need, where an instruction takes them from memory: each that had to be loaded first would be a register
// more, of which the processor has only so many for the look-ups that it has under way.
struct HashOperands {
    u64 upper_factor = kUpperFactor;
    u64 each_byte = kEachByte;
    u64 top_bits = repeat_byte(0x80);
};

struct HashMap : Map {
    // What each CPU keeps. Only that CPU touches it, in strict nesting: whoever interrupts leaves
    // `depth` as it was.
    struct CpuState {
        host::Atomic<u32> depth;
        host::Atomic<u32> spare[2];
    };
    static constexpr u32 kLevels = 2;

    HashBucket* buckets = nullptr;
    u32 bucket_mask = 0;
    u64 bucket_offset_mask = 0;  // the same in bytes
    u32 stride = 0;              // bytes from element to element
    u32 value_offset = 0;        // of the value in its element
    HashSeed seed{};
    HashOperands operands;
    u8* elements = nullptr;  // preallocated: element i is at elements + i * stride; 0 is not used
    u8* values = nullptr;    // the value of element 0
    u32 element_count = 0;
    u8* cpu_values = nullptr;   // preallocated: of element i on CPU c: at
    u64 cpu_values_stride = 0;  // cpu_values + c * cpu_values_stride + i * cpu_value_size
    u32 cpu_value_size = 0;     // multiple of 8; 0: not a per-CPU map
    PercpuFreelist free_elements;
    host::PerCpu<CpuState> cpus;

    Memalloc on_demand;           // BPF_F_NO_PREALLOC
    ElementLimit limit;           // of its elements in the table
    bool on_demand_made = false;  // for free()
};

}  // namespace barebpf
