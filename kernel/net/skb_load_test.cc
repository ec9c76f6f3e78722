// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/net/skb_load.h"

#include "kernel/lib/result.h"
#include "kernel/net/packet.h"
#include "testkit/test.h"

namespace barebpf {
namespace {

constexpr u64 kFault = static_cast<u64>(s64{-to_int(Errno::Fault)});

// 16 bytes of headroom, a link header of 14 already taken off, 20 bytes of packet: byte n of the whole
// holds n.
struct SkbLoad : testing::Test {
    void SetUp() override {
        for (u32 i = 0; i < sizeof memory; ++i) memory[i] = static_cast<u8>(i);
        skb.hard_start = memory;
        skb.hard_end = memory + sizeof memory;
        skb.data = memory + 30;
        skb.data_end = memory + 50;
        skb.len = 20;
        skb.mac_header = 16;
        skb.network_header = 30;
    }
    u64 ctx() { return reinterpret_cast<u64>(&skb); }
    u64 byte(s64 offset) { return skb_ld_abs_8(ctx(), u64(offset), 0, 0, 0); }
    u64 half(s64 offset) { return skb_ld_abs_16(ctx(), u64(offset), 0, 0, 0); }
    u64 word(s64 offset) { return skb_ld_abs_32(ctx(), u64(offset), 0, 0, 0); }

    u8 memory[64];
    SkBuff skb{};
};

TEST_F(SkbLoad, ReadsBigEndianFromData) {
    EXPECT_EQ(byte(0), 30u);
    EXPECT_EQ(half(1), 0x1f20u);
    EXPECT_EQ(word(3), 0x2122'2324u);
}

TEST_F(SkbLoad, ValuesWithTheTopBitSetAreNotErrors) {
    skb.data[0] = 0xff;
    EXPECT_EQ(byte(0), 0xffu);
    EXPECT_EQ(word(0), 0xff1f'2021u);
}

TEST_F(SkbLoad, TheLastBytesAndNotOneMore) {
    EXPECT_EQ(byte(19), 49u);
    EXPECT_EQ(byte(20), kFault);
    EXPECT_EQ(half(18), 0x3031u);
    EXPECT_EQ(half(19), kFault);
    EXPECT_EQ(word(16), 0x2e2f'3031u);
    EXPECT_EQ(word(17), kFault);
    EXPECT_EQ(byte(0x7fff'ffff), kFault);
    EXPECT_EQ(byte(-1), kFault);  // 0xfffff behind the network header
}

TEST_F(SkbLoad, OnlyTheLow32BitsOfTheOffsetCount) {
    EXPECT_EQ(byte(s64{5} << 32), 30u);
}

TEST_F(SkbLoad, LinkAndNetworkHeaders) {
    EXPECT_EQ(byte(kSkfLinkOffset), 16u);
    EXPECT_EQ(half(kSkfLinkOffset + 12), 0x1c1du);
    EXPECT_EQ(word(kSkfLinkOffset + 33), kFault);  // passes the end
    EXPECT_EQ(word(kSkfLinkOffset + 30), 0x2e2f'3031u);
    EXPECT_EQ(byte(kSkfNetOffset), 30u);
    EXPECT_EQ(byte(kSkfNetOffset + 19), 49u);
    EXPECT_EQ(byte(kSkfNetOffset + 20), kFault);
    EXPECT_EQ(byte(s64{kSkfLinkOffset} - 1), kFault);
    EXPECT_EQ(byte(-0x8000'0000ll), kFault);
}

TEST_F(SkbLoad, NoLinkHeader) {
    skb.mac_header = kHeaderUnset;
    EXPECT_EQ(byte(kSkfLinkOffset), kFault);
    EXPECT_EQ(byte(kSkfNetOffset), 30u);
}

}  // namespace
}  // namespace barebpf
