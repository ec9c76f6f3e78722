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
// by one of twice the size when it is full; one for all chunks that there may be, in the user's own memory,
// never is.
//
// The first class may have objects in two parts, so that whoever reads many of them, but only one part, reaches as
// few cache lines as the part has:
//
//     chunk:   [ object | object | ... | side | side | ... ]     its offsets count objects, not units
//
// What at() is for others, first() and side() are for these; object() is for any, and slower.
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
    static constexpr u32 kMaxClasses = 16;
    // Of numbers: from one object of the first class to the next, where it has sides; where the chunk begins.
    static constexpr u32 kNumberStep = kUserBits + 1;
    static constexpr u32 kOffsetBits = 18;
    static constexpr u32 kChunkShift = kOffsetBits + 2;

    // What create() is told beyond sizes.
    struct Layout {
        u32 side;  // bytes of the other part of objects of the first class, which may then have a multiple of 4; or 0
        u32 lead_from;  // from that class on the first object of a chunk stands
        u32 lead;  // so many bytes, a multiple of 8, behind its begin (which is aligned as host::alloc() says)
        // whole_table_bytes() of zeros, the caller's, that stay until try_destroy() has succeeded; null: its own, that grows
        void* whole_table;
    };
    // Sizes in bytes, multiples of 8. False: no memory, nothing left behind.
    [[nodiscard]] bool create(const u32* sizes, u32 classes, const Layout& layout,
                              host::MemoryOwner& owner);

    // Nobody allocates or frees any more; process context, others may have the CPU in between. False: a
    // callback is in flight, try again after a grace period. True for a space never created, too.
    [[nodiscard]] bool try_destroy();

    // Not of the first class, if that has sides.
    ALWAYS_INLINE u8* at(u32 number) const { return at_tagged<0>(number); }
    // Of a number in which the user's bits are kTag: as quick.
    template <u32 kTag>
    ALWAYS_INLINE u8* at_tagged(u32 tagged) const {
        return place<kTag>(zeros_, tagged, kScale);
    }
    // Of the first class where it has sides; kSide is what create() was told, where the compiler is to know it.
    ALWAYS_INLINE u8* first(u32 number) const { return place<0>(zeros_, number, first_step_); }
    template <u32 kTag = 0>
    ALWAYS_INLINE u8* side(u32 tagged) const {
        return place<kTag>(sides_, tagged, side_step_);
    }
    template <u32 kTag, u32 kSide>
    ALWAYS_INLINE u8* side_of_size(u32 tagged) const {
        return place<kTag>(sides_, tagged, kSide / kNumberStep);
    }
    ALWAYS_INLINE ObjectHeader* object(u32 number) const {
        // Acquire pairs with the release in use_table(), as in place().
        const Table* table = table_.load(host::Order::Acquire);
        const u32 chunk = number >> kChunkShift;
        const uintptr_t zero = table->zeros[chunk].load(host::Order::Relaxed);
        return reinterpret_cast<ObjectHeader*>(zero + size_t{number} * table->chunk(chunk).step);
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

    // For compilers: where in it the column stands that side() reads.
    static constexpr size_t sides_offset();
    static constexpr size_t whole_table_bytes();
    static constexpr size_t sides_in_whole_table();

    u32 classes() const { return classes_; }
    u32 size_of(u32 size_class) const { return sizes_[size_class]; }

private:
    static constexpr u32 kUnit = 8;
    static constexpr u32 kScale = kUnit / kNumberStep;  // bytes for each number
    static constexpr u32 kMaxChunks = 1u << (32 - kChunkShift);
    static constexpr size_t kMinChunk = 512;
    static constexpr size_t kMaxChunk = size_t{1} << (kOffsetBits + 3);
    static constexpr size_t kHugeFrom = size_t{1} << 20;  // a class of that size gets the largest
    static constexpr u32 kFirstTable = 16;
    static constexpr u32 kRun = 64;  // objects carved at a time

    struct Chunk {
        u8* base;
        size_t bytes;
        u32 step;  // bytes of an object for each number
    };
    struct Table {
        host::RcuHead rcu;
        ObjectSpace* space;
        u32 capacity;
        // Where number 0 would be if it were in that chunk; behind the last one the same of sides, behind those Chunks.
        host::Atomic<uintptr_t> zeros[1];
        host::Atomic<uintptr_t>* sides() { return zeros + capacity; }
        Chunk& chunk(u32 number) { return reinterpret_cast<Chunk*>(zeros + 2 * capacity)[number]; }
        const Chunk& chunk(u32 number) const {
            return reinterpret_cast<const Chunk*>(zeros + 2 * capacity)[number];
        }
        static constexpr size_t bytes(u32 capacity) {
            return sizeof(Table) + capacity * (2 * sizeof(uintptr_t) + sizeof(Chunk));
        }
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
            return space->object(number)->link;
        }
    };
    using Lock = host::SpinLock<ObjectSpaceClass>;
    static constexpr u64 kInFlight = u64{1} << 32;
    static constexpr u32 kInFlight32 = 1u << 31;

    struct Run {
        u32 first, count;
    };
    struct NewChunk {
        u8* base;
        size_t bytes;
        u32 objects;
    };
    // Acquire pairs with the release in use_table(), where the table was replaced.
    template <u32 kTag>
    static ALWAYS_INLINE u8* place(const host::Atomic<const host::Atomic<uintptr_t>*>& column,
                                   u32 tagged, size_t step) {
        const host::Atomic<uintptr_t>* zeros = column.load(host::Order::Acquire);
        static_assert(kTag <= kUserBits);
        const uintptr_t zero = zeros[tagged >> kChunkShift].load(host::Order::Relaxed);
        return reinterpret_cast<u8*>(zero + tagged * step) - kTag * step;
    }
    bool has_sides(u32 size_class) const { return layout_.side && size_class == 0; }
    u32 lead(u32 size_class) const { return size_class >= layout_.lead_from ? layout_.lead : 0; }
    // From one object's number to the next.
    u32 number_step(u32 size_class) const {
        return has_sides(size_class) ? kNumberStep : sizes_[size_class] / kScale;
    }
    bool refill_cpu(u32 size_class, u32 cpu);
    Run carve(u32 size_class);
    bool add_chunk(u32 size_class);
    bool alloc_chunk(u32 size_class, NewChunk* made);
    Table* larger_table(u32 capacity);
    Table* start_table(void* memory, u32 capacity);
    void use_table(Table* table);
    void install_chunk(u32 size_class, const NewChunk& made) REQUIRES(lock_);
    void want(u32 size_class);
    void push_all(u32 cpu, u32 first);
    bool busy() const;
    static void batch_done(host::RcuHead* head);
    static void refill_wanted(host::RcuHead* head);
    static void table_done(host::RcuHead* head);

    // Of the table: what at(), first() and side() need of it.
    host::Atomic<const host::Atomic<uintptr_t>*> zeros_{};
    host::Atomic<const host::Atomic<uintptr_t>*> sides_{};
    u32 first_step_ = 0;  // bytes for each number
    u32 side_step_ = 0;
    host::Atomic<Table*> table_{};
    Layout layout_{};
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

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
constexpr size_t ObjectSpace::sides_offset() {
    return __builtin_offsetof(ObjectSpace, sides_);
}
constexpr size_t ObjectSpace::whole_table_bytes() {
    return Table::bytes(kMaxChunks);
}
constexpr size_t ObjectSpace::sides_in_whole_table() {
    return __builtin_offsetof(Table, zeros) + kMaxChunks * sizeof(uintptr_t);
}
#pragma GCC diagnostic pop

}  // namespace barebpf
