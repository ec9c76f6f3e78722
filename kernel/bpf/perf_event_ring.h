// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The ABI of perf rings, as far as it is built: offsets in the control page (struct
// perf_event_mmap_page), record types, the fields that sample_type asks for. Source: perf_event_open(2).
#pragma once

#include "kernel/bpf/perf_event.h"

namespace barebpf {

// In the control page.
inline constexpr u32 kControlCapabilities = 40;  // u64
inline constexpr u32 kControlSize = 72;          // u32
inline constexpr u32 kControlDataHead = 1024;    // u64, and the rest
inline constexpr u32 kControlDataTail = 1032;
inline constexpr u32 kControlDataOffset = 1040;
inline constexpr u32 kControlDataSize = 1048;
inline constexpr u32 kControlBytes = 96;  // that describe themselves
inline constexpr u64 kCapBit0IsDeprecated = 2;

inline constexpr u32 kRecordLost = 2;
inline constexpr u32 kRecordSample = 9;
inline constexpr u16 kRecordMiscKernel = 1;

struct PerfRecordHeader {
    u32 type;
    u16 misc;
    u16 size;
};

// PERF_SAMPLE_*
inline constexpr u64 kSampleIp = 1 << 0;
inline constexpr u64 kSampleTid = 1 << 1;
inline constexpr u64 kSampleTime = 1 << 2;
inline constexpr u64 kSampleAddr = 1 << 3;
inline constexpr u64 kSampleId = 1 << 6;
inline constexpr u64 kSampleCpu = 1 << 7;
inline constexpr u64 kSamplePeriod = 1 << 8;
inline constexpr u64 kSampleStreamId = 1 << 9;
inline constexpr u64 kSampleRaw = 1 << 10;
inline constexpr u64 kSampleIdentifier = 1 << 16;
inline constexpr u64 kKnownSampleFields = kSampleIp | kSampleTid | kSampleTime | kSampleAddr |
                                          kSampleId | kSampleCpu | kSamplePeriod | kSampleStreamId |
                                          kSampleRaw | kSampleIdentifier;

inline u8* control_at(const PerfRing* ring, u32 offset) {
    return static_cast<u8*>(ring->pages.address()) + offset;
}
// Before anybody has the page.
template <class T>
void put_control(PerfRing* ring, u32 offset, T value) {
    host::atomic_at<T>(control_at(ring, offset)).store(value, host::Order::Relaxed);
}

}  // namespace barebpf
