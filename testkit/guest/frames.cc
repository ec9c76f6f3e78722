// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/guest/frames.h"

#include "kernel/lib/bits.h"
#include "testkit/guest/image.h"
#include "testkit/guest/kernel.h"
#include "testkit/guest/page_table.h"

namespace barebpf::guest::frames {

namespace {

constexpr u64 kMaxFrames = kMaxRam / kPageBytes;
constexpr u64 kWords = kMaxFrames / 64;
constexpr u32 kBatch = 128;
// What the guest needs beside its image and what it was given: page tables, stacks, and room for tests.
constexpr u64 kRoom = u64{12} << 20;

backend::RawSpinLock lock;
u64 free_bits[kWords];
u64 first_frame;  // number of the first bit's page
u64 words;        // that are in use
u64 hint;         // word to look at first
u64 free_frames;
u64 total_frames;
u64 least;
bool unmapping;

u64 batch[kBatch];
u32 batched;

MemoryRange ram[8];
u32 ram_ranges;

bool test(u64 bit) {
    return (free_bits[bit / 64] >> (bit % 64)) & 1;
}
void set(u64 bit) {
    free_bits[bit / 64] |= u64{1} << (bit % 64);
}

u64 bit_of(u64 frame) {
    const u64 bit = frame / kPageBytes - first_frame;
    if (frame % kPageBytes || bit >= words * 64)
        fail("the page allocator was given a wrong page", frame);
    return bit;
}

// Marks the whole pages of a range; edges that are not whole stay as they are.
void release_range(u64 begin, u64 end) {
    for (u64 frame = align_up(begin, kPageBytes); frame + kPageBytes <= end; frame += kPageBytes) {
        const u64 bit = frame / kPageBytes - first_frame;
        if (bit >= kMaxFrames || test(bit)) continue;
        set(bit);
        ++free_frames;
        if (words <= bit / 64) words = bit / 64 + 1;
    }
}

void withhold_range(u64 begin, u64 end) {
    for (u64 frame = begin & ~(kPageBytes - 1); frame < end; frame += kPageBytes) {
        const u64 bit = frame / kPageBytes - first_frame;
        if (bit >= kMaxFrames || !test(bit)) continue;
        free_bits[bit / 64] &= ~(u64{1} << (bit % 64));
        --free_frames;
    }
}

void check_size(const Machine& machine) {
    u64 bytes = 0;
    for (u32 i = 0; i < ram_ranges; ++i) bytes += ram[i].size;
    const u64 image = static_cast<u64>(guest_image_end - guest_image_begin);
    const u64 needed = image + machine.initrd.size + kRoom;
    if (bytes >= needed) return;
    refuse("needs at least ", needed >> 10, " KiB, the machine has ", bytes >> 10, " KiB");
}

// The next free page's bit, taken; kNoPage.
u64 take_bit() {
    for (u64 i = 0; i <= words; ++i) {
        const u64 word = hint + i < words ? hint + i : hint + i - words;
        if (word >= words || !free_bits[word]) continue;
        const u32 bit = lowest_bit(free_bits[word]);
        free_bits[word] &= free_bits[word] - 1;
        // Stays at this word while it has pages: one word is one round.
        hint = word;
        return word * 64 + bit;
    }
    return kNoPage;
}

// Makes the batch free for use. False: it was empty.
bool flush_batch() {
    u64 mine[kBatch];
    u32 count;
    {
        KernelGuard guard(lock);
        count = batched;
        for (u32 i = 0; i < count; ++i) mine[i] = batch[i];
        batched = 0;
    }
    if (!count) return false;
    arch::flush_tlb(kDirectBase, kMaxRam);
    KernelGuard guard(lock);
    for (u32 i = 0; i < count; ++i) set(bit_of(mine[i]));
    return true;
}

u64 try_alloc() {
    KernelGuard guard(lock);
    const u64 bit = take_bit();
    if (bit == kNoPage) return kNoPage;
    --free_frames;
    if (free_frames < least) least = free_frames;
    return (first_frame + bit) * kPageBytes;
}

bool in_batch(u64 frame) {
    for (u32 i = 0; i < batched; ++i) {
        if (batch[i] == frame) return true;
    }
    return false;
}

}  // namespace

void init(const Machine& machine) {
    first_frame = ~u64{0};
    u64 left = kMaxRam;
    for (u32 i = 0; i < machine.ram_count && left; ++i) {
        MemoryRange range = machine.ram[i];
        if (range.size > left) range.size = left;
        left -= range.size;
        ram[ram_ranges++] = range;
        if (range.base / kPageBytes < first_frame) first_frame = range.base / kPageBytes;
    }
    check_size(machine);
    for (u32 i = 0; i < ram_ranges; ++i) release_range(ram[i].base, ram[i].base + ram[i].size);
    withhold_range(image_physical(guest_image_begin), image_physical(guest_image_end));
    withhold_range(machine.initrd.base, machine.initrd.base + machine.initrd.size);
    // Nobody gets page 0: its address means "nothing" to firmware and to people.
    withhold_range(0, kPageBytes);
    total_frames = least = free_frames;
}

void start_unmapping() {
    if (!kUnmapFreePages) return;
    for (u64 bit = 0; bit < words * 64; ++bit) {
        if (test(bit)) page_table::set_direct((first_frame + bit) * kPageBytes, Access::None);
    }
    arch::flush_tlb(kDirectBase, kMaxRam);
    unmapping = true;
}

u64 alloc() {
    u64 frame = try_alloc();
    if (UNLIKELY(frame == kNoPage) && flush_batch()) frame = try_alloc();
    if (unmapping && frame != kNoPage) page_table::set_direct(frame, Access::ReadWrite);
    return frame;
}

u64 alloc_zeroed() {
    const u64 frame = alloc();
    if (frame != kNoPage) __builtin_memset(direct(frame), 0, kPageBytes);
    return frame;
}

void free(u64 frame) {
    if (unmapping) page_table::set_direct(frame, Access::None);
    bool full = false;
    {
        KernelGuard guard(lock);
        const u64 bit = bit_of(frame);
        if (test(bit) || in_batch(frame)) fail("a page is freed twice", frame);
        ++free_frames;
        if (unmapping && batched < kBatch) {
            batch[batched++] = frame;
            full = batched == kBatch;
        } else {
            // No room in the batch: another CPU is about to flush it. The page is free at once, and
            // whoever uses it meanwhile may go undetected.
            set(bit);
        }
    }
    if (full) flush_batch();
}

bool is_ram(u64 physical) {
    for (u32 i = 0; i < ram_ranges; ++i) {
        if (physical >= ram[i].base && physical - ram[i].base < ram[i].size) return true;
    }
    return false;
}

bool is_free(u64 frame) {
    const u64 bit = frame / kPageBytes - first_frame;
    return bit < words * 64 && (test(bit) || in_batch(frame));
}

u64 free_count() {
    KernelGuard guard(lock);
    return free_frames;
}
u64 total_count() {
    return total_frames;
}
u64 least_free() {
    KernelGuard guard(lock);
    return least;
}

void for_each_ram(void (*visit)(u64 first, u64 end)) {
    for (u32 i = 0; i < ram_ranges; ++i) {
        const u64 first = align_up(ram[i].base, kPageBytes);
        const u64 end = (ram[i].base + ram[i].size) & ~(kPageBytes - 1);
        if (first < end) visit(first, end);
    }
}

}  // namespace barebpf::guest::frames
