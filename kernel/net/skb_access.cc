// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helpers that read and write bytes of the packet.
#include "kernel/net/skb.h"
#include "kernel/net/skb_helpers.h"

namespace barebpf {
namespace {

constexpr u32 kMaxOffset = 0x7fff'ffff;
constexpr u32 kMaxRelativeOffset = 0xffff;

// A failed load leaves zeros, never what stood in the program's buffer.
u64 load_failed(u64 to, u32 size) {
    __builtin_memset(reinterpret_cast<void*>(to), 0, size);
    return helper_failure(Errno::Fault);
}

}  // namespace

u64 bpf_skb_store_bytes(u64 ctx, u64 offset_arg, u64 from, u64 size_arg, u64 flags) {
    SkBuff* skb = skb_of(ctx);
    const u32 offset = static_cast<u32>(offset_arg);
    const u32 size = static_cast<u32>(size_arg);
    if (flags & ~u64{BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH}) {
        return helper_failure(Errno::Inval);
    }
    if (offset > kMaxOffset || !skb_contains(skb, offset, size)) {
        return helper_failure(Errno::Fault);
    }
    const bool recompute = flags & BPF_F_RECOMPUTE_CSUM;
    if (recompute) skb_csum_remove(skb, offset, size);
    __builtin_memcpy(skb->data + offset, reinterpret_cast<const void*>(from), size);
    if (recompute) skb_csum_insert(skb, offset, size);
    if (flags & BPF_F_INVALIDATE_HASH) skb_forget_hash(skb);
    return 0;
}

u64 bpf_skb_load_bytes(u64 ctx, u64 offset_arg, u64 to, u64 size_arg, u64) {
    const SkBuff* skb = skb_of(ctx);
    const u32 offset = static_cast<u32>(offset_arg);
    const u32 size = static_cast<u32>(size_arg);
    if (offset > kMaxOffset || !skb_contains(skb, offset, size)) return load_failed(to, size);
    __builtin_memcpy(reinterpret_cast<void*>(to), skb->data + offset, size);
    return 0;
}

u64 bpf_skb_load_bytes_relative(u64 ctx, u64 offset_arg, u64 to, u64 size_arg, u64 start) {
    const SkBuff* skb = skb_of(ctx);
    const u32 offset = static_cast<u32>(offset_arg);
    const u32 size = static_cast<u32>(size_arg);
    u32 header;
    switch (static_cast<u32>(start)) {
        case BPF_HDR_START_MAC:
            header = skb->mac_header;
            if (header == kHeaderUnset) return load_failed(to, size);
            break;
        case BPF_HDR_START_NET:
            header = skb->network_header;
            break;
        default:
            return load_failed(to, size);
    }
    const u64 end = static_cast<u64>(skb->data_end - skb->hard_start);
    const u64 first = u64{header} + offset;
    if (offset > kMaxRelativeOffset || first + size > end) return load_failed(to, size);
    __builtin_memcpy(reinterpret_cast<void*>(to), skb->hard_start + first, size);
    return 0;
}

// The packet is linear and the program's own: there is nothing to pull, only to check.
u64 bpf_skb_pull_data(u64 ctx, u64 size, u64, u64, u64) {
    return static_cast<u32>(size) > skb_of(ctx)->len ? helper_failure(Errno::NoMem) : 0;
}

}  // namespace barebpf
