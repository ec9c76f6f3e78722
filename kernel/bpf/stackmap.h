// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Stack trace map: a place to keep stack traces once each, named by a number of 32 bits.
//
//     buckets  [ 0 | 7 | 0 | 3 | ... ]        as many as max_entries, rounded up to a power of two
//                    |       └──> trace 3     the id of a trace is its bucket: hash & mask
//                    └──────────> trace 7
//     trace    [ link | hash | frames | version | addresses, or bpf_stack_build_id ]
//
// bpf_get_stackid() takes the trace of the running context, less the innermost frames that it is told to
// skip. In its bucket: the same trace, or, with BPF_F_FAST_STACK_CMP, one of the same hash: its id.
// Another: EEXIST, unless BPF_F_REUSE_STACKID puts ours in its place. With BPF_F_STACK_BUILD_ID, of the
// map, an address is a record that says how it is to be read: as an address (BPF_STACK_BUILD_ID_IP), for
// no host here knows files.
//
// Locking: none. A trace is written before it is published, by one exchange of its bucket; who takes a
// trace out by such an exchange gives it back to the free list (percpu_freelist), from which it may be
// reused at once. A reader therefore counts what it has read only if neither the bucket nor the trace's
// version, which grows with each use and is odd while a trace is written, has changed meanwhile:
//
//     reader                                     writer
//     index = bucket       (acquire)             version + 1, fence (release), new addresses
//     v = version (acquire), even                version + 1 (release)
//     copy; fence (acquire)                      exchange of the bucket
//     bucket == index && version == v            pairs: what is seen of a new use shows its version
//
// Scratch space for the trace being compared: per CPU, one for each level of re-entry (a program, an
// interrupt, an NMI); deeper than that the helper fails with EFAULT.
#pragma once

#include "kernel/bpf/helpers.h"
#include "kernel/bpf/map.h"
#include "kernel/bpf/percpu_freelist.h"
#include "kernel/host/contract.h"
#include "kernel/lib/hash.h"

namespace barebpf {

// As Linux's sysctl kernel.perf_event_max_stack is set.
inline constexpr u32 kMaxStackDepth = 127;

struct StackMap : Map {
    struct Trace {
        host::Atomic<u32> link;
        host::Atomic<u32> hash;
        host::Atomic<u32> frames;
        host::Atomic<u32> version;
        u64 words[1];  // of the value
    };
    struct Scratch {
        host::Atomic<u32> depth;
        u64 frames[1];  // kLevels times max_depth of them
    };
    static constexpr u32 kLevels = 3;

    host::Buffer<host::Atomic<u32>> buckets;
    u8* traces = nullptr;  // trace i is at traces + i * stride; 0 is not used
    u32 stride = 0;
    u32 frame_bytes = 0;  // of the value, for each frame: 8, or those of bpf_stack_build_id
    u32 max_depth = 0;
    HashSeed seed{};
    PercpuFreelist free_traces;
    host::PerCpuMemory scratch;

    Trace* trace(u32 index) const {
        return reinterpret_cast<Trace*>(traces + size_t{index} * stride);
    }
};

// get_stackid and get_stack for programs without a Linux context (kProgTypeHost); null for other ids.
const HelperProto* stack_helper_proto(u32 func_id);

}  // namespace barebpf
