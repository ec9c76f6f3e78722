// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the fix-ups put in the place of BPF_LD_ABS and BPF_LD_IND.
//
// A BpfFunction each: R1 the SkBuff, R2 the offset (its low 32 bits, signed). The result is the value in
// host byte order, or negative (-EFAULT) when the packet has no such bytes; the program then ends and
// returns 0. Offsets from 0 count from SkBuff::data; from kSkfLinkOffset on they count from the link
// header, from kSkfNetOffset on from the network header.
//
// Context: any. Source: linux/filter.h (SKF_NET_OFF, SKF_LL_OFF), RFC 9669 section 5.5.
#pragma once

#include "kernel/lib/types.h"

namespace barebpf {

inline constexpr s32 kSkfNetOffset = -0x10'0000;   // SKF_NET_OFF
inline constexpr s32 kSkfLinkOffset = -0x20'0000;  // SKF_LL_OFF

u64 skb_ld_abs_8(u64 skb, u64 offset, u64, u64, u64);
u64 skb_ld_abs_16(u64 skb, u64 offset, u64, u64, u64);
u64 skb_ld_abs_32(u64 skb, u64 offset, u64, u64, u64);

}  // namespace barebpf
