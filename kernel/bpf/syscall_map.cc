// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// bpf(2): maps as objects: making, finding, describing, freezing. Elements are in syscall_elem.cc.
#include "kernel/bpf/map_in_map.h"
#include "kernel/bpf/map_table.h"
#include "kernel/bpf/syscall.h"
#include "kernel/host/cred.h"
#include "kernel/host/fd.h"

namespace barebpf {
namespace {

using host::Capability;
using host::UserAddress;

constexpr u32 kNoNumaNode = ~u32{0};

// What does not depend on the type, in Linux's order.
Result<host::FileMode> check_create(const bpf_attr& attr) {
    if (attr.btf_vmlinux_value_type_id) {
        const bool struct_ops = attr.map_type == BPF_MAP_TYPE_STRUCT_OPS;
        if (!struct_ops || attr.btf_key_type_id || attr.btf_value_type_id) return Errno::Inval;
    } else if (attr.btf_key_type_id && !attr.btf_value_type_id) {
        return Errno::Inval;
    }
    if (attr.map_extra != 0 && attr.map_type != BPF_MAP_TYPE_BLOOM_FILTER) return Errno::Inval;
    const host::FileMode mode = TRY(file_mode_from_flags(attr.map_flags));
    // There is one node here.
    if ((attr.map_flags & BPF_F_NUMA_NODE) && attr.numa_node != 0 &&
        attr.numa_node != kNoNumaNode) {
        return Errno::Inval;
    }
    return mode;
}

// No device here takes maps. Elsewhere some take these two types.
Errno why_not_offloaded(const bpf_attr& attr) {
    constexpr u32 kLoopback = 1;
    const bool type_fits =
        attr.map_type == BPF_MAP_TYPE_HASH || attr.map_type == BPF_MAP_TYPE_ARRAY;
    return type_fits && attr.map_ifindex == kLoopback ? Errno::OpNotSupp : Errno::Inval;
}

// With what its inner maps must be like, if it is to have such.
Result<Map*> create(const MapOps* ops, const bpf_attr& attr) {
    Map* meta = nullptr;
    if (is_map_of_maps(attr.map_type)) {
        meta = TRY(map_meta_alloc(static_cast<int>(attr.inner_map_fd)));
    }
    const Result<Map*> map = ops->create(attr);
    if (!map) {
        map_meta_free(meta);
        return map.error();
    }
    map.value()->inner_meta = meta;
    return map.value();
}

// No descriptor and no id yet: nobody else knows the map.
Result<void> complete(Map* map, const MapOps* ops, const bpf_attr& attr) {
    map_init_from_attr(map, ops, attr);
    TRY(copy_object_name(map->name, attr.map_name));
    TRY(map_attach_btf(map, attr));
    return map_publish(map);
}

Result<s64> install(Map* map, host::FileMode mode) {
    const Result<int> fd = host::install_fd(map, mode);
    if (fd) return s64{fd.value()};
    map_put_with_uref(map);
    return fd.error();
}

}  // namespace

Result<s64> map_create(const bpf_attr& attr, UserAddress) {
    const host::FileMode mode = TRY(check_create(attr));
    const MapOps* ops = map_ops(attr.map_type);
    if (!ops) return Errno::Inval;
    TRY(ops->check_attr(attr));
    if (attr.map_ifindex) return why_not_offloaded(attr);
    Map* map = TRY(create(ops, attr));
    if (const auto done = complete(map, ops, attr); !done) {
        map_free(map);
        return done.error();
    }
    return install(map, mode);
}

Result<s64> map_get_next_id(const bpf_attr& attr, UserAddress uattr) {
    return put_next_id(attr, uattr, map_next_id);
}

Result<s64> map_get_fd_by_id(const bpf_attr& attr, UserAddress) {
    if (attr.open_flags & ~u32{BPF_F_RDONLY | BPF_F_WRONLY}) return Errno::Inval;
    if (!host::capable(Capability::SysAdmin)) return Errno::Perm;
    const host::FileMode mode = TRY(file_mode_from_flags(attr.open_flags));
    Map* map = TRY(map_get_by_id(attr.map_id));
    map->user_refs.fetch_add(1, host::Order::Relaxed);
    return install(map, mode);
}

Result<s64> map_info(Map* map, const bpf_attr& attr, UserAddress uattr) {
    bpf_map_info info{};
    const u32 size = TRY(info_size(sizeof info, attr));
    info.type = map->type;
    info.id = map->id;
    info.key_size = map->key_size;
    info.value_size = map->value_size;
    info.max_entries = map->max_entries;
    info.map_flags = map->flags;
    info.map_extra = map->extra;
    __builtin_memcpy(info.name, map->name, sizeof info.name);
    map_info_btf(map, &info);
    return end_info(UserAddress{attr.info.info}, &info, size, uattr);
}

Result<s64> map_freeze(const bpf_attr& attr, UserAddress) {
    const MapRef ref = TRY(map_get_by_fd(static_cast<int>(attr.map_fd)));
    const auto freeze = [&]() -> Result<s64> {
        if (ref.map->type == BPF_MAP_TYPE_STRUCT_OPS || ref.map->timer_offset >= 0) {
            return Errno::NotSupp;
        }
        if (!may_write(ref.mode) || ref.map->refs.is_frozen()) return Errno::Perm;
        if (!ref.map->refs.try_freeze()) return Errno::Busy;
        return s64{0};
    };
    const Result<s64> result = freeze();
    map_put(ref.map);
    if (!result) return result.error();
    return result.value();
}

}  // namespace barebpf
