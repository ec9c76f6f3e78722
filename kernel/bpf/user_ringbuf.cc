// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The ring that user space writes and programs drain: ringbuf.h has the layout.
//
//     writer                                      program
//     room? header busy; producer_position        begin
//     payload; header (release)                   producer_position (acquire); header (acquire)
//                                                 sample handed to the program
//                                                 consumer_position (release)
//
// All that the writer owns is read once. What a sample's length says is believed as far as the writer's own position
// goes, and never beyond the data, which stands twice: wherever it begins, its bytes are there.
#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_types.h"
#include "kernel/bpf/ringbuf.h"
#include "kernel/lib/bits.h"

namespace barebpf {
namespace {

using host::Atomic;
using host::Order;

constexpr u32 kMaxSample = 0xff'ffff;  // what a dynptr can describe
constexpr u32 kPollOut = 0x4 | 0x100;  // POLLOUT | POLLWRNORM

Ring* ring_of(const Map* map) {
    return static_cast<const RingMap*>(map)->ring;
}

constexpr u64 footprint(u64 size) {
    return align_up(size + kRingHeaderSize, 8);
}

u32 poll(Map* map) {
    Ring* ring = ring_of(map);
    return ring_available(ring) < ring->size() ? kPollOut : 0;
}

// The consumer's page is the program's; the rest may be written.
Result<host::MmapPages> mmap(Map* map, const host::MmapRequest& request) {
    if (request.writable && request.offset == 0) return Errno::Perm;
    return ring_pages(map, request, request.writable);
}

// Only the draining program moves it.
void move_on(Ring* ring, u64 position, u64 length) {
    // What was in the record was read: pairs with the writer's acquire of consumer_position.
    ring->consumer_position().store(position + length, Order::Release);
}

}  // namespace

s64 user_ringbuf_begin(Map* map) {
    u32 nobody = 0;
    // Acquire: pairs with the release in user_ringbuf_end(); what the last one moved is moved.
    if (!ring_of(map)->draining.compare_exchange(nobody, 1, Order::Acquire, Order::Relaxed)) {
        return -to_int(Errno::Busy);
    }
    return 0;
}

s64 user_ringbuf_next(Map* map, UserSample* out) {
    Ring* ring = ring_of(map);
    // Acquire: pairs with the writer's release; the header is there.
    const u64 produced = ring->producer_position().load(Order::Acquire);
    if (produced % 8) return -to_int(Errno::Inval);
    const u64 consumed = ring->consumer_position().load(Order::Relaxed);
    if (consumed >= produced) return -to_int(Errno::NoData);

    u8* at = ring->data() + (consumed & ring->mask);
    // Acquire: pairs with the writer's release of a complete record.
    const u32 word = host::atomic_at<u32>(at).load(Order::Acquire);
    const u32 size = word & ~(kRingBusy | kRingDiscarded);
    const u64 length = footprint(size);
    if (length > produced - consumed) return -to_int(Errno::Inval);
    if (length > ring->size() || size > kMaxSample) return -to_int(Errno::TooBig);
    if (word & kRingDiscarded) {
        move_on(ring, consumed, length);
        return -to_int(Errno::Again);
    }
    if (word & kRingBusy) return -to_int(Errno::NoData);
    *out = {at + kRingHeaderSize, size};
    return 0;
}

void user_ringbuf_release(Map* map, const UserSample& sample) {
    Ring* ring = ring_of(map);
    move_on(ring, ring->consumer_position().load(Order::Relaxed), footprint(sample.size));
}

void user_ringbuf_end(Map* map, u64 flags, bool any) {
    ring_of(map)->draining.store(0,
                                 Order::Release);  // pairs with the acquire in user_ringbuf_begin()
    const bool wake = any && !(flags & BPF_RB_NO_WAKEUP);
    if (wake || (flags & BPF_RB_FORCE_WAKEUP)) ring_wait_queue(map)->wake_all();
}

constinit const MapOps kUserRingbufMapOps = {
    .check_attr = ring_check_attr,
    .create = ring_create,
    .free = ring_free,
    .meta_equal = map_meta_equal,
    .mmap = mmap,
    .poll = poll,
    .wait_queue = ring_wait_queue,
};

}  // namespace barebpf
