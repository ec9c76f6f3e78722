// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "testkit/cli/verdict.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <algorithm>

namespace barebpf::cli {

namespace {

constexpr int64_t kLinkHeader = 14;

bool is_tc(bpf_prog_type type) {
    return type == BPF_PROG_TYPE_SCHED_CLS || type == BPF_PROG_TYPE_SCHED_ACT;
}

std::string xdp_name(int64_t value) {
    static constexpr const char* kNames[] = {"XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX",
                                             "XDP_REDIRECT"};
    if (value >= 0 && value < 5) return kNames[value];
    return "unknown " + std::to_string(value) + " (Linux drops it)";
}

std::string tc_name(int64_t value) {
    static constexpr const char* kNames[] = {
        "TC_ACT_UNSPEC", "TC_ACT_OK",     "TC_ACT_RECLASSIFY", "TC_ACT_SHOT",     "TC_ACT_PIPE",
        "TC_ACT_STOLEN", "TC_ACT_QUEUED", "TC_ACT_REPEAT",     "TC_ACT_REDIRECT", "TC_ACT_TRAP"};
    if (value >= -1 && value < 9) return kNames[value + 1];
    return "unknown " + std::to_string(value) + " (taken for TC_ACT_UNSPEC)";
}

}  // namespace

bool runs_on_packets(bpf_prog_type type) {
    return type == BPF_PROG_TYPE_XDP || type == BPF_PROG_TYPE_SOCKET_FILTER || is_tc(type);
}

std::string verdict_name(bpf_prog_type type, int64_t value) {
    if (type == BPF_PROG_TYPE_XDP) return xdp_name(value);
    if (is_tc(type)) return tc_name(value);
    if (value == 0) return "dropped";
    return "accepted, at most " + std::to_string(value) + (value == 1 ? " byte" : " bytes");
}

int64_t verdict_value(bpf_prog_type type, uint32_t returned) {
    return is_tc(type) ? int64_t{static_cast<int32_t>(returned)} : int64_t{returned};
}

uint32_t passed_bytes(bpf_prog_type type, int64_t value, uint32_t size) {
    if (type == BPF_PROG_TYPE_XDP)
        return value == XDP_PASS || value == XDP_TX || value == XDP_REDIRECT ? size : 0;
    if (is_tc(type)) {
        const bool ends = value == TC_ACT_SHOT || value == TC_ACT_STOLEN ||
                          value == TC_ACT_QUEUED || value == TC_ACT_TRAP;
        return ends ? 0 : size;
    }
    return value ? static_cast<uint32_t>(std::min<int64_t>(value + kLinkHeader, size)) : 0;
}

}  // namespace barebpf::cli
