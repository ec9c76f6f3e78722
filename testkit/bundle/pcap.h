// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Reads a classic capture (pcap; not pcapng) from memory: both byte orders, microseconds and nanoseconds.
// Ethernet only. Any bytes may be given.
//
//     0    magic 0xa1b2c3d4 (µs) or 0xa1b23c4d (ns) in the writer's byte order, version, time zone (unused),
//          accuracy (unused), longest packet kept, link type
//     24   a packet: seconds, fraction, bytes kept, bytes on the wire; the bytes kept
//     ...
#pragma once

#include "kernel/lib/text.h"
#include "kernel/lib/types.h"

namespace barebpf::bundle {

struct PcapPacket {
    u64 number;  // from 1
    const u8* data;
    u32 size;           // kept
    u32 original_size;  // on the wire
    u32 seconds;
    u32 nanoseconds;
};

class PcapReader {
public:
    // False: error says why this is no capture that could be read.
    bool open(const void* bytes, size_t size, TextBuffer* error);
    // False: there are no more, or the next one is damaged.
    bool next(PcapPacket* packet);
    // The number of the packet that cannot be read; 0: none such was met.
    u64 damaged() const { return damaged_; }

private:
    u32 word(const u8* at) const;

    const u8* at_ = nullptr;
    size_t left_ = 0;
    u64 number_ = 0;
    u64 damaged_ = 0;
    u32 longest_ = 0;
    bool swapped_ = false;
    bool nanoseconds_ = false;
};

}  // namespace barebpf::bundle
