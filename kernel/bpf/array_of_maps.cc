// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Array of maps: fd_array.h is its layout, map_in_map.h says what may be inside.
//
// A program's lookup gives the inner map itself, or null. User space puts maps in by descriptor and
// reads their ids; programs cannot write.
//
// Locking: none. A look-up pairs with the release of the exchange in fd_array.cc: by its acquire, or, emitted, by
// the dependency on the address that it loads. The inner map is there until the program's RCU read section ends: at
// zero references map_put() frees after a grace period, and an update or delete by bpf(2) waits for one before it
// returns (syscall_elem.h).
//
// Tests: map_in_map_test.cc; replacement under look-ups: map_in_map_torture_test.cc, array_inject_test.cc and, one
// interleaving after the other, the explorer's scenario array_of_maps; against Linux: array_kernel_test.cc.
#include "kernel/bpf/array_common.h"
#include "kernel/bpf/fd_array.h"
#include "kernel/bpf/insn.h"
#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_types.h"

namespace barebpf {
namespace {

Result<void> check_attr(const bpf_attr& attr) {
    return fd_array_check_attr(attr, 0);
}

void* lookup(Map* map, const void* key) {
    return static_cast<FdArray*>(map)->get(array_index(key));
}

// R0 = slot number *(u32*)R2 of R1, or 0.
//
//     r0 = *(u32*)(r2 + 0)
//     if r0 >= max_entries goto none
//     w0 &= mask                        only for maps of the unprivileged
//     r0 <<= 3
//     r0 += r1
//     r0 = *(u64*)(r0 + kSlotsOffset)   the address orders it before what it points to
//     goto end
//     none: r0 = 0
//     end:
u32 emit_lookup(const Map* map, bpf_insn* out, u32 capacity) {
    using namespace insn;
    constexpr u32 kLength = 8;
    if (capacity < kLength || map->max_entries > 0x7fffffff) return 0;
    u32 n = 0;
    out[n++] = load(BPF_W, R0, R2, 0);
    const u32 branch = n++;
    if (!map->bypass_spec_v1) {
        out[n++] = alu32_imm(BPF_AND, R0, static_cast<s32>(index_mask_for(map->max_entries)));
    }
    out[n++] = alu_imm(BPF_LSH, R0, 3);
    out[n++] = alu(BPF_ADD, R0, R1);
    out[n++] = load(BPF_DW, R0, R0, FdArray::kSlotsOffset);
    out[n++] = go(1);
    out[branch] =
        jump_imm(BPF_JGE, R0, static_cast<s32>(map->max_entries), static_cast<s16>(n - branch - 1));
    out[n++] = mov_imm(R0, 0);
    return n;
}

}  // namespace

constinit const MapOps kArrayOfMapsOps = {
    .check_attr = check_attr,
    .create = fd_array_create,
    .free = fd_array_free,
    .lookup = lookup,
    .erase = fd_array_erase,
    .next_key = array_next_key,
    .copy_value = fd_array_copy_value,
    .update_from_user = fd_array_update,
    .batch_commands = kBatchLookup | kBatchUpdate,
    .fd_get = map_in_map_get,
    .fd_put = map_in_map_put,
    .fd_id = map_in_map_id,
    .emit_lookup = emit_lookup,
};

}  // namespace barebpf
