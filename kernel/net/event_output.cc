// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// bpf_perf_event_output() of programs that have a packet: the record is the program's bytes and, as much as
// flags say in BPF_F_CTXLEN_MASK, the beginning of the packet.
#include "kernel/net/event_output.h"

#include "kernel/bpf/perf_event.h"
#include "kernel/net/skb.h"

namespace barebpf {
namespace {

constexpr u32 kLengthShift = 32;

u64 output(u64 map, u64 flags, u64 data, u64 size, const u8* packet, u64 packet_size) {
    constexpr u64 kIndexMask = BPF_F_INDEX_MASK;
    constexpr u64 kLengthMask = BPF_F_CTXLEN_MASK;
    const u64 length = (flags & kLengthMask) >> kLengthShift;
    if (flags & ~(kLengthMask | kIndexMask)) return helper_failure(Errno::Inval);
    if (length > packet_size) return helper_failure(Errno::Fault);
    const PerfPayload payload = {.data = reinterpret_cast<const void*>(data),
                                 .size = static_cast<u32>(size),
                                 .more = packet,
                                 .more_size = static_cast<u32>(length)};
    return static_cast<u64>(perf_event_array_output(reinterpret_cast<Map*>(map),
                                                    static_cast<u32>(flags & kIndexMask), payload));
}

}  // namespace

u64 bpf_skb_event_output(u64 ctx, u64 map, u64 flags, u64 data, u64 size) {
    const SkBuff* skb = skb_of(ctx);
    return output(map, flags, data, size, skb->data, skb->len);
}

u64 bpf_xdp_event_output(u64 ctx, u64 map, u64 flags, u64 data, u64 size) {
    const auto* xdp = reinterpret_cast<const XdpBuff*>(ctx);
    return output(map, flags, data, size, xdp->data, static_cast<u64>(xdp->data_end - xdp->data));
}

}  // namespace barebpf
