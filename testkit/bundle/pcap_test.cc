// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/bundle/pcap.h"

#include <memory>
#include <vector>

#include "testkit/test.h"

namespace barebpf::bundle {
namespace {

class Writer {
public:
    Writer(u32 magic, bool swapped, u32 longest = 65535, u32 link_type = 1) : swapped_(swapped) {
        word(magic);
        word(swapped ? 0x00020004 : 0x00040002);
        word(0);
        word(0);
        word(longest);
        word(link_type);
    }
    void packet(u32 kept, u32 fraction = 7) {
        word(1000);
        word(fraction);
        word(kept);
        word(kept + 1);
        for (u32 i = 0; i < kept; ++i) bytes.push_back(u8(i));
    }
    std::vector<u8> bytes;

private:
    void word(u32 value) {
        if (swapped_) value = __builtin_bswap32(value);
        for (u32 i = 0; i < 4; ++i) bytes.push_back(u8(value >> 8 * i));
    }
    bool swapped_;
};

// Packets read until the end; -1: it could not be opened. On an odd address and with nothing behind it.
s64 count(const std::vector<u8>& bytes, u64* damaged, const char* phrase = nullptr) {
    std::unique_ptr<u8[]> copy(new u8[bytes.size() + 1]);
    for (size_t i = 0; i < bytes.size(); ++i) copy[i + 1] = bytes[i];
    PcapReader reader;
    char text[160];
    TextBuffer error(text);
    if (!reader.open(copy.get() + 1, bytes.size(), &error)) {
        EXPECT_FALSE(error.empty());
        if (phrase) {
            EXPECT_STREQ(text, phrase);
        }
        return -1;
    }
    s64 packets = 0;
    u8 sum = 0;
    for (PcapPacket packet; reader.next(&packet); ++packets)
        for (u32 i = 0; i < packet.size; ++i) sum = u8(sum + packet.data[i]);
    *damaged = reader.damaged() + (sum & 0);
    return packets;
}

TEST(Pcap, AllFourKinds) {
    for (bool swapped : {false, true}) {
        for (bool nanoseconds : {false, true}) {
            Writer writer(nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4, swapped);
            writer.packet(60, 9);
            writer.packet(0);
            PcapReader reader;
            char text[160];
            TextBuffer error(text);
            ASSERT_TRUE(reader.open(writer.bytes.data(), writer.bytes.size(), &error));
            PcapPacket packet;
            ASSERT_TRUE(reader.next(&packet));
            EXPECT_EQ(packet.number, 1u);
            EXPECT_EQ(packet.size, 60u);
            EXPECT_EQ(packet.original_size, 61u);
            EXPECT_EQ(packet.seconds, 1000u);
            EXPECT_EQ(packet.nanoseconds, nanoseconds ? 9u : 9000u);
            EXPECT_EQ(packet.data[59], 59);
            ASSERT_TRUE(reader.next(&packet));
            EXPECT_EQ(packet.number, 2u);
            EXPECT_EQ(packet.size, 0u);
            EXPECT_FALSE(reader.next(&packet));
            EXPECT_EQ(reader.damaged(), 0u);
        }
    }
}

TEST(Pcap, EveryPrefix) {
    Writer writer(0xa1b2c3d4, false);
    writer.packet(20);
    writer.packet(30);
    const std::vector<u8>& whole = writer.bytes;
    for (size_t size = 0; size <= whole.size(); ++size) {
        u64 damaged = 0;
        const s64 packets = count({whole.begin(), whole.begin() + s64(size)}, &damaged);
        if (size < 24) {
            EXPECT_EQ(packets, -1);
            continue;
        }
        EXPECT_EQ(packets, size < 60 ? 0 : size < 106 ? 1 : 2);
        EXPECT_EQ(damaged, size == 24 || size == 60 || size == 106 ? 0u : size < 60 ? 1u : 2u);
    }
}

TEST(Pcap, WhatIsNone) {
    u64 damaged;
    EXPECT_EQ(count({}, &damaged, "the capture is shorter than its header"), -1);
    EXPECT_EQ(count(Writer(0x12345678, false).bytes, &damaged, "the capture is no pcap"), -1);
    EXPECT_EQ(count(Writer(0x0a0d0d0a, false).bytes, &damaged,
                    "the capture is a pcapng, not a classic pcap"),
              -1);
    EXPECT_EQ(count(Writer(0xa1b2c3d4, true, 65535, 101).bytes, &damaged,
                    "the capture's packets are not Ethernet frames but of link type 101"),
              -1);
    // The length of frame check sequences stands in the upper bits.
    EXPECT_EQ(count(Writer(0xa1b2c3d4, false, 65535, 0x24000001).bytes, &damaged), 0);
}

TEST(Pcap, LongPackets) {
    u64 damaged = 0;
    Writer cut(0xa1b2c3d4, false, 10);
    cut.packet(20);
    cut.packet(5);
    PcapReader reader;
    char text[160];
    TextBuffer error(text);
    ASSERT_TRUE(reader.open(cut.bytes.data(), cut.bytes.size(), &error));
    PcapPacket packet;
    ASSERT_TRUE(reader.next(&packet));
    EXPECT_EQ(packet.size, 10u);  // as libpcap does
    ASSERT_TRUE(reader.next(&packet));
    EXPECT_EQ(packet.size, 5u);

    Writer huge(0xa1b2c3d4, false, 0xffffffff);
    huge.packet(262144);
    huge.packet(262145);
    EXPECT_EQ(count(huge.bytes, &damaged), 1);
    EXPECT_EQ(damaged, 2u);
}

}  // namespace
}  // namespace barebpf::bundle
