// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// A ring buffer in real page tables: the data once more behind itself, for the library and for who maps the descriptor
// as libbpf does; what may be written and what not; and that the pages stay as long as anybody has them.
#include <cstring>

#include "kernel/bpf/map_client_test.h"
#include "kernel/bpf/ringbuf_test.h"
#include "testkit/guest/guest.h"
#include "testkit/guest/page_table.h"

namespace barebpf::guest {
namespace {

using Client = test::MapClient<test::OurBpf>;
using host::Cpu;

constexpr u32 kPage = static_cast<u32>(host::kPageSize);
constexpr u32 kSize = 2 * kPage;

class GuestRing : public testing::Test {
protected:
    void make(u32 type) {
        Cpu::Entry inside;
        fd_ = Client::create(type, 0, 0, kSize);
        ASSERT_GE(fd_, 0);
        map_ = test::map_of(fd_);
    }
    u8* map_pages(u64 page, u64 pages, bool writable) {
        auto at = mmap_object(fd_, page * kPage, pages * kPage, writable);
        return at.ok() ? static_cast<u8*>(at.value()) : nullptr;
    }
    void drop(u8* consumer, u8* producer) {
        EXPECT_TRUE(munmap_object(consumer).ok());
        EXPECT_TRUE(munmap_object(producer).ok());
        machine::close_fd(fd_);
    }
    s64 output(const void* data, u64 size) {
        Cpu::Entry inside;
        return ringbuf_output(map_, data, size, 0);
    }
    static u64 word(const u8* at) {
        u64 value;
        std::memcpy(&value, at, sizeof value);
        return value;
    }
    static bool is_writable(u8* at) {
        const u8 value = *at;
        return arch::copy_nofault(at, &value, 1);
    }

    int fd_ = -1;
    Map* map_ = nullptr;
};

TEST_F(GuestRing, TheDataStandsTwiceInTheLibrarysMemory) {
    make(BPF_MAP_TYPE_RINGBUF);
    u8* data = test::ring_of(map_)->data();
    for (u32 at = 0; at < kSize; at += 1000) {
        const u64 there = u64{at} << 32 | 1, back = u64{at} << 32 | 2;
        std::memcpy(data + at, &there, sizeof there);
        EXPECT_EQ(word(data + kSize + at), there);
        std::memcpy(data + kSize + at, &back, sizeof back);
        EXPECT_EQ(word(data + at), back);
    }
    const auto frame = [&](u32 page) {
        return page_table::frame_at(reinterpret_cast<u64>(data) + page * kPage);
    };
    EXPECT_EQ(frame(0), frame(2));
    EXPECT_EQ(frame(1), frame(3));
    EXPECT_NE(frame(0), frame(1));
    machine::close_fd(fd_);
}

// Some are as long as the data.
TEST_F(GuestRing, AReaderSeesRecordsThatWrapInOnePiece) {
    make(BPF_MAP_TYPE_RINGBUF);
    u8* consumer = map_pages(0, 1, true);
    u8* producer = map_pages(1, 1 + 2 * kSize / kPage, false);
    ASSERT_NE(consumer, nullptr);
    ASSERT_NE(producer, nullptr);
    const u8* data = producer + kPage;
    u8 payload[kSize - 16];
    u64 position = 0;
    for (u32 round = 0; round < kSize / 8; ++round) {
        const u32 size = round % 16 ? 200 : kSize - 16;
        for (u32 i = 0; i < size; ++i) payload[i] = static_cast<u8>(i * 7 + round);
        ASSERT_EQ(output(payload, size), 0);
        const u8* record = data + position % kSize;
        EXPECT_EQ(word(record) & 0xffff'ffff, size);
        EXPECT_EQ(std::memcmp(record + 8, payload, size), 0) << round;
        const u64 end = position % kSize + 8 + size;
        const u64 wrapped = end > kSize ? end - kSize : 0;
        EXPECT_EQ(std::memcmp(data, payload + size - wrapped, wrapped), 0) << round;
        position += (size + 15) & ~7u;
        EXPECT_EQ(word(producer), position);
        std::memcpy(consumer, &position, sizeof position);
    }
    EXPECT_FALSE(is_writable(producer));
    EXPECT_FALSE(is_writable(producer + kPage));
    EXPECT_FALSE(is_writable(producer + 2 * kSize));
    EXPECT_TRUE(is_writable(consumer));
    drop(consumer, producer);
}

TEST_F(GuestRing, AWriterInUserSpaceSeesTheSamePages) {
    make(BPF_MAP_TYPE_USER_RINGBUF);
    u8* consumer = map_pages(0, 1, false);
    u8* producer = map_pages(1, 1 + 2 * kSize / kPage, true);
    ASSERT_NE(consumer, nullptr);
    ASSERT_NE(producer, nullptr);
    EXPECT_EQ(map_pages(0, 1, true), nullptr);
    EXPECT_FALSE(is_writable(consumer));
    // It begins 8 bytes before the data's end.
    u64 position = kSize - 8;
    std::memcpy(producer, &position, sizeof position);
    {
        Cpu::Entry inside;
        test::ring_of(map_)->consumer_position().store(position, host::Order::Relaxed);
    }
    const u64 header = 24;
    u8* record = producer + kPage + position;
    std::memcpy(record, &header, sizeof header);
    std::memcpy(record + 8, "twenty-four bytes, no 0s", 24);
    position += 32;
    std::memcpy(producer, &position, sizeof position);
    {
        Cpu::Entry inside;
        host::RcuReadGuard rcu;
        UserSample sample;
        ASSERT_EQ(user_ringbuf_begin(map_), 0);
        ASSERT_EQ(user_ringbuf_next(map_, &sample), 0);
        EXPECT_EQ(sample.size, 24u);
        EXPECT_EQ(std::memcmp(sample.data, "twenty-four bytes, no 0s", 24), 0);
        // The payload lies at the data's beginning.
        EXPECT_EQ(std::memcmp(test::ring_of(map_)->data(), "twenty-four bytes, no 0s", 24), 0);
        user_ringbuf_release(map_, sample);
        user_ringbuf_end(map_, 0, true);
    }
    EXPECT_EQ(word(consumer), position);
    drop(consumer, producer);
}

TEST_F(GuestRing, ThePagesStayAsLongAsAnybodyHasThem) {
    for (const bool descriptor_first : {false, true}) {
        for (const bool consumer_first : {false, true}) {
            make(BPF_MAP_TYPE_RINGBUF);
            u8* pages[] = {map_pages(0, 1, true), map_pages(1, 5, false)};
            ASSERT_NE(pages[0], nullptr);
            ASSERT_NE(pages[1], nullptr);
            EXPECT_EQ(output("12345678", 8), 0);
            if (descriptor_first) machine::close_fd(fd_);
            u8* const last = pages[consumer_first];
            EXPECT_TRUE(munmap_object(pages[!consumer_first]).ok());
            test::settle();
            EXPECT_EQ(word(last), consumer_first ? 16u : 0u);
            EXPECT_TRUE(munmap_object(last).ok());
            if (!descriptor_first) {
                EXPECT_EQ(output("12345678", 8), 0);
                machine::close_fd(fd_);
            }
            test::settle();
        }
    }
}

}  // namespace
}  // namespace barebpf::guest
