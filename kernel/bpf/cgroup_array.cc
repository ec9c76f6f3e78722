// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// Array of cgroups: its shape only. A map can be made and described; no descriptor names a cgroup here, so
// its slots stay empty, and the helpers that would ask it are not offered. fd_array.h is the layout.
//
// Locking: none, and nothing to order: no update gets as far as the exchange of a slot, and a delete finds null there.
//
// Tests: fd_array_torture_test.cc; against Linux: array_kernel_test.cc.
#include "kernel/bpf/array_common.h"
#include "kernel/bpf/fd_array.h"
#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_types.h"

namespace barebpf {
namespace {

Result<void> check_attr(const bpf_attr& attr) {
    return fd_array_check_attr(attr, 0);
}

// Linux's answer to a descriptor of anything but a cgroup is the same as to none.
Result<void*> get_cgroup(Map*, int) {
    return Errno::BadF;
}

void put_cgroup(void*) {}

}  // namespace

constinit const MapOps kCgroupArrayMapOps = {
    .check_attr = check_attr,
    .create = fd_array_create,
    .free = fd_array_free,
    .erase = fd_array_erase,
    .next_key = array_next_key,
    .copy_value = fd_array_copy_value,
    .update_from_user = fd_array_update,
    .fd_get = get_cgroup,
    .fd_put = put_cgroup,
    .meta_equal = map_meta_equal,
};

}  // namespace barebpf
