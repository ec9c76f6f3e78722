// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A number for the flow that a packet belongs to: the same for both directions, different flows apart, keyed
// with a secret of this boot. It is what bpf_get_hash_recalc() computes when no card has.
//
// Addresses and transport protocol of IPv4 and IPv6, ports of TCP, UDP, UDP-Lite, DCCP and SCTP; tags in the
// link header and IPv6 extension headers are looked through. Fragments hash without ports, so that all
// of one datagram agree. Other packets hash by their protocol alone.
//
// Context: any but the first call, which is seed_flow_hash() in process context.
#pragma once

#include "kernel/net/packet.h"

namespace barebpf {

void seed_flow_hash();
u32 flow_hash(const SkBuff* skb);  // never 0

}  // namespace barebpf
