// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/net/skb_load.h"

#include "kernel/net/helpers.h"

namespace barebpf {
namespace {

// Where an offset points, or null when size bytes from there are not all the packet's (or in the room
// before it, which belongs to headers already taken off).
const u8* locate(const SkBuff* skb, s32 offset, u32 size) {
    const u8* base = skb->data;
    const u8* lowest = skb->data;
    s64 distance = offset;
    if (offset < 0) {
        lowest = skb->hard_start;
        if (offset >= kSkfNetOffset) {
            base = skb->hard_start + skb->network_header;
            distance -= kSkfNetOffset;
        } else if (offset >= kSkfLinkOffset && skb->mac_header != kHeaderUnset) {
            base = skb->hard_start + skb->mac_header;
            distance -= kSkfLinkOffset;
        } else {
            return nullptr;
        }
    }
    const s64 first = base - lowest + distance;
    return first >= 0 && first + s64{size} <= skb->data_end - lowest ? lowest + first : nullptr;
}

// Packets are big-endian.
template <class T>
u64 load(u64 skb, u64 offset) {
    const u8* bytes =
        locate(reinterpret_cast<const SkBuff*>(skb), static_cast<s32>(offset), sizeof(T));
    if (!bytes) return helper_failure(Errno::Fault);
    u64 value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) value = value << 8 | bytes[i];
    return value;
}

}  // namespace

u64 skb_ld_abs_8(u64 skb, u64 offset, u64, u64, u64) {
    return load<u8>(skb, offset);
}
u64 skb_ld_abs_16(u64 skb, u64 offset, u64, u64, u64) {
    return load<u16>(skb, offset);
}
u64 skb_ld_abs_32(u64 skb, u64 offset, u64, u64, u64) {
    return load<u32>(skb, offset);
}

}  // namespace barebpf
