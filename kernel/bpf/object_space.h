// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Objects of a few sizes, named by 32-bit numbers of one space: what a structure of small nodes
// allocates from. Memory follows use, alloc and free work in any context, and what is freed comes back
// only after an RCU grace period.
//
//     number:  [ chunk, 12 bits | offset in the chunk, in units of 8 bytes: 18 bits | 00 ]      0: none
//     table:   [-]  [1] ──> chunk of size class 0   [2] ──> chunk of class 3   [3] ──> ...
//
// Where an object is follows from its number without its class: a table of a few kilobytes, a shift
// and an addition. The two lowest bits of a number are 0: the user's (at_tagged()). The table is replaced
// by one of twice the size when it is full.
//
// Each class has a free list (percpu_freelist) and a chunk that new objects are carved from, a run at a
// time. Chunks grow with the class, from some hundred bytes to two megabytes, so that a small map stays
// small and a large one reaches few pages. They are given back when the whole is destroyed.
//
// Frees gather per CPU, one RCU callback for any number of them, as in memalloc.h. Unlike there an
// object is never reused within its grace period: readers follow the numbers that they find in it.
//
// An object begins with an ObjectHeader; its link and class are not the user's. Of a freed object only
// the link changes while readers may still be there, and they have no use for it.
//
// Contexts: alloc, free and free_rcu anywhere, pinned. refill: not in an NMI, no lock held. An NMI that
// finds nothing free has memory fetched by an RCU callback, for the next one.
#pragma once

#include "kernel/bpf/percpu_freelist.h"
#include "kernel/host/contract.h"

namespace barebpf {

struct ObjectSpaceClass {
    static constexpr host::LockClass kClass{"object_space", 62};
};

struct ObjectHeader {
    host::Atomic<u32> link;  // of the free list it is on, or the batch that waits
    u8 size_class;
    u8 small;  // these two are the user's
    u16 half;
};
static_assert(sizeof(ObjectHeader) == 8);

class ObjectSpace {
public:
    static constexpr u32 kNone = 0;
    static constexpr u32 kUserBits = 3;
    static constexpr u32 kMaxClasses = 12;

    // Sizes in bytes, multiples of 8. False: no memory, nothing left behind.
    [[nodiscard]] bool create(const u32* sizes, u32 classes, host::MemoryOwner& owner);

    // Nobody allocates or frees any more; process context, others may have the CPU in between. False: a
    // callback is in flight, try again after a grace period. True for a space never created, too.
    [[nodiscard]] bool try_destroy();

    ALWAYS_INLINE u8* at(u32 number) const { return at_tagged<0>(number); }
    // Of a number in which the user's bits are kTag: as quick.
    template <u32 kTag>
    ALWAYS_INLINE u8* at_tagged(u32 tagged) const {
        static_assert(kTag <= kUserBits);
        // Acquire pairs with the release in use_table(), where the table was replaced.
        const host::Atomic<uintptr_t>* zeros = zeros_.load(host::Order::Acquire);
        const uintptr_t zero = zeros[tagged >> kChunkShift].load(host::Order::Relaxed);
        return reinterpret_cast<u8*>(zero + size_t{tagged} * kScale) - kTag * kScale;
    }

    // kNone: call refill() and try again; in an NMI that is not possible, and it is done later.
    u32 alloc(u32 size_class);
    // For an object that nobody else has seen.
    void free(u32 number);
    void free_rcu(u32 number);
    // Whether an NMI here would find an object without asking other CPUs.
    bool ready(u32 size_class) const { return !free_[size_class].this_cpu_is_empty(); }
    // More objects of that class for this CPU. False: no memory.
    bool refill(u32 size_class);

    u32 classes() const { return classes_; }
    u32 size_of(u32 size_class) const { return sizes_[size_class]; }

private:
    static constexpr u32 kUnit = 8;
    static constexpr u32 kOffsetBits = 18;
    static constexpr u32 kScale = kUnit / (kUserBits + 1);  // bytes for each number
    static constexpr u32 kChunkShift = kOffsetBits + 2;
    static constexpr u32 kMaxChunks = 1u << (32 - kChunkShift);
    static constexpr size_t kMinChunk = 512;
    static constexpr size_t kMaxChunk = size_t{1} << (kOffsetBits + 3);
    static constexpr size_t kHugeFrom = size_t{1} << 20;  // a class of that size gets the largest
    static constexpr u32 kFirstTable = 16;
    static constexpr u32 kRun = 64;  // objects carved at a time

    struct Table {
        host::RcuHead rcu;
        ObjectSpace* space;
        u32 capacity;
        host::Atomic<uintptr_t> zeros[1];  // of each chunk; behind the last one their sizes
        size_t& size(u32 chunk) { return reinterpret_cast<size_t*>(zeros + capacity)[chunk]; }
        static size_t bytes(u32 capacity) { return sizeof(Table) + 2 * capacity * sizeof(size_t); }
    };
    // The chunk that a class carves from.
    struct Fresh {
        u32 next;   // the next object's number
        u32 left;   // objects
        u64 bytes;  // of all chunks of the class
    };
    struct CpuState {
        host::Atomic<u64> freed;  // kInFlight or 0, and the newest waiting object
        u32 batch;                // owned by whoever set kInFlight, then by the callback
        u32 cpu;
        ObjectSpace* space;
        host::RcuHead rcu;
        host::Atomic<u32> wanted;  // kInFlight32 or 0, and the classes that an NMI found empty
        host::RcuHead refill_rcu;
    };
    struct Link {
        const ObjectSpace* space;
        ALWAYS_INLINE host::Atomic<u32>& operator()(u32 number) const {
            return reinterpret_cast<ObjectHeader*>(space->at(number))->link;
        }
    };
    using Lock = host::SpinLock<ObjectSpaceClass>;
    static constexpr u64 kInFlight = u64{1} << 32;
    static constexpr u32 kInFlight32 = 1u << 31;

    struct Run {
        u32 first, count;
    };
    bool refill_cpu(u32 size_class, u32 cpu);
    Run carve(u32 size_class);
    bool add_chunk(u32 size_class);
    u8* alloc_chunk(size_t stride, size_t* bytes);
    Table* larger_table(u32 capacity);
    // Where number 0 would be if it were in that chunk.
    static constexpr uintptr_t zero_before(u32 chunk) {
        return size_t{chunk << kChunkShift} * kScale;
    }
    void use_table(Table* table);
    void install_chunk(u32 size_class, u8* base, size_t bytes) REQUIRES(lock_);
    void want(u32 size_class);
    void push_all(u32 cpu, u32 first);
    bool busy() const;
    static void batch_done(host::RcuHead* head);
    static void refill_wanted(host::RcuHead* head);
    static void table_done(host::RcuHead* head);

    host::Atomic<const host::Atomic<uintptr_t>*> zeros_{};  // of the table: what at() needs of it
    host::Atomic<Table*> table_{};
    u32 classes_ = 0;
    u32 sizes_[kMaxClasses] = {};
    PercpuFreelist free_[kMaxClasses];
    host::PerCpu<CpuState> cpus_;
    host::MemoryOwner* owner_ = nullptr;
    host::Atomic<u32> old_tables_{};  // that wait for their grace period
    Lock lock_;
    u32 chunks_ GUARDED_BY(lock_) = 0;
    Fresh fresh_[kMaxClasses] GUARDED_BY(lock_) = {};
};

}  // namespace barebpf
