// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// BPF_PROG_TEST_RUN for programs that act on packets.
//
//     attr.test ──> checks ──> packet and context copied in ──> repeat runs ──> results copied out
//
// The packet is not restored between two runs of one command, as on Linux: what a run does to it, the next
// one sees. Duration is the mean time of a run, in ns.
//
// Context: process, may sleep, outside of any RCU read section. Errors are Linux's, found in its order;
// see docs/differences.md for frames in fragments and live frames, which are not built.
#pragma once

#include "kernel/bpf/prog.h"
#include "kernel/host/usercopy.h"

namespace barebpf {

Result<void> xdp_test_run(Prog* prog, const bpf_attr& attr, host::UserAddress uattr);
// Socket filter, sched_cls, sched_act.
Result<void> skb_test_run(Prog* prog, const bpf_attr& attr, host::UserAddress uattr);

// -- what the two share ---------------------------------------------------------------------------

inline constexpr u32 kTestPage = 4096;      // a frame and its surroundings fit in it
inline constexpr u32 kTestTailroom = 320;   // what Linux keeps behind a packet (skb_shared_info)
inline constexpr u32 kLoopbackIfindex = 1;  // the one interface that the model has

struct TestResult {
    u32 retval;
    u32 duration;
};

// Runs prog on ctx attr.test.repeat times (0 means once).
TestResult test_run_loop(const Prog* prog, const void* ctx, u32 repeat);

// Copies the UAPI context in: all of size bytes are set, zero beyond what the caller gave. False: the caller
// passes no context at all. TooBig: bytes beyond size that are not zero. Fault.
Result<bool> test_context_in(const bpf_attr& attr, void* context, u32 size);
// Copies it out if it was asked for. NoSpc: cut, but copied.
Result<void> test_context_out(const bpf_attr& attr, host::UserAddress uattr, const void* context,
                              u32 size);
// Packet, its size, return value, duration. NoSpc: the packet was cut, all else is copied.
Result<void> test_finish(const bpf_attr& attr, host::UserAddress uattr, const void* packet,
                         u32 size, const TestResult& result);

}  // namespace barebpf
