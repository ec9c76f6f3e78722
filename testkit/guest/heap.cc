// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The heap's entry points and reports; see testkit/guest/heap.h.
#include "testkit/guest/heap.h"

#include "testkit/guest/frames.h"
#include "testkit/guest/guest.h"
#include "testkit/guest/kernel.h"

namespace barebpf::guest {

void heap_check() {
    heap::small::check();
    heap::large::check();
}

namespace heap {

namespace {

void print_callers(const char* what, const Callers& callers) {
    char line[160];
    TextBuffer out(line);
    out.print("  ", what, " by");
    for (u32 low : callers.at) {
        if (low) out.print(" ", hex(0xffffffff00000000 | low));
    }
    print_line(out.c_str());
}

void expect_no_nmi() {
    if (areas_ready && host::in_nmi()) fail("the heap is used in an NMI");
}

}  // namespace

void init() {
    const u64 ram = frames::total_count() * kPageBytes;
    const u64 quarantine = ram / 64 < (u64{1} << 20) ? ram / 64 : u64{1} << 20;
    small::init(quarantine);
    large::init(frames::total_count() / 16);
}

void* alloc_zeroed(size_t size) {
    expect_no_nmi();
    void* memory = size < small::kLimit ? small::alloc_zeroed(size) : large::alloc_zeroed(size);
    if (LIKELY(memory)) return memory;
    shrink();
    return size < small::kLimit ? small::alloc_zeroed(size) : large::alloc_zeroed(size);
}

void free(void* memory, size_t size) {
    expect_no_nmi();
    if (small::owns(reinterpret_cast<u64>(memory))) {
        small::free(memory, size);
    } else {
        large::free(memory, size);
    }
}

void shrink() {
    small::drain();
    large::drain();
}

void describe(u64 address) {
    if (small::owns(address)) {
        small::describe(address);
    } else if (!large::describe(address) && address >= kDirectBase &&
               frames::is_ram(address - kDirectBase) &&
               frames::is_free((address - kDirectBase) & ~(kPageBytes - 1))) {
        print_line("  the address is in a page that was freed");
    }
}

NOINLINE Callers callers_here() {
    constexpr u32 kOurs = 1;  // this function's caller in the heap
    u64 addresses[kOurs + kCallers] = {};
    const u32 count = return_addresses(addresses, kOurs + kCallers,
                                       reinterpret_cast<u64>(__builtin_frame_address(0)));
    Callers callers{};
    for (u32 i = kOurs; i < count; ++i) callers.at[i - kOurs] = static_cast<u32>(addresses[i]);
    return callers;
}

void print_block(const BlockReport& block) {
    say("  block ", hex(block.address), ", ", block.size, " bytes, ",
        block.freed ? "freed" : "in use");
    if (block.allocated_by) print_callers("allocated", *block.allocated_by);
    if (block.freed && block.freed_by) print_callers("freed", *block.freed_by);
}

void report(const char* what, const BlockReport& block) {
    say("heap: ", what);
    print_block(block);
    fail_with("heap: ", what);
}

const u8* find_damage(const u8* from, const u8* to, u8 value) {
    const u64 word = 0x0101010101010101u * value;
    for (; from < to && reinterpret_cast<u64>(from) % 8; ++from) {
        if (*from != value) return from;
    }
    while (to - from >= 8 && *reinterpret_cast<const u64*>(from) == word) from += 8;
    while (from < to && *from == value) ++from;
    return from < to ? from : nullptr;
}

}  // namespace heap
}  // namespace barebpf::guest
