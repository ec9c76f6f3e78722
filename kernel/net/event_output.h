// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// bpf_perf_event_output() by kind of packet. Context: any, NMI included.
#pragma once

#include "kernel/net/helpers.h"

namespace barebpf {

u64 bpf_skb_event_output(u64 ctx, u64 map, u64 flags, u64 data, u64 size);
u64 bpf_xdp_event_output(u64 ctx, u64 map, u64 flags, u64 data, u64 size);

constexpr HelperProto event_output_proto(BpfFunction function) {
    HelperProto row = helper_row("perf_event_output", function, ArgType::Ctx, ArgType::ConstMap,
                                 ArgType::Anything, ArgType::Mem, ArgType::SizeOrZero);
    row.gpl_only = true;
    return row;
}

}  // namespace barebpf
