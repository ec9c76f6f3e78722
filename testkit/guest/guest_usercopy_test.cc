// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Copies that may fault: exact bytes, an error for every kind of bad address, in every context.
#include "kernel/host/contract.h"
#include "testkit/guest/address_space.h"
#include "testkit/guest/image.h"
#include "testkit/guest/kernel.h"
#include "testkit/guest/page_table.h"
#include "testkit/machine.h"
#include "testkit/test.h"

namespace barebpf::guest {
namespace {

using backend::UserCopy;

u64 number(const void* address) {
    return reinterpret_cast<u64>(address);
}

// One page, with nothing behind it.
class GuestUserCopy : public testing::Test {
protected:
    void SetUp() override {
        const u64 address = address_space::map_new(1);
        ASSERT_NE(address, 0u);
        area_ = reinterpret_cast<u8*>(address);
        end_ = area_ + kPageBytes;
    }
    void TearDown() override { address_space::unmap_and_free(number(area_), 1); }
    u8* area_;
    u8* end_;
};

// Flush against the hole: exact bytes, and nothing beyond is touched; one byte more is a fault.
TEST_F(GuestUserCopy, EverySizeIsExact) {
    static u8 buffer[1200];
    for (size_t size = 0; size <= 1100; ++size) {
        u8* user = end_ - size;
        for (size_t i = 0; i < size; ++i) user[i] = static_cast<u8>(i * 7 + size);
        __builtin_memset(buffer, 0xee, sizeof(buffer));
        ASSERT_TRUE(UserCopy::from_user(buffer, number(user), size));
        ASSERT_EQ(__builtin_memcmp(buffer, user, size), 0);
        ASSERT_EQ(buffer[size], 0xee);
        ASSERT_FALSE(UserCopy::from_user(buffer, number(user), size + 1));

        for (size_t i = 0; i < size; ++i) buffer[i] = static_cast<u8>(i * 5 + 1);
        user[-1] = 0xdd;
        ASSERT_TRUE(UserCopy::to_user(number(user), buffer, size));
        ASSERT_EQ(__builtin_memcmp(buffer, user, size), 0);
        ASSERT_EQ(user[-1], 0xdd);
        ASSERT_FALSE(UserCopy::to_user(number(user), buffer, size + 1));
    }
}

TEST_F(GuestUserCopy, WildAddresses) {
    static u8 buffer[kPageBytes];
    const u64 wild[] = {0,
                        1,
                        kPageBytes - 1,
                        number(end_),
                        number(end_) - 1,
                        u64{1} << 47,
                        (u64{1} << 47) - 1,
                        u64{0x1234} << 48,
                        u64{1} << 63,
                        kDirectBase - 1,
                        kDeviceBase,
                        kImageBase - 1,
                        kProgramBase + kProgramSize,
                        ~u64{0},
                        ~u64{0} - 7};
    for (u64 address : wild) {
        for (size_t size : {size_t{2}, size_t{8}, size_t{16}, size_t{100}, size_t{700}}) {
            EXPECT_FALSE(UserCopy::from_user(buffer, address, size));
            EXPECT_FALSE(UserCopy::to_user(address, buffer, size));
        }
        EXPECT_TRUE(UserCopy::from_user(buffer, address, 0));
        EXPECT_TRUE(UserCopy::to_user(address, buffer, 0));
    }
}

TEST_F(GuestUserCopy, HugeSizesDoNotWrap) {
    u8 byte = 0;
    for (size_t size : {SIZE_MAX, SIZE_MAX - 1, size_t{1} << 63, SIZE_MAX - number(area_) + 1}) {
        EXPECT_FALSE(UserCopy::from_user(&byte, number(area_), size));
        EXPECT_FALSE(UserCopy::to_user(number(area_), &byte, size));
    }
}

TEST_F(GuestUserCopy, ReadOnlyMemoryRefusesWrites) {
    u8 bytes[32] = {1};
    EXPECT_TRUE(UserCopy::from_user(bytes, number(guest_rodata_begin), sizeof(bytes)));
    EXPECT_FALSE(UserCopy::to_user(number(guest_rodata_begin), bytes, sizeof(bytes)));
    EXPECT_TRUE(UserCopy::from_user(bytes, number(guest_text_begin), sizeof(bytes)));
    EXPECT_FALSE(UserCopy::to_user(number(guest_text_begin), bytes, sizeof(bytes)));
}

struct Reads {
    u64 good;
    u64 bad;
    bool read_good;
    bool read_bad;
};
void read_both(void* to) {
    auto* what = static_cast<Reads*>(to);
    u64 value;
    what->read_good = host::read_nofault(&value, what->good, 8);
    what->read_bad = host::read_nofault(&value, what->bad, 8);
}

TEST_F(GuestUserCopy, WorksInInterruptsAndNmis) {
    Reads in_irq{number(area_), number(end_), false, true};
    EXPECT_TRUE(machine::send_irq(0, read_both, &in_irq));
    EXPECT_TRUE(in_irq.read_good);
    EXPECT_FALSE(in_irq.read_bad);
    Reads in_nmi = {number(area_), number(end_), false, true};
    host::IrqOff off;
    EXPECT_TRUE(machine::send_nmi(0, read_both, &in_nmi));
    EXPECT_TRUE(in_nmi.read_good);
    EXPECT_FALSE(in_nmi.read_bad);
}

// Faults on all CPUs at once, NMIs with faults of their own in between.
TEST_F(GuestUserCopy, ManyFaultsAtOnce) {
    static u64 good;
    static u64 bad;
    static Atomic<u32> wrong;
    good = number(area_);
    bad = number(end_);
    wrong.store(0, Order::Relaxed);
    test::run_on_cpus(test::cpus(), [](u32 cpu) {
        for (u32 i = 0; i < 2000; ++i) {
            u64 value;
            if (!host::read_nofault(&value, good, 8)) wrong.fetch_add(1, Order::Relaxed);
            if (host::read_nofault(&value, bad - 4, 8)) wrong.fetch_add(1, Order::Relaxed);
            if (i % 16) continue;
            machine::send_nmi((cpu + 1) % test::cpus(),
                              [](void*) {
                                  u64 word;
                                  if (host::read_nofault(&word, bad, 8))
                                      wrong.fetch_add(1, Order::Relaxed);
                              },
                              nullptr);
        }
    });
    EXPECT_EQ(wrong.load(Order::Relaxed), 0u);
}

}  // namespace
}  // namespace barebpf::guest
