// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// What a program type is to the core: its context, its helpers, its test run. One table a type; the types
// themselves live beside what they act on (kernel/net).
//
// A context is a structure of ours (XdpBuff, SkBuff) that the program sees through Linux's UAPI structure
// (xdp_md, __sk_buff). Each UAPI field is a row that tells the verifier what may be done with it and the
// fix-ups which bytes of our structure stand for it:
//
//     program   r2 = *(u32 *)(r1 +76)       __sk_buff.data
//     runs      r2 = *(u64 *)(r1 +offset of SkBuff::data)
#pragma once

#include "kernel/bpf/helpers.h"
#include "kernel/host/usercopy.h"

namespace barebpf {

// What a load of a context field yields.
enum class FieldKind : u8 {
    Scalar,
    Packet,      // __sk_buff.data, xdp_md.data
    PacketMeta,  // data_meta
    PacketEnd,   // data_end
    Pad,         // a hole of the UAPI structure: no access
};

struct ContextField {
    u16 offset;         // in the UAPI structure
    u16 size;           // there: 1, 4 or 8; an array (cb[5]) is one row with its whole size
    u16 struct_offset;  // in ours
    u8 struct_size;     // there: 1, 2, 4, 8, of one element
    FieldKind kind = FieldKind::Scalar;
    bool writable = false;
    bool narrow = true;          // may be read in part, at any aligned sub-range
    bool partial_write = false;  // may also be written in part (cb[])
};

struct ProgTypeOps {
    const char* name;  // "xdp"
    u32 type;
    const ContextField* fields;
    u32 field_count;
    u32 ctx_size;               // of the UAPI structure
    bool direct_packet_access;  // packet pointers may be dereferenced
    bool direct_packet_write;
    bool legacy_packet_access;  // BPF_LD_ABS and BPF_LD_IND
    bool needs_net_admin;       // CAP_NET_ADMIN besides CAP_BPF
    bool unprivileged_allowed;
    // Which return values the verifier must prove; false: any.
    bool return_range_checked;
    u32 return_min, return_max;
    // Whether this expected_attach_type goes with the type (0 is fine for all of them here).
    bool (*attach_type_ok)(u32 attach_type);
    // Prototype of a helper offered to this type: its own or base_helper_proto()'s; null: unknown func.
    const HelperProto* (*helper_proto)(u32 func_id, const Prog* prog);
    // Whether a field may be used this way beyond what the row says (attach type, direct action ...);
    // null: the row decides.
    bool (*access_ok)(const ContextField& field, bool write, const Prog* prog);
    // BPF_PROG_TEST_RUN; null: ENOTSUPP.
    Result<void> (*test_run)(Prog* prog, const bpf_attr& attr, host::UserAddress uattr);
};

// Null: a type that is not built.
const ProgTypeOps* prog_type_ops(u32 prog_type);

}  // namespace barebpf
