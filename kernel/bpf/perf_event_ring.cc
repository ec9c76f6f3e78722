// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Records into a ring: perf_event.h explains who writes when, and in which order.
#include "kernel/bpf/perf_event_ring.h"

#include "kernel/host/clock.h"
#include "kernel/lib/bits.h"

namespace barebpf {
namespace {

using host::Order;

constexpr u32 kMaxFields = 10;
constexpr u32 kLostRecordSize = 24;
constexpr u32 kMaxRecord = 0xffff & ~7u;

// Where a record is being written: positions only grow, the ring wraps.
class Writer {
public:
    Writer(PerfRing* ring, u64 position) : ring_(ring), position_(position) {}

    void put(const void* from, u64 size) {
        if (!size) return;
        const u64 offset = position_ & (ring_->data_size - 1);
        const u64 to_end = ring_->data_size - offset;
        const u64 first = size < to_end ? size : to_end;
        u8* data = control_at(ring_, static_cast<u32>(host::kPageSize));
        __builtin_memcpy(data + offset, from, first);
        if (size > first) {
            __builtin_memcpy(data, static_cast<const u8*>(from) + first, size - first);
        }
        position_ += size;
    }
    template <class T>
    void put_value(const T& value) {
        put(&value, sizeof value);
    }

private:
    PerfRing* ring_;
    u64 position_;
};

// The fields in front of the raw data, in the order that perf_event_open(2) gives.
u32 collect_fields(const PerfEvent* event, u64* fields) {
    const u64 type = event->setup.sample_type;
    u32 count = 0;
    const auto add = [&](u64 flag, u64 value) {
        if (type & flag) fields[count++] = value;
    };
    add(kSampleIdentifier, event->id);
    add(kSampleIp, 0);
    add(kSampleTid, 0);
    if (type & kSampleTime) fields[count++] = host::Clock::monotonic_ns();
    add(kSampleAddr, 0);
    add(kSampleId, event->id);
    add(kSampleStreamId, event->id);
    add(kSampleCpu, event->setup.cpu);
    add(kSamplePeriod, 1);
    return count;
}

bool has_room(const PerfRing* ring, u64 head, u64 size) {
    if (ring->overwrite) return size < ring->data_size;
    // Acquire: what the reader read before it moved the tail was read. It is the reader's to write, so any
    // value may stand there.
    const u64 tail = host::atomic_at<u64>(control_at(ring, kControlDataTail)).load(Order::Acquire);
    const u64 used = head - tail;
    return used < ring->data_size && size < ring->data_size - used;
}

struct Reservation {
    u64 begin, end;
    bool lost_record;  // there is room for one in front
};

bool reserve(PerfRing* ring, u64 size, Reservation* out) {
    u64 head = ring->head.load(Order::Relaxed);
    do {
        out->lost_record = ring->lost.load(Order::Relaxed) != 0;
        out->end = head + size + (out->lost_record ? kLostRecordSize : 0);
        if (!has_room(ring, head, out->end - head)) {
            ring->lost.fetch_add(1, Order::Relaxed);
            return false;
        }
        out->begin = head;
    } while (!ring->head.compare_exchange(head, out->end, Order::Relaxed, Order::Relaxed));
    return true;
}

void write_lost(Writer& writer, const PerfEvent* event, u64 lost) {
    writer.put_value(PerfRecordHeader{kRecordLost, 0, kLostRecordSize});
    writer.put_value(event->id);
    writer.put_value(lost);
}

void write_sample(Writer& writer, const PerfPayload& payload, u32 size, const u64* fields,
                  u32 field_count, bool raw) {
    writer.put_value(PerfRecordHeader{kRecordSample, kRecordMiscKernel, static_cast<u16>(size)});
    writer.put(fields, u64{field_count} * sizeof(u64));
    if (!raw) return;
    constexpr u64 kZeros = 0;
    const u32 bytes = payload.size + payload.more_size;
    const u32 padded = static_cast<u32>(align_up(bytes + sizeof(u32), 8) - sizeof(u32));
    writer.put_value(padded);
    writer.put(payload.data, payload.size);
    writer.put(payload.more, payload.more_size);
    writer.put(&kZeros, padded - bytes);
}

// Whether this record, which ends at `end`, makes a wake-up due.
bool wakeup_is_due(PerfEvent* event, PerfRing* ring, u64 end) {
    bool due = false;
    const u64 at = ring->wakeup_at.load(Order::Relaxed);
    if (end - at > ring->watermark) {
        ring->wakeup_at.store(at + ring->watermark, Order::Relaxed);
        due = true;
    }
    const u32 every = event->setup.by_watermark ? 0 : event->setup.wakeup;
    if (every && ring->records.fetch_add(1, Order::Relaxed) + 1 >= every) {
        ring->records.fetch_sub(every, Order::Relaxed);
        due = true;
    }
    return due;
}

// The outermost writer publishes, and wakes.
void leave(PerfEvent* event, PerfRing* ring) {
    host::Atomic<u64>& published = host::atomic_at<u64>(control_at(ring, kControlDataHead));
    for (;;) {
        const u32 nest = ring->nest.load(Order::Relaxed);
        if (nest > 1) {
            ring->nest.store(nest - 1, Order::Relaxed);
            return;
        }
        const u64 head = ring->head.load(Order::Relaxed);
        published.store(head, Order::Release);  // pairs with the reader's acquire of data_head
        ring->nest.store(0, Order::Relaxed);
        // Who interrupted between the two stores left its record to us.
        if (ring->head.load(Order::Relaxed) == head) break;
        ring->nest.store(1, Order::Relaxed);
    }
    if (!ring->wakeup_due.exchange(0, Order::Relaxed)) return;
    event->ready.store(1, Order::Release);  // pairs with the exchange in poll_event()
    event->queue.wake_all();
}

s64 output_to(PerfEvent* event, PerfRing* ring, const PerfPayload& payload) {
    u64 fields[kMaxFields];
    const u32 field_count = collect_fields(event, fields);
    const bool raw = event->setup.sample_type & kSampleRaw;
    u64 size = sizeof(PerfRecordHeader) + u64{field_count} * sizeof(u64);
    if (raw) size += align_up(u64{payload.size} + payload.more_size + sizeof(u32), 8);
    if (size > kMaxRecord) return -to_int(Errno::TooBig);
    if (!ring->data_size) return -to_int(Errno::NoSpc);

    ring->nest.store(ring->nest.load(Order::Relaxed) + 1, Order::Relaxed);
    Reservation place;
    const bool reserved = reserve(ring, size, &place);
    if (reserved) {
        Writer writer(ring, place.begin);
        // Who interrupted us since may have reported them: then the record says 0.
        if (place.lost_record) write_lost(writer, event, ring->lost.exchange(0, Order::Relaxed));
        write_sample(writer, payload, static_cast<u32>(size), fields, field_count, raw);
        if (wakeup_is_due(event, ring, place.end)) ring->wakeup_due.store(1, Order::Relaxed);
    }
    leave(event, ring);
    return reserved ? 0 : -to_int(Errno::NoSpc);
}

}  // namespace

s64 perf_event_output(PerfEvent* event, const PerfPayload& payload) {
    if (!event->enabled.load(Order::Relaxed) || event->setup.cpu != host::cpu_id()) {
        return -to_int(Errno::OpNotSupp);
    }
    PerfRing* ring = event->ring.dereference();
    return ring ? output_to(event, ring, payload) : -to_int(Errno::NoSpc);
}

}  // namespace barebpf
