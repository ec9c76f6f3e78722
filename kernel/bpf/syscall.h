// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// bpf(2): one entry, one table, one function per command.
//
//     bpf_command(command, attr, size)
//        copy attr in        shorter: zero-filled; longer: E2BIG unless the rest is zero
//        look up the command what lies behind its last field must be zero (EINVAL)
//        run it              Result<s64>: a descriptor, a number, 0
//
// A command's function gets its own copy of attr, and the caller's address of it for the fields
// that Linux writes back. Process context; may sleep; inside the library, not pinned.
#pragma once

#include "kernel/host/contract.h"
#include "kernel/lib/result.h"
#include "uapi/linux/bpf.h"

namespace barebpf {

// What bpf(2) returns: >= 0, or -errno.
s64 bpf_command(u32 command, host::UserAddress attr, u32 size);

using BpfCommand = Result<s64> (*)(const bpf_attr& attr, host::UserAddress uattr);

// syscall_map.cc, syscall_elem.cc
Result<s64> map_create(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> map_lookup_elem(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> map_update_elem(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> map_delete_elem(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> map_get_next_key(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> map_lookup_and_delete_elem(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> map_freeze(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> map_get_next_id(const bpf_attr& attr, host::UserAddress uattr);
Result<s64> map_get_fd_by_id(const bpf_attr& attr, host::UserAddress uattr);
// OBJ_GET_INFO_BY_FD finds the object and calls one of these.
struct Map;
Result<s64> map_info(Map* map, const bpf_attr& attr, host::UserAddress uattr);

// ── What commands of every kind need ──────────────────────────────────────────────────────────

// The access mode that BPF_F_RDONLY and BPF_F_WRONLY ask for; both: Inval.
Result<host::FileMode> file_mode_from_flags(u32 flags);
constexpr bool may_read(host::FileMode mode) {
    return mode != host::FileMode::WriteOnly;
}
constexpr bool may_write(host::FileMode mode) {
    return mode != host::FileMode::ReadOnly;
}

// A name of attr into `to` (BPF_OBJ_NAME_LEN bytes, zeroed behind): letters, digits, '_' and '.',
// with a NUL among the bytes. Inval otherwise.
Result<void> copy_object_name(char* to, const char* from);

// The frame of every *_GET_NEXT_ID: next(after) gives the smallest id above, or NoEnt.
Result<s64> put_next_id(const bpf_attr& attr, host::UserAddress uattr, Result<u32> (*next)(u32));

// OBJ_GET_INFO_BY_FD: the caller's struct may be shorter or longer than ours. begin_info() reads
// what both know of it into `info` and returns how much that is; end_info() writes so much back,
// and the size into attr.info.info_len. TooBig, Fault.
// info_size() is begin_info() for objects that are told nothing by what the caller's struct holds.
Result<u32> info_size(u32 size, const bpf_attr& attr);
Result<u32> begin_info(void* info, u32 size, const bpf_attr& attr);
Result<s64> end_info(host::UserAddress to, const void* info, u32 size, host::UserAddress uattr);

}  // namespace barebpf
