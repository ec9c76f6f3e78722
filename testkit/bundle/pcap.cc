// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/bundle/pcap.h"

namespace barebpf::bundle {

namespace {

constexpr u32 kMicroseconds = 0xa1b2c3d4;
constexpr u32 kNanoseconds = 0xa1b23c4d;
constexpr u32 kPcapng = 0x0a0d0d0a;  // the same in both byte orders
constexpr u32 kHeaderSize = 24;
constexpr u32 kPacketHeaderSize = 16;
constexpr u32 kEthernet = 1;
constexpr u32 kLinkTypeMask =
    0x03ffffff;                   // what stands above: the length of a frame check sequence
constexpr u32 kLongest = 262144;  // libpcap's limit for Ethernet

u32 native_word(const u8* at) {
    u32 value;
    __builtin_memcpy(&value, at, sizeof value);
    return value;
}

}  // namespace

u32 PcapReader::word(const u8* at) const {
    const u32 value = native_word(at);
    return swapped_ ? __builtin_bswap32(value) : value;
}

bool PcapReader::open(const void* bytes, size_t size, TextBuffer* error) {
    const auto* begin = static_cast<const u8*>(bytes);
    if (size < kHeaderSize) {
        error->print("the capture is shorter than its header");
        return false;
    }
    const u32 magic = native_word(begin);
    swapped_ =
        magic == __builtin_bswap32(kMicroseconds) || magic == __builtin_bswap32(kNanoseconds);
    nanoseconds_ = word(begin) == kNanoseconds;
    if (word(begin) != kMicroseconds && !nanoseconds_) {
        error->print(magic == kPcapng ? "the capture is a pcapng, not a classic pcap"
                                      : "the capture is no pcap");
        return false;
    }
    const u32 link_type = word(begin + 20) & kLinkTypeMask;
    if (link_type != kEthernet) {
        error->print("the capture's packets are not Ethernet frames but of link type ", link_type);
        return false;
    }
    longest_ = word(begin + 16);
    if (longest_ == 0 || longest_ > kLongest) longest_ = kLongest;
    at_ = begin + kHeaderSize;
    left_ = size - kHeaderSize;
    number_ = damaged_ = 0;
    return true;
}

bool PcapReader::next(PcapPacket* packet) {
    if (left_ == 0 || damaged_) return false;
    const u64 number = number_ + 1;
    const u32 kept = left_ < kPacketHeaderSize ? kLongest + 1 : word(at_ + 8);
    if (kept > kLongest || kept > left_ - kPacketHeaderSize) {
        damaged_ = number;
        return false;
    }
    *packet = {.number = number,
               .data = at_ + kPacketHeaderSize,
               .size = kept < longest_ ? kept : longest_,
               .original_size = word(at_ + 12),
               .seconds = word(at_),
               .nanoseconds = word(at_ + 4) * (nanoseconds_ ? 1 : 1000)};
    number_ = number;
    at_ += kPacketHeaderSize + kept;
    left_ -= kPacketHeaderSize + kept;
    return true;
}

}  // namespace barebpf::bundle
