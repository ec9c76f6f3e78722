// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The helpers of XDP programs: a BpfFunction each, R1 the XdpBuff. Names, arguments, limits and results are
// those of bpf-helpers(7). Context: any, NMI included.
#pragma once

#include "kernel/net/helpers.h"

namespace barebpf {

u64 bpf_xdp_adjust_head(u64 ctx, u64 delta, u64, u64, u64);
u64 bpf_xdp_adjust_tail(u64 ctx, u64 delta, u64, u64, u64);
u64 bpf_xdp_adjust_meta(u64 ctx, u64 delta, u64, u64, u64);
u64 bpf_xdp_get_buff_len(u64 ctx, u64, u64, u64, u64);
u64 bpf_xdp_load_bytes(u64 ctx, u64 offset, u64 to, u64 size, u64);
u64 bpf_xdp_store_bytes(u64 ctx, u64 offset, u64 from, u64 size, u64);
u64 bpf_xdp_redirect(u64 ifindex, u64 flags, u64, u64, u64);

// The prototypes beyond the base set; null: not one of these.
const HelperProto* xdp_helper(u32 func_id);

// What metadata in front of a frame may measure: words, and one byte tells how much (as since Linux 6.15;
// before it was 32 bytes).
constexpr bool is_metadata_size(u64 size) {
    return size % 4 == 0 && size <= 252;
}

}  // namespace barebpf
