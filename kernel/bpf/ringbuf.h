// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Ring buffers between programs and user space, in memory that both have mapped:
// BPF_MAP_TYPE_RINGBUF (programs write) and BPF_MAP_TYPE_USER_RINGBUF (user space writes).
//
//     page     0         1           2           3 ... n+2     n+3 ... 2n+2
//            | private | consumer_ | producer_ | data         the same data once more |
//            |         | position  | position  |
//     mmap offset        0           4096        8192
//
// A position counts bytes since the beginning and only grows; position & (size - 1) is the place in the data. The
// data stands twice, back to back, so a record that wraps is contiguous memory for both sides.
//
//     record   [ length | busy 31, discarded 30 | page offset ]  payload, zeros up to 8 bytes
//                u32                              u32, of the header's page from page 0
//
// The page offset leads from a payload back to its ring. Source: bpf-helpers(7), "BPF ring buffer" in the
// kernel's documentation, and what libbpf reads and writes.
//
// Programs write. Reservations are made under `lock`, one behind the other:
//
//     reserve   lock; room? header busy; producer_position (release); unlock
//     commit    header: length without busy (release); light fence; wake if consumer_position is at this record
//     reader    producer_position (acquire); header (acquire): not busy: payload; consumer_position (release)
//     poll      heavy fence; producer_position, consumer_position: different?
//
// No wake-up is lost: the reader stores its position before it polls. Either the commit's fence comes first in the
// single order of fences, and poll() sees the producer_position that the reservation stored; or poll()'s fence does,
// and the commit sees the reader's position at this record. It wakes then, and only then: a reader that is busy with
// earlier records comes to this one by itself.
//
// User space may write what it likes to the consumer's page. A position that is not within the data makes the ring
// look full. Moved past records that are still being written, it would have them overwritten: pending_position, behind
// producer_position, is where the oldest record was that was busy when last looked at, and keeps them ("bpf: Fix
// overrunning reservations in ringbuf").
//
// User space writes (user_ringbuf.cc). Everything but consumer_position is theirs: each word is read once and held
// against the ring's size. One program drains at a time.
//
// Contexts. Everything declared here but the map's own life: any, pinned, inside an RCU read section. A reservation
// in an NMI that interrupted the holder of `lock`, or waited long for another CPU, finds no room. A record that is
// never committed holds back what follows it.
#pragma once

#include "kernel/bpf/map.h"
#include "kernel/host/contract.h"

namespace barebpf {

inline constexpr u32 kRingBusy = BPF_RINGBUF_BUSY_BIT;
inline constexpr u32 kRingDiscarded = BPF_RINGBUF_DISCARD_BIT;
inline constexpr u32 kRingHeaderSize = BPF_RINGBUF_HDR_SZ;
inline constexpr u32 kRingConsumerPage = 1;
inline constexpr u32 kRingProducerPage = 2;
inline constexpr u32 kRingDataPage = 3;
// Of a record's length, which shares its word with two bits.
inline constexpr u64 kRingMaxRecord = ~u32{0} / 4;

struct RingClass {
    static constexpr host::LockClass kClass{"ringbuf", 52};
};

struct RingMap;

// Page 0. The producers' line apart from what never changes.
struct Ring {
    using Lock = host::SpinLock<RingClass>;

    RingMap* map = nullptr;
    u64 mask = 0;  // size of the data - 1

    alignas(64) Lock lock;
    host::Atomic<u32> draining{};       // user ring: a program is at it
    u64 produced GUARDED_BY(lock) = 0;  // what producer_position says

    host::Atomic<u64>& consumer_position() { return position_in(kRingConsumerPage); }
    host::Atomic<u64>& producer_position() { return position_in(kRingProducerPage); }
    // No record before it is busy. Under the lock; 6.18 keeps it here, where user space may see it.
    host::Atomic<u64>& pending_position() {
        return host::atomic_at<u64>(page(kRingProducerPage) + sizeof(u64));
    }
    u8* data() { return page(kRingDataPage); }
    u64 size() const { return mask + 1; }

private:
    u8* page(u32 number) { return reinterpret_cast<u8*>(this) + number * host::kPageSize; }
    host::Atomic<u64>& position_in(u32 number) { return host::atomic_at<u64>(page(number)); }
};

struct RingMap : Map {
    host::MappedPages pages;
    host::WaitQueue queue;
    Ring* ring = nullptr;  // pages.address()
};

// ── BPF_MAP_TYPE_RINGBUF ──────────────────────────────────────────────────────────────────────

// The payload, 8-byte-aligned; null: no room, or more than the ring or a record can hold.
void* ringbuf_reserve(Map* map, u64 size);
// Of what was reserved and not committed yet. flags: BPF_RB_NO_WAKEUP, BPF_RB_FORCE_WAKEUP.
void ringbuf_commit(void* sample, u64 flags, bool discard);
// 0; Inval: flags; Again: no room.
s64 ringbuf_output(Map* map, const void* data, u64 size, u64 flags);
// BPF_RB_AVAIL_DATA, BPF_RB_RING_SIZE, BPF_RB_CONS_POS, BPF_RB_PROD_POS; else 0.
u64 ringbuf_query(Map* map, u64 flags);

// ── BPF_MAP_TYPE_USER_RINGBUF ─────────────────────────────────────────────────────────────────

struct UserSample {
    void* data;  // may change under the reader's hands
    u32 size;
};

// 0, then user_ringbuf_end(); Busy: somebody else drains.
s64 user_ringbuf_begin(Map* map);
// The oldest record, which stays until it is released. NoData: there is none; Again: one that its writer discarded is
// gone now; Inval, TooBig: positions and length make no sense together.
s64 user_ringbuf_next(Map* map, UserSample* out);
void user_ringbuf_release(Map* map, const UserSample& sample);
// any: samples were taken, so that the writer may be woken (flags as for ringbuf_commit()).
void user_ringbuf_end(Map* map, u64 flags, bool any);

// Both: what a descriptor's poll() and mmap() do are in ringbuf.cc and user_ringbuf.cc; the rest is shared.
Result<void> ring_check_attr(const bpf_attr& attr);
Result<Map*> ring_create(const bpf_attr& attr);
void ring_free(Map* map);
host::WaitQueue* ring_wait_queue(Map* map);
// Bytes between the two positions, whatever they are.
u64 ring_available(Ring* ring);
// The pages of an mmap request, if it is within the ring. Inval.
Result<host::MmapPages> ring_pages(Map* map, const host::MmapRequest& request, bool may_write);

}  // namespace barebpf
