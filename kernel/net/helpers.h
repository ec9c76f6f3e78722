// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What the network program types share: how their helper tables are searched, the request that
// bpf_redirect() leaves behind, and the helpers that know no packet.
//
// Context: any, NMI included; the redirect request belongs to the CPU that the code is pinned to.
#pragma once

#include "kernel/bpf/helpers.h"
#include "kernel/net/packet.h"

namespace barebpf {

struct NetHelper {
    u32 id;
    HelperProto proto;
};

// The row with this id, or null.
template <size_t count>
const HelperProto* find_net_helper(const NetHelper (&table)[count], u32 id) {
    for (const NetHelper& row : table) {
        if (row.id == id) return &row.proto;
    }
    return nullptr;
}

constexpr u64 helper_failure(Errno error) {
    return static_cast<u64>(s64{-to_int(error)});
}

// A program asks, the host acts after the run. The helper has no context argument, so the request is this
// CPU's until whoever ran the program takes it. Nobody posted since the last take: all zero.
void post_redirect(const RedirectRequest& request);
RedirectRequest take_redirect();

// bpf_csum_diff(). The running sum of `to` less `from`, folded to 16 bits as Linux does since 6.13.
u64 bpf_csum_diff(u64 from, u64 from_size, u64 to, u64 to_size, u64 seed);

// Prototypes: what returns an integer, and the ways in which some differ.
constexpr HelperProto helper_row(const char* name, BpfFunction function, ArgType a = ArgType::None,
                                 ArgType b = ArgType::None, ArgType c = ArgType::None,
                                 ArgType d = ArgType::None, ArgType e = ArgType::None) {
    return {.name = name, .function = function, .ret = RetType::Integer, .args = {a, b, c, d, e}};
}
constexpr HelperProto moves_packet(HelperProto row) {
    row.changes_packet_data = true;
    return row;
}
constexpr HelperProto takes_packet(HelperProto row) {
    row.packet_access = true;
    return row;
}

inline constexpr HelperProto kCsumDiffProto =
    takes_packet(helper_row("csum_diff", bpf_csum_diff, ArgType::MemOrNull, ArgType::SizeOrZero,
                            ArgType::MemOrNull, ArgType::SizeOrZero, ArgType::Anything));

}  // namespace barebpf
