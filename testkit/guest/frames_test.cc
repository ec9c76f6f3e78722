// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The page allocator, page tables and addresses.
#include "testkit/guest/frames.h"

#include "kernel/host/contract.h"
#include "testkit/guest/address_space.h"
#include "testkit/guest/guest.h"
#include "testkit/guest/heap.h"
#include "testkit/guest/kernel.h"
#include "testkit/guest/page_table.h"
#include "testkit/test.h"

namespace barebpf::guest {
namespace {

constexpr u32 kSome = 64;

TEST(GuestFrames, AreDistinctZeroedAndCounted) {
    const u64 before = frames::free_count();
    u64 taken[kSome];
    for (u64& frame : taken) {
        frame = frames::alloc_zeroed();
        ASSERT_NE(frame, kNoPage);
        auto* words = static_cast<u64*>(direct(frame));
        for (u32 i = 0; i < kPageBytes / 8; ++i) ASSERT_EQ(words[i], 0u);
        // The next one's zeros are not luck, and no two are the same page.
        for (u32 i = 0; i < kPageBytes / 8; ++i) words[i] = frame;
    }
    EXPECT_EQ(frames::free_count(), before - kSome);
    for (u64 frame : taken) EXPECT_EQ(*static_cast<u64*>(direct(frame)), frame);
    for (u64 frame : taken) frames::free(frame);
    EXPECT_EQ(frames::free_count(), before);
    EXPECT_LE(frames::least_free(), before - kSome);
}

TEST(GuestFrames, AFreePageIsNotInTheDirectMap) {
    const u64 frame = frames::alloc();
    ASSERT_NE(frame, kNoPage);
    const u64 address = reinterpret_cast<u64>(direct(frame));
    EXPECT_EQ(page_table::access_at(address), Access::ReadWrite);
    frames::free(frame);
    EXPECT_EQ(page_table::access_at(address), Access::None);
    EXPECT_TRUE(frames::is_free(frame));
    // On every CPU, once its TLB has been flushed.
    arch::flush_tlb(address, kPageBytes);
    static Atomic<u32> read;
    read.store(0, Order::Relaxed);
    test::run_on_cpus(test::cpus(), [=](u32) {
        u8 byte;
        if (arch::copy_nofault(&byte, reinterpret_cast<void*>(address), 1))
            read.fetch_add(1, Order::Relaxed);
    });
    EXPECT_EQ(read.load(Order::Relaxed), 0u);
}

// Every CPU takes and gives back; at the end all are there again.
TEST(GuestFrames, CpusDoNotShareAPage) {
    const u64 before = frames::free_count();
    static Atomic<u32> clashes;
    clashes.store(0, Order::Relaxed);
    test::run_on_cpus(test::cpus(), [](u32 cpu) {
        u64 mine[16];
        for (u32 turn = 0; turn < 200; ++turn) {
            for (u64& frame : mine) {
                frame = frames::alloc();
                if (frame != kNoPage) *static_cast<volatile u32*>(direct(frame)) = cpu;
            }
            for (u64 frame : mine) {
                if (frame == kNoPage) continue;
                if (*static_cast<volatile u32*>(direct(frame)) != cpu)
                    clashes.fetch_add(1, Order::Relaxed);
                frames::free(frame);
            }
        }
    });
    EXPECT_EQ(clashes.load(Order::Relaxed), 0u);
    EXPECT_EQ(frames::free_count(), before);
}

// Until nothing is left: an orderly no, and everything comes back.
TEST(GuestFrames, RunningOutIsToldAndPasses) {
    heap::shrink();
    const u64 before = frames::free_count();
    u64 last = kNoPage;
    u64 count = 0;
    for (;;) {
        const u64 frame = frames::alloc();
        if (frame == kNoPage) break;
        *static_cast<u64*>(direct(frame)) = last;
        last = frame;
        ++count;
    }
    EXPECT_EQ(count, before);
    EXPECT_EQ(frames::free_count(), 0u);
    EXPECT_EQ(address_space::map_new(1), 0u);
    {
        host::Cpu::Entry inside;
        host::MemoryOwner owner;
        EXPECT_FALSE(host::alloc(1 << 20, host::AllocContext::MaySleep, owner));
        host::Page page;
        EXPECT_FALSE(backend::Pages::alloc_zeroed(&page, 1));
    }
    while (last != kNoPage) {
        const u64 next = *static_cast<u64*>(direct(last));
        frames::free(last);
        last = next;
    }
    EXPECT_EQ(frames::free_count(), before);
}

TEST(GuestPageTable, MapsProtectsParksAndUnmaps) {
    const u64 address = address_space::take(1);
    const u64 frame = frames::alloc_zeroed();
    ASSERT_NE(address, 0u);
    ASSERT_NE(frame, kNoPage);
    auto* word = reinterpret_cast<u64*>(address);
    u64 value = 7;
    EXPECT_FALSE(arch::copy_nofault(&value, word, 8));
    ASSERT_TRUE(page_table::map(address, frame, Access::ReadWrite));
    EXPECT_EQ(page_table::frame_at(address), frame);
    *word = 42;
    EXPECT_EQ(*static_cast<volatile u64*>(direct(frame)), 42u);

    page_table::protect(address, Access::Read);
    arch::flush_tlb(address, kPageBytes);
    EXPECT_TRUE(arch::copy_nofault(&value, word, 8));
    EXPECT_EQ(value, 42u);
    EXPECT_FALSE(arch::copy_nofault(word, &value, 8));

    page_table::park(address);
    arch::flush_tlb(address, kPageBytes);
    EXPECT_FALSE(arch::copy_nofault(&value, word, 8));
    EXPECT_EQ(page_table::access_at(address), Access::None);
    EXPECT_EQ(page_table::frame_at(address), frame);
    EXPECT_EQ(page_table::unmap(address), frame);
    EXPECT_EQ(page_table::frame_at(address), kNoPage);
    EXPECT_EQ(page_table::unmap(address), kNoPage);
    address_space::give_back(address, 1);
    frames::free(frame);
}

// A change by one CPU is what all others go by, even while they sit in a loop with interrupts off.
TEST(GuestPageTable, AllCpusForgetWhatWasFlushed) {
    const u64 address = address_space::map_new(1);
    ASSERT_NE(address, 0u);
    static Atomic<u32> phase;
    static Atomic<u32> seen;  // CPUs that have read; then: that could still
    phase.store(0, Order::Relaxed);
    seen.store(0, Order::Relaxed);
    test::run_on_cpus(test::cpus(), [=](u32 cpu) {
        const u32 others = test::cpus() - 1;
        u8 byte;
        auto* at = reinterpret_cast<void*>(address);
        if (cpu == 0) {
            while (seen.load(Order::Acquire) != others) backend::spin_hint();
            seen.store(0, Order::Relaxed);
            page_table::park(address);
            arch::flush_tlb(address, kPageBytes);
            phase.store(1, Order::Release);
            return;
        }
        host::IrqOff off;
        if (arch::copy_nofault(&byte, at, 1)) seen.fetch_add(1, Order::AcqRel);
        while (!phase.load(Order::Acquire)) backend::spin_hint();
        if (arch::copy_nofault(&byte, at, 1)) seen.fetch_add(1, Order::AcqRel);
    });
    EXPECT_EQ(seen.load(Order::Relaxed), 0u);
    address_space::unmap_and_free(address, 1);
}

// Which pages of the area somebody has, by this test's own account.
constexpr u64 kAreaPages = u64{1} << 20;
u64 owned[kAreaPages / 64];

// False: somebody has one of these, or the page before or behind them.
bool own(u64 address, u64 pages) {
    const u64 first = (address - kMappedBase) / kPageBytes;
    bool alone = true;
    for (u64 page = first - 1; page < first + pages + 1; ++page)
        alone = alone && !((owned[page / 64] >> (page % 64)) & 1);
    for (u64 page = first; page < first + pages; ++page) owned[page / 64] |= u64{1} << (page % 64);
    return alone;
}

void disown(u64 address, u64 pages) {
    const u64 first = (address - kMappedBase) / kPageBytes;
    for (u64 page = first; page < first + pages; ++page)
        owned[page / 64] &= ~(u64{1} << (page % 64));
    address_space::give_back(address, pages);
}

// Until there are no more, in the gaps too.
TEST(GuestAddresses, RangesAreApartByAHole) {
    constexpr u32 kMost = 4096;
    static u64 ranges[kMost];
    static u64 sizes[kMost];
    u32 count = 0;
    auto take = [&](u64 pages) {
        const u64 address = count < kMost ? address_space::take(pages) : 0;
        if (!address) return false;
        EXPECT_EQ(address % kPageBytes, 0u);
        EXPECT_TRUE(own(address, pages));
        sizes[count] = pages;
        ranges[count++] = address;
        return true;
    };
    for (u32 i = 0; i < kSome; ++i) ASSERT_TRUE(take(1 + i % 5));
    for (u32 i = 0; i < kSome; i += 2) disown(ranges[i], sizes[i]);
    for (u64 pages : {u64{4096}, u64{512}, u64{64}, u64{4}, u64{2}, u64{1}}) {
        while (take(pages)) {
        }
    }
    EXPECT_LT(count, kMost);
    for (u32 i = 1; i < kSome; i += 2) disown(ranges[i], sizes[i]);
    for (u32 i = kSome; i < count; ++i) disown(ranges[i], sizes[i]);
    EXPECT_EQ(address_space::take(u64{1} << 40), 0u);
    const u64 again = address_space::take(4096);
    ASSERT_NE(again, 0u);
    address_space::give_back(again, 4096);
}

}  // namespace
}  // namespace barebpf::guest
