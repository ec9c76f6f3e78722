// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/net/skb.h"

namespace barebpf {

bool skb_make_room(SkBuff* skb, u32 head, u32 tail) {
    const bool enough = skb_offset_of_data(skb) >= head &&
                        static_cast<size_t>(skb->hard_end - skb->data_end) >= tail;
    return enough || (skb->expand && skb->expand(skb, head, tail));
}

void skb_push(SkBuff* skb, u32 size) {
    skb->data -= size;
    skb->data_meta = skb->data;
    skb->len += size;
}

void skb_pull(SkBuff* skb, u32 size) {
    skb->data += size;
    skb->data_meta = skb->data;
    skb->len -= size;
}

bool skb_set_length(SkBuff* skb, u32 length) {
    if (length > skb->len) {
        const u32 more = length - skb->len;
        if (!skb_make_room(skb, 0, more)) return false;
        __builtin_memset(skb->data_end, 0, more);
        skb->data_end += more;
    } else {
        skb_csum_remove(skb, length, skb->len - length);
        skb->data_end = skb->data + length;
    }
    skb->len = length;
    return true;
}

namespace {

u32 block_sum(const SkBuff* skb, u32 offset, u32 size) {
    return csum_shift(csum_partial(skb->data + offset, size, 0), offset);
}

}  // namespace

void skb_csum_remove(SkBuff* skb, u32 offset, u32 size) {
    if (skb->ip_summed != kChecksumComplete) return;
    skb->csum = csum_sub(skb->csum, block_sum(skb, offset, size));
}

void skb_csum_insert(SkBuff* skb, u32 offset, u32 size) {
    if (skb->ip_summed != kChecksumComplete) return;
    skb->csum = csum_add(skb->csum, block_sum(skb, offset, size));
}

bool skb_open_gap(SkBuff* skb, u32 front, u32 size) {
    if (!skb_make_room(skb, size, 0)) return false;
    skb_push(skb, size);
    __builtin_memmove(skb->data, skb->data + size, front);
    __builtin_memset(skb->data + front, 0, size);
    if (skb->mac_header != kHeaderUnset) {
        skb->mac_header = static_cast<u16>(skb->mac_header - size);
    }
    return true;
}

void skb_close_gap(SkBuff* skb, u32 front, u32 size) {
    __builtin_memmove(skb->data + size, skb->data, front);
    skb_pull(skb, size);
    if (skb->mac_header != kHeaderUnset) {
        skb->mac_header = static_cast<u16>(skb->mac_header + size);
    }
}

u16 ethernet_protocol(u16 type, const u8* after, u32 after_size) {
    if (to_network16(type) >= kEtherFirst) return type;
    const bool raw = after_size >= 2 && load16(after) == 0xffff;
    return to_network16(raw ? kEther8023 : kEther8022);
}

}  // namespace barebpf
