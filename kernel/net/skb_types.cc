// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Socket filters, sched_cls and sched_act: which fields of __sk_buff each may read and write. A field that
// has no row cannot be accessed.
#include "kernel/net/skb_helpers.h"
#include "kernel/net/test_run.h"
#include "kernel/net/types.h"

namespace barebpf {
namespace {

enum class Use : u8 { Read, Write };

#define SKB_ROW(uapi, ours)                                                                    \
    ContextField {                                                                             \
        .offset = __builtin_offsetof(__sk_buff, uapi), .size = sizeof(__sk_buff::uapi),        \
        .struct_offset = __builtin_offsetof(SkBuff, ours), .struct_size = sizeof(SkBuff::ours) \
    }

// May be read in part; writable in whole.
constexpr ContextField number(ContextField row, Use use = Use::Read) {
    row.writable = use == Use::Write;
    return row;
}
// Only in whole.
constexpr ContextField whole(ContextField row, Use use = Use::Read) {
    row.narrow = false;
    row.writable = use == Use::Write;
    return row;
}
constexpr ContextField pointer(ContextField row, FieldKind kind) {
    row.narrow = false;
    row.kind = kind;
    return row;
}
// cb[]: any part, both ways.
constexpr ContextField scratch() {
    ContextField row = SKB_ROW(cb, cb);
    row.struct_size = sizeof(SkBuff::cb[0]);
    row.writable = true;
    row.partial_write = true;
    return row;
}

constexpr ContextField kFilterFields[] = {
    number(SKB_ROW(len, len)),
    number(SKB_ROW(pkt_type, pkt_type)),
    number(SKB_ROW(mark, mark)),
    number(SKB_ROW(queue_mapping, queue_mapping)),
    number(SKB_ROW(protocol, protocol)),
    number(SKB_ROW(vlan_present, vlan_present)),
    number(SKB_ROW(vlan_tci, vlan_tci)),
    number(SKB_ROW(vlan_proto, vlan_proto)),
    number(SKB_ROW(priority, priority)),
    number(SKB_ROW(ingress_ifindex, ingress_ifindex)),
    number(SKB_ROW(ifindex, ifindex)),
    number(SKB_ROW(tc_index, tc_index)),
    scratch(),
    number(SKB_ROW(hash, hash)),
    number(SKB_ROW(napi_id, napi_id)),
    number(SKB_ROW(gso_segs, gso_segs)),
    number(SKB_ROW(gso_size, gso_size)),
};

constexpr ContextField kSchedFields[] = {
    number(SKB_ROW(len, len)),
    number(SKB_ROW(pkt_type, pkt_type)),
    number(SKB_ROW(mark, mark), Use::Write),
    number(SKB_ROW(queue_mapping, queue_mapping), Use::Write),
    number(SKB_ROW(protocol, protocol)),
    number(SKB_ROW(vlan_present, vlan_present)),
    number(SKB_ROW(vlan_tci, vlan_tci)),
    number(SKB_ROW(vlan_proto, vlan_proto)),
    number(SKB_ROW(priority, priority), Use::Write),
    number(SKB_ROW(ingress_ifindex, ingress_ifindex)),
    number(SKB_ROW(ifindex, ifindex)),
    number(SKB_ROW(tc_index, tc_index), Use::Write),
    scratch(),
    number(SKB_ROW(hash, hash)),
    number(SKB_ROW(tc_classid, tc_classid), Use::Write),
    pointer(SKB_ROW(data, data), FieldKind::Packet),
    pointer(SKB_ROW(data_end, data_end), FieldKind::PacketEnd),
    number(SKB_ROW(napi_id, napi_id)),
    pointer(SKB_ROW(data_meta, data_meta), FieldKind::PacketMeta),
    whole(SKB_ROW(tstamp, tstamp), Use::Write),
    number(SKB_ROW(wire_len, wire_len)),
    number(SKB_ROW(gso_segs, gso_segs)),
    number(SKB_ROW(gso_size, gso_size)),
    whole(SKB_ROW(tstamp_type, tstamp_type)),
    whole(SKB_ROW(hwtstamp, hwtstamp)),
};
#undef SKB_ROW

template <size_t count>
constexpr u32 length_of(const ContextField (&)[count]) {
    return count;
}

const HelperProto* filter_helper(u32 func_id, const Prog*) {
    const HelperProto* proto = socket_filter_helper(func_id);
    return proto ? proto : base_helper_proto(func_id);
}
const HelperProto* traffic_control_helper(u32 func_id, const Prog*) {
    const HelperProto* proto = sched_helper(func_id);
    return proto ? proto : base_helper_proto(func_id);
}

constexpr ProgTypeOps sched_type(const char* name, u32 type) {
    return {
        .name = name,
        .type = type,
        .fields = kSchedFields,
        .field_count = length_of(kSchedFields),
        .ctx_size = sizeof(__sk_buff),
        .direct_packet_access = true,
        .direct_packet_write = true,
        .legacy_packet_access = true,
        .needs_net_admin = true,
        .unprivileged_allowed = false,
        .return_range_checked = false,
        .return_min = 0,
        .return_max = 0,
        .attach_type_ok = nullptr,
        .helper_proto = traffic_control_helper,
        .access_ok = nullptr,
        .test_run = skb_test_run,
    };
}

}  // namespace

constexpr ProgTypeOps kSocketFilterType = {
    .name = "socket_filter",
    .type = BPF_PROG_TYPE_SOCKET_FILTER,
    .fields = kFilterFields,
    .field_count = length_of(kFilterFields),
    .ctx_size = sizeof(__sk_buff),
    .direct_packet_access = false,
    .direct_packet_write = false,
    .legacy_packet_access = true,
    .needs_net_admin = false,
    .unprivileged_allowed = true,
    .return_range_checked = false,
    .return_min = 0,
    .return_max = 0,
    .attach_type_ok = nullptr,
    .helper_proto = filter_helper,
    .access_ok = nullptr,
    .test_run = skb_test_run,
};
constexpr ProgTypeOps kSchedClsType = sched_type("sched_cls", BPF_PROG_TYPE_SCHED_CLS);
constexpr ProgTypeOps kSchedActType = sched_type("sched_act", BPF_PROG_TYPE_SCHED_ACT);

}  // namespace barebpf
