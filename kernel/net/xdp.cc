// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// XDP: the context and the helpers that move the ends of a frame.
#include "kernel/net/event_output.h"
#include "kernel/net/helpers.h"
#include "kernel/net/packet.h"
#include "kernel/net/test_run.h"
#include "kernel/net/types.h"
#include "kernel/net/xdp_helpers.h"

namespace barebpf {
namespace {

constexpr u32 kMaxOffset = 0xffff;

XdpBuff* frame_of(u64 ctx) {
    return reinterpret_cast<XdpBuff*>(ctx);
}

bool has_metadata(const XdpBuff* xdp) {
    return xdp->data_meta <= xdp->data;
}

// Why the frame has no bytes [offset, offset + size), or Errno{}.
Errno check_range(const XdpBuff* xdp, u32 offset, u32 size) {
    if (offset > kMaxOffset || size > kMaxOffset) return Errno::Fault;
    return offset + size > xdp->data_end - xdp->data ? Errno::Inval : Errno{};
}

using A = ArgType;

constexpr NetHelper kXdpHelpers[] = {
    {BPF_FUNC_xdp_adjust_head,
     moves_packet(helper_row("xdp_adjust_head", bpf_xdp_adjust_head, A::Ctx, A::Anything))},
    {BPF_FUNC_xdp_adjust_tail,
     moves_packet(helper_row("xdp_adjust_tail", bpf_xdp_adjust_tail, A::Ctx, A::Anything))},
    {BPF_FUNC_xdp_adjust_meta,
     moves_packet(helper_row("xdp_adjust_meta", bpf_xdp_adjust_meta, A::Ctx, A::Anything))},
    {BPF_FUNC_xdp_get_buff_len, helper_row("xdp_get_buff_len", bpf_xdp_get_buff_len, A::Ctx)},
    {BPF_FUNC_xdp_load_bytes,
     helper_row("xdp_load_bytes", bpf_xdp_load_bytes, A::Ctx, A::Anything, A::UninitMem, A::Size)},
    {BPF_FUNC_xdp_store_bytes,
     helper_row("xdp_store_bytes", bpf_xdp_store_bytes, A::Ctx, A::Anything, A::Mem, A::Size)},
    {BPF_FUNC_perf_event_output, event_output_proto(bpf_xdp_event_output)},
    {BPF_FUNC_csum_diff, kCsumDiffProto},
    {BPF_FUNC_redirect, helper_row("redirect", bpf_xdp_redirect, A::Anything, A::Anything)},
};

const HelperProto* helper(u32 func_id, const Prog*) {
    const HelperProto* proto = xdp_helper(func_id);
    return proto ? proto : base_helper_proto(func_id);
}

constexpr ContextField row(u32 offset, u32 struct_offset, u32 struct_size,
                           FieldKind kind = FieldKind::Scalar) {
    return {.offset = static_cast<u16>(offset),
            .size = 4,
            .struct_offset = static_cast<u16>(struct_offset),
            .struct_size = static_cast<u8>(struct_size),
            .kind = kind,
            .narrow = false};
}
#define XDP_ROW(field, ...)                                                    \
    row(__builtin_offsetof(xdp_md, field), __builtin_offsetof(XdpBuff, field), \
        sizeof(XdpBuff::field), ##__VA_ARGS__)

constexpr ContextField kXdpFields[] = {
    XDP_ROW(data, FieldKind::Packet),
    XDP_ROW(data_end, FieldKind::PacketEnd),
    XDP_ROW(data_meta, FieldKind::PacketMeta),
    XDP_ROW(ingress_ifindex),
    XDP_ROW(rx_queue_index),
    XDP_ROW(egress_ifindex),
};
#undef XDP_ROW

// Only a program at the end of a redirect knows where the frame leaves.
bool access_ok(const ContextField& field, bool, const Prog* prog) {
    return field.offset != __builtin_offsetof(xdp_md, egress_ifindex) ||
           prog->expected_attach_type == BPF_XDP_DEVMAP;
}

}  // namespace

u64 bpf_xdp_adjust_head(u64 ctx, u64 delta, u64, u64, u64) {
    XdpBuff* xdp = frame_of(ctx);
    const s64 meta = has_metadata(xdp) ? xdp->data - xdp->data_meta : 0;
    const s64 start = xdp->data - xdp->hard_start + static_cast<s32>(delta);
    if (start < s64{kXdpFrameHeader} + meta ||
        start > xdp->data_end - xdp->hard_start - s64{kEthernetHeader}) {
        return helper_failure(Errno::Inval);
    }
    u8* data = xdp->hard_start + start;
    if (has_metadata(xdp)) {
        __builtin_memmove(data - meta, xdp->data_meta, static_cast<size_t>(meta));
        xdp->data_meta = data - meta;
    } else {
        xdp->data_meta = data + 1;
    }
    xdp->data = data;
    return 0;
}

u64 bpf_xdp_adjust_tail(u64 ctx, u64 delta, u64, u64, u64) {
    XdpBuff* xdp = frame_of(ctx);
    const s64 length = xdp->data_end - xdp->data + static_cast<s32>(delta);
    if (length > xdp->hard_end - xdp->data || length < s64{kEthernetHeader}) {
        return helper_failure(Errno::Inval);
    }
    u8* end = xdp->data + length;
    // What was there may be another packet's: a longer frame ends in zeros.
    if (end > xdp->data_end) {
        __builtin_memset(xdp->data_end, 0, static_cast<size_t>(end - xdp->data_end));
    }
    xdp->data_end = end;
    return 0;
}

u64 bpf_xdp_adjust_meta(u64 ctx, u64 delta, u64, u64, u64) {
    XdpBuff* xdp = frame_of(ctx);
    if (!has_metadata(xdp)) return helper_failure(Errno::NotSupp);
    const s64 start = xdp->data_meta - xdp->hard_start + static_cast<s32>(delta);
    const s64 size = xdp->data - xdp->hard_start - start;
    if (start < s64{kXdpFrameHeader} || size < 0) return helper_failure(Errno::Inval);
    if (!is_metadata_size(static_cast<u64>(size))) return helper_failure(Errno::Acces);
    xdp->data_meta = xdp->data - size;
    return 0;
}

u64 bpf_xdp_get_buff_len(u64 ctx, u64, u64, u64, u64) {
    const XdpBuff* xdp = frame_of(ctx);
    return static_cast<u64>(xdp->data_end - xdp->data);
}

u64 bpf_xdp_load_bytes(u64 ctx, u64 offset_arg, u64 to, u64 size_arg, u64) {
    const XdpBuff* xdp = frame_of(ctx);
    const u32 offset = static_cast<u32>(offset_arg);
    const u32 size = static_cast<u32>(size_arg);
    const Errno error = check_range(xdp, offset, size);
    if (error != Errno{}) return helper_failure(error);
    __builtin_memcpy(reinterpret_cast<void*>(to), xdp->data + offset, size);
    return 0;
}

u64 bpf_xdp_store_bytes(u64 ctx, u64 offset_arg, u64 from, u64 size_arg, u64) {
    XdpBuff* xdp = frame_of(ctx);
    const u32 offset = static_cast<u32>(offset_arg);
    const u32 size = static_cast<u32>(size_arg);
    const Errno error = check_range(xdp, offset, size);
    if (error != Errno{}) return helper_failure(error);
    __builtin_memcpy(xdp->data + offset, reinterpret_cast<const void*>(from), size);
    return 0;
}

u64 bpf_xdp_redirect(u64 ifindex, u64 flags, u64, u64, u64) {
    if (flags) return XDP_ABORTED;
    post_redirect({.ifindex = static_cast<u32>(ifindex), .flags = 0, .map_id = 0, .map_key = 0});
    return XDP_REDIRECT;
}

const HelperProto* xdp_helper(u32 func_id) {
    return find_net_helper(kXdpHelpers, func_id);
}

constexpr ProgTypeOps kXdpType = {
    .name = "xdp",
    .type = BPF_PROG_TYPE_XDP,
    .fields = kXdpFields,
    .field_count = sizeof kXdpFields / sizeof kXdpFields[0],
    .ctx_size = sizeof(xdp_md),
    .direct_packet_access = true,
    .direct_packet_write = true,
    .legacy_packet_access = false,
    .needs_net_admin = true,
    .unprivileged_allowed = false,
    .return_range_checked = false,
    .return_min = 0,
    .return_max = 0,
    .attach_type_ok = nullptr,
    .helper_proto = helper,
    .access_ok = access_ok,
    .test_run = xdp_test_run,
};

}  // namespace barebpf
