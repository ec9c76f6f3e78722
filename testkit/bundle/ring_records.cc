// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/bundle/ring_records.h"

#include "kernel/bpf/ringbuf.h"
#include "kernel/lib/bits.h"

namespace barebpf::bundle {

using host::Order;

namespace {

void take_all(Ring* ring, RecordVisitor* visitor) {
    u64 at = ring->consumer_position().load(Order::Relaxed);  // nobody else moves it
    // Pairs with the release of producer_position in ringbuf_reserve(): the headers before it are written.
    const u64 end = ring->producer_position().load(Order::Acquire);
    while (at != end) {
        u8* header = ring->data() + (at & ring->mask);
        // Pairs with the release in ringbuf_commit(): so is the payload.
        const u32 word = host::atomic_at<u32>(header).load(Order::Acquire);
        if (word & kRingBusy) return;
        const u32 size = word & ~kRingDiscarded;
        if (!(word & kRingDiscarded)) visitor->visit(visitor, header + kRingHeaderSize, size);
        at += align_up(u64{size} + kRingHeaderSize, 8);
        // Pairs with the acquire of consumer_position in ringbuf_reserve(): we have read what will be overwritten.
        ring->consumer_position().store(at, Order::Release);
    }
}

}  // namespace

void take_ring_records(int fd, RecordVisitor* visitor) {
    host::Cpu::Entry inside;
    const auto ref = map_get_by_fd(fd);
    if (!ref) return;
    if (ref.value().map->type == BPF_MAP_TYPE_RINGBUF)
        take_all(static_cast<RingMap*>(ref.value().map)->ring, visitor);
    map_put(ref.value().map);
}

}  // namespace barebpf::bundle
