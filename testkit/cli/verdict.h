// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a return value means, by program type.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <string>

namespace barebpf::cli {

// Whether packets are what programs of this type run on here.
bool runs_on_packets(bpf_prog_type type);

// XDP_PASS, TC_ACT_SHOT, "accepted, at most 64 bytes", ...
std::string verdict_name(bpf_prog_type type, int64_t value);

// Signed where the verdicts are (TC), else as returned.
int64_t verdict_value(bpf_prog_type type, uint32_t returned);

// How many bytes of a frame of that size go on; 0: none, it ends here. A socket filter counts from
// behind the link header.
uint32_t passed_bytes(bpf_prog_type type, int64_t value, uint32_t size);

}  // namespace barebpf::cli
