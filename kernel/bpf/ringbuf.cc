// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/ringbuf.h"

#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_types.h"
#include "kernel/lib/bits.h"

namespace barebpf {
namespace {

using host::Adopt;
using host::Atomic;
using host::Guard;
using host::Order;

constexpr u32 kPollIn = 0x1 | 0x40;  // POLLIN | POLLRDNORM

Ring* ring_of(const Map* map) {
    return static_cast<const RingMap*>(map)->ring;
}

// ── Records ───────────────────────────────────────────────────────────────────────────────────

struct RecordHeader {
    Atomic<u32> length;  // and the two bits
    u32 page_offset;     // written before the record is published, constant from then on
};
static_assert(sizeof(RecordHeader) == kRingHeaderSize);

// Bytes that a record takes.
constexpr u64 footprint(u64 size) {
    return align_up(size + kRingHeaderSize, 8);
}

ALWAYS_INLINE RecordHeader* header_at(Ring* ring, u64 position) {
    return reinterpret_cast<RecordHeader*>(ring->data() + (position & ring->mask));
}

// In the first copy of the data, at `offset`.
ALWAYS_INLINE u32 page_offset_of(u64 offset) {
    return kRingDataPage + static_cast<u32>(offset / host::kPageSize);
}

ALWAYS_INLINE Ring* ring_of_header(RecordHeader* header) {
    const u64 page = reinterpret_cast<u64>(header) & ~u64{host::kPageSize - 1};
    return reinterpret_cast<Ring*>(page - u64{header->page_offset} * host::kPageSize);
}

// Moves pending_position over records that are not busy any more: over those that are seen at once, and over as many as
// `end`, where a new record would end, needs.
ALWAYS_INLINE u64 advance_pending(Ring* ring, u64 end) REQUIRES(ring->lock) {
    constexpr u32 kAtOnce = 16;
    u64 pending = ring->pending_position().load(Order::Relaxed);
    for (u32 steps = 0; pending != ring->produced; ++steps) {
        if (steps >= kAtOnce && end - pending <= ring->mask) break;
        // Pairs with the release in ringbuf_commit(): what was written to the record was written.
        const u32 length = header_at(ring, pending)->length.load(Order::Acquire);
        if (length & kRingBusy) break;
        pending += footprint(length & ~kRingDiscarded);
    }
    ring->pending_position().store(pending, Order::Relaxed);
    return pending;
}

ALWAYS_INLINE bool has_room(Ring* ring, u64 end, u64 consumed) REQUIRES(ring->lock) {
    const u64 pending = advance_pending(ring, end);
    return end - consumed <= ring->mask && end - pending <= ring->mask;
}

// Null: no room, or more than the ring or a record can hold.
ALWAYS_INLINE RecordHeader* reserve(Ring* ring, u64 size) {
    if (UNLIKELY(size > kRingMaxRecord)) return nullptr;
    const u64 length = footprint(size);
    if (UNLIKELY(length > ring->size())) return nullptr;

    // Acquire: what was read from the records before this position was read; the place may be used again.
    const u64 consumed = ring->consumer_position().load(Order::Acquire);
    host::IrqState irq;
    if (UNLIKELY(!ring->lock.acquire_in_any_context(&irq))) return nullptr;
    Guard<Ring::Lock, Adopt> guard(ring->lock, irq);
    const u64 begin = ring->produced;
    const u64 end = begin + length;
    if (UNLIKELY(!has_room(ring, end, consumed))) return nullptr;

    RecordHeader* header = header_at(ring, begin);
    header->length.store(static_cast<u32>(size) | kRingBusy, Order::Relaxed);
    header->page_offset = page_offset_of(begin & ring->mask);
    ring->produced = end;
    // The header is there first. Pairs with the reader's acquire.
    ring->producer_position().store(end, Order::Release);
    return header;
}

// length: what the header says from now on.
ALWAYS_INLINE void commit(Ring* ring, RecordHeader* header, u32 length, u64 flags) {
    // The record is complete: pairs with the reader's acquire of it.
    header->length.store(length, Order::Release);
    // Before our look at the reader's position: pairs with the heavy one in poll().
    host::light_fence();
    if (UNLIKELY(flags & BPF_RB_FORCE_WAKEUP)) {
        ring->map->queue.wake_all();
        return;
    }
    const u64 reader = ring->consumer_position().load(Order::Relaxed) & ring->mask;
    const u64 offset = static_cast<u64>(reinterpret_cast<u8*>(header) - ring->data());
    if (UNLIKELY(reader == offset) && !(flags & BPF_RB_NO_WAKEUP)) ring->map->queue.wake_all();
}

// ── Descriptors ───────────────────────────────────────────────────────────────────────────────

u32 poll(Map* map) {
    // Behind the reader's store of its position: pairs with the light one in ringbuf_commit().
    host::heavy_fence();
    return ring_available(ring_of(map)) ? kPollIn : 0;
}

// The consumer's page may be written, alone; the rest never.
Result<host::MmapPages> mmap(Map* map, const host::MmapRequest& request) {
    if (request.writable && (request.offset != 0 || request.length != host::kPageSize)) {
        return Errno::Perm;
    }
    return ring_pages(map, request, request.writable);
}

}  // namespace

void* ringbuf_reserve(Map* map, u64 size) {
    RecordHeader* header = reserve(ring_of(map), size);
    return LIKELY(header != nullptr) ? header + 1 : nullptr;
}

void ringbuf_commit(void* sample, u64 flags, bool discard) {
    RecordHeader* header = static_cast<RecordHeader*>(sample) - 1;
    const u32 length = header->length.load(Order::Relaxed) & ~kRingBusy;
    commit(ring_of_header(header), header, discard ? length | kRingDiscarded : length, flags);
}

s64 ringbuf_output(Map* map, const void* data, u64 size, u64 flags) {
    if (UNLIKELY(flags & ~u64{BPF_RB_NO_WAKEUP | BPF_RB_FORCE_WAKEUP}))
        return -to_int(Errno::Inval);
    Ring* ring = ring_of(map);
    RecordHeader* header = reserve(ring, size);
    if (UNLIKELY(!header)) return -to_int(Errno::Again);
    __builtin_memcpy(static_cast<void*>(header + 1), data, size);
    commit(ring, header, static_cast<u32>(size), flags);
    return 0;
}

u64 ringbuf_query(Map* map, u64 flags) {
    Ring* ring = ring_of(map);
    switch (flags) {
        case BPF_RB_AVAIL_DATA:
            return ring_available(ring);
        case BPF_RB_RING_SIZE:
            return ring->size();
        case BPF_RB_CONS_POS:
            return ring->consumer_position().load(Order::Acquire);
        case BPF_RB_PROD_POS:
            return ring->producer_position().load(Order::Acquire);
        default:
            return 0;
    }
}

// ── Both kinds ────────────────────────────────────────────────────────────────────────────────

Result<void> ring_check_attr(const bpf_attr& attr) {
    if ((attr.map_flags & ~u32{BPF_F_NUMA_NODE}) || attr.key_size || attr.value_size ||
        !is_power_of_two(attr.max_entries) || attr.max_entries % host::kPageSize) {
        return Errno::Inval;
    }
    return {};
}

Result<Map*> ring_create(const bpf_attr& attr) {
    auto* map = new_map<RingMap>();
    if (!map) return Errno::NoMem;
    const u32 data_pages = static_cast<u32>(attr.max_entries / host::kPageSize);
    if (!map->pages.create(kRingDataPage + data_pages, kRingDataPage, map->memory)) {
        delete_map(map);
        return Errno::NoMem;
    }
    map->ring = construct_at<Ring>(map->pages.address());
    map->ring->map = map;
    map->ring->mask = u64{attr.max_entries} - 1;
    return static_cast<Map*>(map);
}

void ring_free(Map* generic) {
    auto* map = static_cast<RingMap*>(generic);
    map->queue.close();
    map->ring->~Ring();
    delete_map(map);
}

host::WaitQueue* ring_wait_queue(Map* map) {
    return &static_cast<RingMap*>(map)->queue;
}

u64 ring_available(Ring* ring) {
    const u64 consumed = ring->consumer_position().load(Order::Acquire);
    return ring->producer_position().load(Order::Acquire) - consumed;
}

Result<host::MmapPages> ring_pages(Map* generic, const host::MmapRequest& request, bool may_write) {
    auto* map = static_cast<RingMap*>(generic);
    const u64 size = u64{map->pages.mapped_count() - kRingConsumerPage} * host::kPageSize;
    u64 end;
    if (__builtin_add_overflow(request.offset, align_up(request.length, host::kPageSize), &end) ||
        end > size || request.offset % host::kPageSize) {
        return Errno::Inval;
    }
    const u64 first = kRingConsumerPage + request.offset / host::kPageSize;
    const u64 count = (end - request.offset) / host::kPageSize;
    return host::MmapPages{map->pages.pages() + first, static_cast<u32>(count), may_write};
}

constinit const MapOps kRingbufMapOps = {
    .check_attr = ring_check_attr,
    .create = ring_create,
    .free = ring_free,
    .meta_equal = map_meta_equal,
    .mmap = mmap,
    .poll = poll,
    .wait_queue = ring_wait_queue,
};

}  // namespace barebpf
