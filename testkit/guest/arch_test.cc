// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What testkit/guest/arch.h promises, on whichever machine: memory that faults, NMIs, stale translations, registers
// across interruptions, time.
#include "kernel/host/contract.h"
#include "testkit/guest/address_space.h"
#include "testkit/guest/frames.h"
#include "testkit/guest/guest.h"
#include "testkit/guest/image.h"
#include "testkit/guest/kernel.h"
#include "testkit/guest/page_table.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf::guest {
namespace {

using host::Atomic;
using host::Order;

const u64 kUnmapped = 0x1000;
const u64 kNotCanonical = u64{1} << 56;

template <class T>
T* at(u64 address) {
    return reinterpret_cast<T*>(address);
}

bool read_faults(u64 address, size_t size) {
    u8 buffer[64];
    return !arch::copy_nofault(buffer, at<void>(address), size);
}

bool write_faults(u64 address, size_t size) {
    const u8 buffer[64] = {};
    return !arch::copy_nofault(at<void>(address), buffer, size);
}

TEST(GuestArch, CopiesOfEverySizeAreExact) {
    u8 from[64];
    for (u32 i = 0; i < sizeof(from); ++i) from[i] = static_cast<u8>(i + 1);
    for (u32 size = 0; size < 40; ++size) {
        u8 to[64] = {};
        ASSERT_TRUE(arch::copy_nofault(to + 3, from + size % 5, size));
        for (u32 i = 0; i < sizeof(to); ++i) {
            const bool copied = i >= 3 && i < 3 + size;
            ASSERT_EQ(copied ? from[size % 5 + i - 3] : 0, to[i])
                << "size " << size << " byte " << i;
        }
    }
}

TEST(GuestArch, WhatCannotBeAccessedIsTold) {
    for (const size_t size : {1, 8, 13}) {
        EXPECT_TRUE(read_faults(kUnmapped, size));
        EXPECT_TRUE(write_faults(kUnmapped, size));
        EXPECT_TRUE(read_faults(kNotCanonical, size));
        EXPECT_TRUE(write_faults(kNotCanonical, size));
        EXPECT_FALSE(read_faults(reinterpret_cast<u64>(guest_text_begin), size));
        EXPECT_TRUE(write_faults(reinterpret_cast<u64>(guest_text_begin), size));
        EXPECT_TRUE(write_faults(reinterpret_cast<u64>(guest_rodata_begin), size));
    }
}

TEST(GuestArch, ACopyThatRunsOutOfItsPageIsTold) {
    const u64 page = address_space::map_new(1);
    ASSERT_NE(0u, page);
    for (u32 size = 1; size < 24; ++size) {
        EXPECT_FALSE(write_faults(page + kPageBytes - size, size));
        EXPECT_FALSE(read_faults(page + kPageBytes - size, size));
        EXPECT_TRUE(write_faults(page + kPageBytes - size, size + 1));
        EXPECT_TRUE(read_faults(page + kPageBytes - size, size + 1));
    }
    address_space::unmap_and_free(page, 1);
}

struct Visits {
    u32 inside = 0;  // handlers that run now
    u32 nested = 0;
    u32 count = 0;
    bool again = false;
    bool in_nmi = true;
};

// The faults end by the instruction that would let the next NMI in.
void faulting_handler(void* argument) {
    auto* visits = static_cast<Visits*>(argument);
    visits->in_nmi = visits->in_nmi && host::in_nmi();
    visits->nested += visits->inside;
    ++visits->inside;
    if (visits->again) arch::send_nmi(this_cpu());
    volatile u8 room[4096];
    for (u32 i = 0; i < sizeof(room); i += 64) room[i] = static_cast<u8>(i);
    for (u32 i = 0; i < 4; ++i) read_faults(kUnmapped, 8);
    for (u32 i = 0; i < sizeof(room); i += 64) {
        if (room[i] != static_cast<u8>(i)) visits->nested += 1000;
    }
    --visits->inside;
    ++visits->count;
}

TEST(GuestArch, AnNmiToItselfIsTakenAtOnce) {
    Visits visits;
    const auto irq = irq_save();
    for (u32 i = 0; i < 200; ++i) {
        ASSERT_TRUE(machine::send_nmi(this_cpu(), faulting_handler, &visits));
        ASSERT_EQ(i + 1, visits.count);
    }
    irq_restore(irq);
    EXPECT_TRUE(visits.in_nmi);
    EXPECT_FALSE(host::in_nmi());
}

TEST(GuestArch, NmisDoNotNestWhateverFaultsInThem) {
    Visits visits;
    visits.again = true;
    for (u32 i = 0; i < 200; ++i) {
        ASSERT_TRUE(machine::send_nmi(this_cpu(), faulting_handler, &visits));
    }
    EXPECT_EQ(200u, visits.count);
    EXPECT_EQ(0u, visits.nested);
    EXPECT_EQ(0u, this_area()->nmi_depth);
}

void count_visit(void* argument) {
    static_cast<Atomic<u32>*>(argument)->fetch_add(1, Order::Release);
}

TEST(GuestArch, AnInterruptWaitsAndAnNmiDoesNot) {
    if (test::cpus() < 2) GTEST_SKIP() << "needs 2 CPUs";
    Atomic<u32> off, irqs, nmis, stop;
    u32 irqs_while_off = 0;
    test::run_on_cpus(2, [&](u32 cpu) {
        if (cpu == 1) {
            const auto irq = irq_save();
            off.store(1, Order::Release);
            while (!stop.load(Order::Acquire)) host::spin_hint();
            irqs_while_off = irqs.load(Order::Relaxed);
            irq_restore(irq);
            while (!irqs.load(Order::Acquire)) host::spin_hint();
            return;
        }
        while (!off.load(Order::Acquire)) host::spin_hint();
        EXPECT_TRUE(machine::send_irq(1, count_visit, &irqs));
        for (u32 i = 0; i < 20; ++i) {
            while (!machine::send_nmi(1, count_visit, &nmis)) host::spin_hint();
            while (nmis.load(Order::Acquire) != i + 1) host::spin_hint();
        }
        stop.store(1, Order::Release);
    });
    EXPECT_EQ(0u, irqs_while_off);
    EXPECT_EQ(1u, irqs.load(Order::Relaxed));
}

// CPU 0 changes what an address shows; once flush_tlb() has returned no CPU may see the old page, with
// interrupts off too.
TEST(GuestArch, NoCpuKeepsAStaleTranslation) {
    constexpr u32 kRounds = 40;
    const u32 count = test::cpus_up_to(4);
    const u64 frame[2] = {frames::alloc(), frames::alloc()};
    const u64 address = address_space::take(1);
    ASSERT_TRUE(frame[0] != kNoPage && frame[1] != kNoPage && address != 0);
    *static_cast<u64*>(direct(frame[0])) = 0;
    *static_cast<u64*>(direct(frame[1])) = 1;
    ASSERT_TRUE(page_table::map(address, frame[0], Access::Read));
    Atomic<u32> round, seen[kMaxGuestCpus];
    u32 stale = 0;
    test::run_on_cpus(count, [&](u32 cpu) {
        const auto irq = irq_save();
        for (u32 i = 1; i <= kRounds; ++i) {
            if (cpu == 0) {
                for (u32 other = 1; other < count; ++other) {
                    while (seen[other].load(Order::Acquire) < i - 1) host::spin_hint();
                }
                page_table::unmap(address);
                page_table::map(address, frame[i & 1], Access::Read);
                arch::flush_tlb(address, kPageBytes);
                round.store(i, Order::Release);
            }
            while (round.load(Order::Acquire) < i) host::spin_hint();
            if (*at<volatile u64>(address) != (i & 1))
                __atomic_fetch_add(&stale, 1, __ATOMIC_RELAXED);
            seen[cpu].store(i, Order::Release);
        }
        irq_restore(irq);
    });
    EXPECT_EQ(0u, stale);
    page_table::unmap(address);
    arch::flush_tlb(address, kPageBytes);
    address_space::give_back(address, 1);
    frames::free(frame[0]);
    frames::free(frame[1]);
}

double series(u32 terms) {
    double sum = 0;
    for (u32 i = 1; i <= terms; ++i) sum += 1.0 / i;
    return sum;
}

void disturb(void* argument) {
    volatile double sink = series(3) * static_cast<double>(reinterpret_cast<u64>(argument));
    static_cast<void>(sink);
}

TEST(GuestArch, InterruptionsKeepVectorRegisters) {
    constexpr u32 kTerms = 2000;
    const double expected = series(kTerms);
    if (test::cpus() < 2) {
        for (u32 i = 0; i < 50; ++i) {
            double sum = 0;
            for (u32 term = 1; term <= kTerms; ++term) {
                sum += 1.0 / term;
                if (term % 500 == 0) machine::send_nmi(this_cpu(), disturb, &sum);
            }
            EXPECT_EQ(expected, sum);
        }
        return;
    }
    Atomic<u32> stop;
    test::run_on_cpus(2, [&](u32 cpu) {
        if (cpu == 1) {
            while (!stop.load(Order::Acquire)) {
                machine::send_irq(0, disturb, &stop);
                machine::send_nmi(0, disturb, &stop);
                host::spin_hint();
            }
            return;
        }
        for (u32 i = 0; i < 200; ++i) EXPECT_EQ(expected, series(kTerms));
        stop.store(1, Order::Release);
    });
}

TEST(GuestArch, TimeGoesForwardOnAllCpusAlike) {
    Atomic<u64> latest;
    Atomic<u32> backwards;
    test::run_on_cpus(test::cpus(), [&](u32) {
        for (u32 i = 0; i < 2000; ++i) {
            u64 seen = latest.load(Order::Acquire);
            const u64 now = arch::clock_ns();
            if (now < seen) backwards.fetch_add(1, Order::Relaxed);
            while (seen < now &&
                   !latest.compare_exchange(seen, now, Order::AcqRel, Order::Acquire)) {
            }
        }
    });
    EXPECT_EQ(0u, backwards.load(Order::Relaxed));
}

TEST(GuestArch, ASleepIsNotTooShort) {
    for (const u64 ns : {1000, 300000, 3000000}) {
        const u64 begin = arch::clock_ns();
        sleep_ns(ns);
        EXPECT_GE(arch::clock_ns() - begin, ns);
    }
}

TEST(GuestArch, RandomBitsDiffer) {
    const u64 first = arch::random_bits();
    EXPECT_NE(first, arch::random_bits());
}

TEST(GuestArch, EntriesSayWhatTheyAreMadeOf) {
    for (const Access access : {Access::Read, Access::ReadWrite, Access::ReadExecute}) {
        for (const bool device : {false, true}) {
            if (device && access == Access::ReadExecute) continue;
            const u64 entry = arch::leaf_entry(0x12345000, access, device);
            EXPECT_TRUE(arch::entry_present(entry));
            EXPECT_EQ(0x12345000u, arch::entry_physical(entry));
            EXPECT_TRUE(arch::entry_access(entry) == access);
        }
    }
    EXPECT_FALSE(arch::entry_present(arch::leaf_entry(0x12345000, Access::None, false)));
    EXPECT_EQ(0x12345000u, arch::entry_physical(arch::table_entry(0x12345000)));
}

}  // namespace
}  // namespace barebpf::guest
