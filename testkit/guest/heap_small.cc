// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Small blocks of the heap (testkit/guest/heap.h).
//
//     window   [slab 0][slab 1][      ][slab 3]...    64 KiB each, aligned, mapped while in use
//     slab     [Slab][block][block]...                blocks of one class
//     class    list of slabs with free blocks; a slab, its list of free blocks
//     freed    ──> quarantine (first in, first out, up to so many bytes) ──> its slab's free list
//
// One lock; interrupts off. Slabs that become empty are unmapped after it is released, but for one of each class.
#include "kernel/lib/bits.h"
#include "kernel/lib/list.h"
#include "testkit/guest/frames.h"
#include "testkit/guest/heap.h"
#include "testkit/guest/kernel.h"
#include "testkit/guest/page_table.h"

namespace barebpf::guest::heap::small {

namespace {

constexpr u64 kSlabBytes = u64{64} << 10;
constexpr u32 kSlabPages = kSlabBytes / kPageBytes;
constexpr u32 kMaxSlabs = kWindowSize / kSlabBytes;
constexpr u32 kHeader = 64;
constexpr u32 kFrontRed = 16;
constexpr u32 kBackRed = 16;

// Of whole blocks; all multiples of 64, so that every payload is aligned to 64.
constexpr u32 kClasses[] = {128,  192,  256,  320,  384,  448,  512,  640,  768, 896,
                            1024, 1280, 1536, 1792, 2048, 2560, 3072, 3584, 4224};
constexpr u32 kClassCount = sizeof(kClasses) / sizeof(kClasses[0]);
static_assert(kClasses[kClassCount - 1] >= kHeader + kLimit - 1 + kBackRed);

enum class State : u16 { Free = 0x4672, Live = 0x4c69, Freed = 0x4465 };

struct Block {
    State state;
    u16 size;
    u32 canary;  // its own address, mixed
    Callers allocated_by;
    Callers freed_by;
    Block* next;  // in the slab's free list, or in the quarantine
    u8 red[kFrontRed];

    u8* payload() { return reinterpret_cast<u8*>(this) + kHeader; }
};
static_assert(sizeof(Block) == kHeader);

struct Slab {
    ListLink in_class;  // while it has free blocks
    ListLink in_all;
    u32 class_index;
    u32 block_count;
    u32 used;  // not in the free list
    Block* free;

