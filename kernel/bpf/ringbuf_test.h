// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The other side of a ring buffer, for tests: reads and writes its pages as user space does, by the published
// protocol alone.
#pragma once

#include "kernel/bpf/ringbuf.h"

namespace barebpf::test {

inline Ring* ring_of(Map* map) {
    return static_cast<RingMap*>(map)->ring;
}

// What a user-space reader of a BPF_MAP_TYPE_RINGBUF does.
class RingReader {
public:
    explicit RingReader(Map* map) : ring_(ring_of(map)) {}

    // Shows complete records, oldest first, until one is not complete or there is no more, at most `most`; their
    // number, discarded ones included. show(data, size) sees those that were submitted.
    template <class Show>
    u32 read(Show show, u32 most = ~u32{0}) {
        u64 position = ring_->consumer_position().load(host::Order::Relaxed);
        u32 count = 0;
        while (count < most) {
            // Acquire: pairs with ringbuf_reserve().
            const u64 produced = ring_->producer_position().load(host::Order::Acquire);
            if (position >= produced) break;
            u8* at = ring_->data() + (position & ring_->mask);
            // Acquire: pairs with ringbuf_commit().
            const u32 word = host::atomic_at<u32>(at).load(host::Order::Acquire);
            if (word & kRingBusy) break;
            const u32 size = word & ~kRingDiscarded;
            if (!(word & kRingDiscarded)) show(static_cast<const u8*>(at + kRingHeaderSize), size);
            position += (size + kRingHeaderSize + 7) & ~7u;
            // Release: pairs with the acquire in ringbuf_reserve().
            ring_->consumer_position().store(position, host::Order::Release);
            ++count;
        }
        return count;
    }

private:
    Ring* ring_;
};

// What a user-space writer of a BPF_MAP_TYPE_USER_RINGBUF does.
class RingWriter {
public:
    explicit RingWriter(Map* map) : ring_(ring_of(map)) {}

    // Null: no room.
    u8* reserve(u32 size) {
        const u64 length = (size + kRingHeaderSize + 7) & ~u64{7};
        // Acquire: pairs with the program's release of what it has read.
        const u64 consumed = ring_->consumer_position().load(host::Order::Acquire);
        const u64 begin = ring_->producer_position().load(host::Order::Relaxed);
        if (ring_->size() - (begin - consumed) < length) return nullptr;
        u8* at = ring_->data() + (begin & ring_->mask);
        host::atomic_at<u32>(at).store(size | kRingBusy, host::Order::Relaxed);
        // Release: pairs with the acquire in user_ringbuf_next().
        ring_->producer_position().store(begin + length, host::Order::Release);
        return at + kRingHeaderSize;
    }
    static void commit(u8* sample, bool discard = false) {
        auto& word = host::atomic_at<u32>(sample - kRingHeaderSize);
        const u32 size = word.load(host::Order::Relaxed) & ~kRingBusy;
        // Release: pairs with the acquire in user_ringbuf_next().
        word.store(discard ? size | kRingDiscarded : size, host::Order::Release);
    }

private:
    Ring* ring_;
};

}  // namespace barebpf::test
