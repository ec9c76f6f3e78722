// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// One program of fuzz_prog: loaded for both engines, run by both, compared.
#pragma once

#include <stdint.h>

#include "kernel/lib/types.h"
#include "uapi/linux/bpf.h"

namespace barebpf::fuzz {

// An input is this and instructions.
struct ProgHeader {
    u8 kind;       // what type of program: index into a table, modulo its size
    u8 length;     // of host memory in 8 bytes, of the packet in bytes
    u8 fill;       // what memory and packet hold at the start
    u8 placement;  // bit 0: at the start of its page, else at the end
    u8 reserved[4];
};
static_assert(sizeof(ProgHeader) == 8);

inline constexpr u32 kMaxInsns = 512;
inline constexpr u32 kFuzzMaps = 2;  // an array, a hash; a program names them by fd 0 and 1

// Helpers whose results are the same in each run, which programs are made of.
inline constexpr s32 kSteadyHelpers[] = {
    BPF_FUNC_map_lookup_elem, BPF_FUNC_map_update_elem, BPF_FUNC_map_delete_elem,
    BPF_FUNC_strtol,          BPF_FUNC_strtoul,         BPF_FUNC_strncmp,
    BPF_FUNC_xdp_adjust_head, BPF_FUNC_xdp_adjust_tail, BPF_FUNC_xdp_adjust_meta,
    BPF_FUNC_skb_load_bytes,  BPF_FUNC_skb_store_bytes, BPF_FUNC_csum_diff,
    BPF_FUNC_l3_csum_replace, BPF_FUNC_l4_csum_replace, BPF_FUNC_skb_change_tail,
    BPF_FUNC_skb_vlan_push,   BPF_FUNC_skb_vlan_pop,    BPF_FUNC_skb_adjust_room,
    BPF_FUNC_redirect,        BPF_FUNC_skb_pull_data,   BPF_FUNC_csum_update,
};

// FUZZ_PROG_PRINT=1 in the environment: each program, the verifier's log and what became of it are printed,
// for looking at a finding.
bool printing();

enum class Verdict : u8 { Refused, Ran, Compared };

// A fault or a disagreement does not return.
Verdict run_program(const ProgHeader& header, bpf_insn* insns, u32 count);
void print_program(const bpf_insn* insns, u32 count);

}  // namespace barebpf::fuzz