    Block* block(u32 i) {
        return reinterpret_cast<Block*>(reinterpret_cast<u8*>(this) + kHeader * 2 +
                                        size_t{i} * kClasses[class_index]);
    }
};
static_assert(sizeof(Slab) <= kHeader * 2);

using SlabList = List<Slab, &Slab::in_class>;
using AllSlabs = List<Slab, &Slab::in_all>;

backend::RawSpinLock lock;
constinit SlabList with_free[kClassCount];
constinit AllSlabs all;
u64 taken_slabs[kMaxSlabs / 64];
Block* oldest;
Block* newest;
u64 quarantined;
u64 quarantine_limit;

u32 canary_of(const Block* block) {
    return static_cast<u32>(reinterpret_cast<u64>(block) * 0x9e3779b97f4a7c15 >> 32);
}

Slab* slab_of(const void* address) {
    return reinterpret_cast<Slab*>(reinterpret_cast<u64>(address) & ~(kSlabBytes - 1));
}

u32 class_of(size_t size) {
    u32 index = 0;
    while (kClasses[index] < kHeader + size + kBackRed) ++index;
    return index;
}

u8* end_of(Block* block) {
    return reinterpret_cast<u8*>(block) + kClasses[slab_of(block)->class_index];
}

// ── Slabs ─────────────────────────────────────────────────────────────────────────────────────

u32 take_slab_number() {
    KernelGuard guard(lock);
    for (u32 word = 0; word < kMaxSlabs / 64; ++word) {
        if (taken_slabs[word] == ~u64{0}) continue;
        const u32 bit = lowest_bit(~taken_slabs[word]);
        taken_slabs[word] |= u64{1} << bit;
        return word * 64 + bit;
    }
    return kMaxSlabs;
}

void unmap_slab(u64 address) {
    for (u32 i = 0; i < kSlabPages; ++i) page_table::park(address + i * kPageBytes);
    arch::flush_tlb(address, kSlabBytes);
    for (u32 i = 0; i < kSlabPages; ++i) {
        const u64 frame = page_table::unmap(address + i * kPageBytes);
        if (frame != kNoPage) frames::free(frame);
    }
    const u64 number = (address - kWindow) / kSlabBytes;
    KernelGuard guard(lock);
    taken_slabs[number / 64] &= ~(u64{1} << (number % 64));
}

bool map_slab(u64 address) {
    for (u32 i = 0; i < kSlabPages; ++i) {
        const u64 frame = frames::alloc();
        if (frame != kNoPage && page_table::map(address + i * kPageBytes, frame, Access::ReadWrite))
            continue;
        if (frame != kNoPage) frames::free(frame);
        return false;
    }
    return true;
}

bool add_slab(u32 class_index) {
    const u32 number = take_slab_number();
    if (number == kMaxSlabs) return false;
    const u64 address = kWindow + number * kSlabBytes;
    if (!map_slab(address)) {
        unmap_slab(address);
        return false;
    }
    auto* slab = reinterpret_cast<Slab*>(address);
    *slab = Slab{};
    slab->class_index = class_index;
    slab->block_count = static_cast<u32>((kSlabBytes - kHeader * 2) / kClasses[class_index]);
    for (u32 i = slab->block_count; i-- > 0;) {
        Block* block = slab->block(i);
        *block = Block{};
        block->state = State::Free;
        block->canary = canary_of(block);
        block->next = slab->free;
        slab->free = block;
    }
    KernelGuard guard(lock);
    with_free[class_index].push_back(slab);
    all.push_back(slab);
    return true;
}

// ── Checks ────────────────────────────────────────────────────────────────────────────────────

BlockReport report_of(Block* block) {
    return {reinterpret_cast<u64>(block->payload()), block->size, block->state != State::Live,
            &block->allocated_by, &block->freed_by};
}

void verify_header(Block* block) {
    const bool known = block->state == State::Live || block->state == State::Freed;
    if (known && block->canary == canary_of(block) && block->size < kLimit &&
        !find_damage(block->red, block->red + kFrontRed, kRed))
        return;
    report("underflow: memory before a block was written", report_of(block));
}

void verify(Block* block) {
    verify_header(block);
    if (block->state == State::Freed &&
        find_damage(block->payload(), block->payload() + block->size, kPoison))
        report("use after free: a freed block was written", report_of(block));
    if (find_damage(block->payload() + block->size, end_of(block), kRed))
        report("overflow: memory behind a block was written", report_of(block));
}

// ── Blocks ────────────────────────────────────────────────────────────────────────────────────

Block* take_block(u32 class_index, size_t size, const Callers& callers) {
    KernelGuard guard(lock);
    Slab* slab = with_free[class_index].front();
    if (!slab) return nullptr;
    Block* block = slab->free;
    slab->free = block->next;
    ++slab->used;
    if (!slab->free) with_free[class_index].remove(slab);
    block->size = static_cast<u16>(size);
    block->allocated_by = callers;
    block->next = nullptr;
    block->canary = canary_of(block);
    __builtin_memset(block->red, kRed, kFrontRed);
    __builtin_memset(block->payload(), 0, size);
    __builtin_memset(block->payload() + size, kRed,
                     static_cast<size_t>(end_of(block) - block->payload()) - size);
    block->state = State::Live;
    return block;
}

// Moves blocks out of the quarantine until it is small enough. Slabs that became empty, for the caller to
// unmap once the lock is released, linked through in_class.next.
void leave_quarantine(u64 limit, SlabList& empty) {
    while (quarantined > limit) {
        Block* block = oldest;
        oldest = block->next;
        if (!oldest) newest = nullptr;
        quarantined -= block->size + kHeader;
        verify(block);
        Slab* slab = slab_of(block);
        SlabList& list = with_free[slab->class_index];
        if (!slab->free) list.push_back(slab);
        block->state = State::Free;
        block->next = slab->free;
        slab->free = block;
        if (--slab->used || list.front() == list.back()) continue;
        list.remove(slab);
        all.remove(slab);
        empty.push_back(slab);
    }
}

void unmap_slabs(SlabList& empty) {
    while (Slab* slab = empty.pop_front()) unmap_slab(reinterpret_cast<u64>(slab));
}

// The block that a pointer given to free() belongs to, with the lock held; ends the run if it is none.
Block* block_to_free(void* memory, size_t size) {
    const u64 address = reinterpret_cast<u64>(memory);
    Slab* slab = slab_of(memory);
    const BlockReport nothing{address, size, false, nullptr, nullptr};
    if (page_table::access_at(address) == Access::None)
        report("a free of what is no block: nothing is there", nothing);
    const u64 offset = address - reinterpret_cast<u64>(slab->block(0));
    if (address < reinterpret_cast<u64>(slab->block(0)) ||
        offset % kClasses[slab->class_index] != kHeader)
        report("a free of an address that is no block's", nothing);
    auto* block = reinterpret_cast<Block*>(address - kHeader);
    if (block->state == State::Freed || block->state == State::Free)
        report("double free", report_of(block));
    verify(block);
    if (block->size != size) {
        say("heap: free() was told ", size, " bytes");
        report("a free with a wrong size", report_of(block));
    }
    return block;
}

}  // namespace

void init(u64 quarantine_bytes) {
    // GCC 12 gets the constant heads of an array of lists wrong: all but the first are null.
    for (SlabList& list : with_free) construct_at<SlabList>(&list);
    quarantine_limit = quarantine_bytes;
}

void* alloc_zeroed(size_t size) {
    const Callers callers = callers_here();
    const u32 class_index = class_of(size);
    for (;;) {
        if (Block* block = take_block(class_index, size, callers)) return block->payload();
        if (!add_slab(class_index)) return nullptr;
    }
}

void free(void* memory, size_t size) {
    const Callers callers = callers_here();
    SlabList empty;
    {
        KernelGuard guard(lock);
        Block* block = block_to_free(memory, size);
        block->freed_by = callers;
        __builtin_memset(block->payload(), kPoison, block->size);
        block->state = State::Freed;
        block->next = nullptr;
        if (newest) {
            newest->next = block;
        } else {
            oldest = block;
        }
        newest = block;
        quarantined += block->size + kHeader;
        leave_quarantine(quarantine_limit, empty);
    }
    unmap_slabs(empty);
}

void drain() {
    SlabList empty;
    {
        KernelGuard guard(lock);
        leave_quarantine(0, empty);
    }
    unmap_slabs(empty);
}

void check() {
    KernelGuard guard(lock);
    for (Slab* slab = all.front(); slab; slab = all.next(slab)) {
        for (u32 i = 0; i < slab->block_count; ++i) {
            Block* block = slab->block(i);
            if (block->state != State::Free) verify(block);
        }
    }
}

// Takes no lock: the caller may have interrupted its holder, and the run is about to end.
bool describe(u64 address) {
    if (page_table::access_at(address) == Access::None) return false;
    Slab* slab = slab_of(reinterpret_cast<void*>(address));
    if (slab->class_index >= kClassCount || address < reinterpret_cast<u64>(slab->block(0)))
        return false;
    const u64 offset = address - reinterpret_cast<u64>(slab->block(0));
    const u32 number = static_cast<u32>(offset / kClasses[slab->class_index]);
    if (number >= slab->block_count) return false;
    print_line("  the address is in or near");
    print_block(report_of(slab->block(number)));
    return true;
}

}  // namespace barebpf::guest::heap::small
