// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Helpers that keep checksums right: those in headers, and the sum that a card has made of the packet.
#include "kernel/net/skb.h"
#include "kernel/net/skb_helpers.h"

namespace barebpf {
namespace {

constexpr u32 kMaxCsumOffset = 0xffff;
constexpr u8 kMaxCsumLevel = 3;       // SKB_MAX_CSUM_LEVEL
constexpr u16 kMangledZero = 0xffff;  // UDP: a checksum that happens to be 0, for 0 means none

// Where a checksum of 16 bits stands; null when it is not wholly the packet's.
u8* checksum_at(SkBuff* skb, u32 offset) {
    if (offset > kMaxCsumOffset || offset % 2 || !skb_contains(skb, offset, 2)) return nullptr;
    return skb->data + offset;
}

// A change of the packet that goes into a transport checksum: a field, 16 or 32 bits wide (width 2, 4),
// from one value to another, or the difference of two sums (width 0).
struct Change {
    u32 width;
    u32 from, to;
};

// What the flags say; false: no such change.
bool read_change(u64 from, u64 to, u64 flags, Change* change) {
    change->width = flags & BPF_F_HDR_FIELD_MASK;
    change->from = static_cast<u32>(from);
    change->to = static_cast<u32>(to);
    return change->width == 2 || change->width == 4 || (change->width == 0 && from == 0);
}

u16 l3_updated(u16 check, const Change& change) {
    switch (change.width) {
        case 0:
            return csum_replace_by_diff(check, change.to);
        case 2:
            return csum_replace16(check, static_cast<u16>(change.from),
                                  static_cast<u16>(change.to));
        default:
            return csum_replace32(check, change.from, change.to);
    }
}

u32 change_sum(const Change& change) {
    return change.width == 0 ? change.to : csum_sub(change.to, change.from);
}

// A checksum that the card completes on the way out (kChecksumPartial) holds the sum of the pseudo header
// alone, uncomplemented; one that is complete, the sum of all.
u16 l4_updated(SkBuff* skb, u16 check, const Change& change, bool pseudo, bool ipv6) {
    if (skb->ip_summed == kChecksumPartial) {
        return pseudo ? csum_fold_sum(csum_add(check, change_sum(change))) : check;
    }
    // An IPv6 header has no checksum of its own that would make up for the change of its addresses.
    if (skb->ip_summed == kChecksumComplete && pseudo && !(ipv6 && change.width == 0)) {
        skb->csum = ~csum_add(~skb->csum, change_sum(change));
    }
    if (change.width == 0) return csum_replace_by_diff(check, change.to);
    const u32 mask = change.width == 2 ? 0xffff : 0xffff'ffff;
    return csum_replace32(check, change.from & mask, change.to & mask);
}

}  // namespace

u64 bpf_l3_csum_replace(u64 ctx, u64 offset, u64 from, u64 to, u64 flags) {
    if (flags & ~u64{BPF_F_HDR_FIELD_MASK}) return helper_failure(Errno::Inval);
    u8* check = checksum_at(skb_of(ctx), static_cast<u32>(offset));
    if (!check) return helper_failure(Errno::Fault);
    Change change;
    if (!read_change(from, to, flags, &change)) return helper_failure(Errno::Inval);
    store16(check, l3_updated(load16(check), change));
    return 0;
}

u64 bpf_l4_csum_replace(u64 ctx, u64 offset, u64 from, u64 to, u64 flags) {
    constexpr u64 kKnown = BPF_F_MARK_MANGLED_0 | BPF_F_MARK_ENFORCE | BPF_F_PSEUDO_HDR |
                           BPF_F_HDR_FIELD_MASK | BPF_F_IPV6;
    if (flags & ~kKnown) return helper_failure(Errno::Inval);
    SkBuff* skb = skb_of(ctx);
    u8* check = checksum_at(skb, static_cast<u32>(offset));
    if (!check) return helper_failure(Errno::Fault);
    const bool zero_means_none = flags & BPF_F_MARK_MANGLED_0;
    if (zero_means_none && !(flags & BPF_F_MARK_ENFORCE) && load16(check) == 0) return 0;
    Change change;
    if (!read_change(from, to, flags, &change)) return helper_failure(Errno::Inval);
    u16 updated =
        l4_updated(skb, load16(check), change, flags & BPF_F_PSEUDO_HDR, flags & BPF_F_IPV6);
    if (zero_means_none && updated == 0) updated = kMangledZero;
    store16(check, updated);
    return 0;
}

u64 bpf_csum_update(u64 ctx, u64 sum, u64, u64, u64) {
    SkBuff* skb = skb_of(ctx);
    if (skb->ip_summed != kChecksumComplete) return helper_failure(Errno::NotSupp);
    return skb->csum = csum_add(skb->csum, static_cast<u32>(sum));
}

u64 bpf_csum_level(u64 ctx, u64 what, u64, u64, u64) {
    SkBuff* skb = skb_of(ctx);
    const bool unnecessary = skb->ip_summed == kChecksumUnnecessary;
    switch (what) {
        case BPF_CSUM_LEVEL_QUERY:
            return unnecessary ? skb->csum_level : helper_failure(Errno::Acces);
        case BPF_CSUM_LEVEL_INC:
            if (unnecessary && skb->csum_level < kMaxCsumLevel) ++skb->csum_level;
            if (skb->ip_summed == kChecksumNone) {
                skb->ip_summed = kChecksumUnnecessary;
                skb->csum_level = 0;
            }
            return 0;
        case BPF_CSUM_LEVEL_DEC:
            if (unnecessary && skb->csum_level == 0)
                skb->ip_summed = kChecksumNone;
            else if (unnecessary)
                --skb->csum_level;
            return 0;
        case BPF_CSUM_LEVEL_RESET:
            if (unnecessary) skb->ip_summed = kChecksumNone;
            return 0;
        default:
            return helper_failure(Errno::Inval);
    }
}

}  // namespace barebpf
