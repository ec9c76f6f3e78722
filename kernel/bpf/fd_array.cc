// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/fd_array.h"

#include "kernel/bpf/array_common.h"
#include "kernel/bpf/map_types.h"

namespace barebpf {
namespace {

using host::Order;

FdArray* array_of(Map* map) {
    return static_cast<FdArray*>(map);
}

}  // namespace

Result<void> fd_array_check_attr(const bpf_attr& attr, u32 own_flags) {
    if (attr.value_size != sizeof(u32)) return Errno::Inval;
    // What a program reads here is an address: there is nothing to write, and no way not to read.
    if (attr.map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) return Errno::Inval;
    return check_array_attr(attr, own_flags);
}

Result<Map*> fd_array_create(const bpf_attr& attr) {
    const ArrayLayout layout = TRY(array_layout(attr.max_entries));
    const size_t bytes = FdArray::bytes(layout.slots);
    void* memory = alloc_map_struct(bytes);
    if (!memory) return Errno::NoMem;
    auto* map = construct_at<FdArray>(memory);
    map->memory.charge(bytes);
    map->max_entries = attr.max_entries;  // free() needs it even if nothing else was filled
    map->bypass_spec_v1 = layout.bypass_spec_v1;
    map->index_mask = layout.index_mask;
    map->slot_count = layout.slots;
    return static_cast<Map*>(map);
}

void fd_array_empty(Map* map) {
    for (u32 i = 0; i < map->max_entries; ++i) {
        void* object = array_of(map)->slots()[i].exchange(nullptr, Order::AcqRel);
        if (object) map->ops->fd_put(object);
    }
}

void fd_array_free(Map* map) {
    fd_array_empty(map);
    const size_t bytes = FdArray::bytes(array_of(map)->slot_count);
    array_of(map)->~FdArray();
    free_map_struct(map, bytes);
}

s64 fd_array_copy_value(Map* map, const void* key, void* value, u64) {
    if (!map->ops->fd_id) return -to_int(Errno::NotSupp);
    void* object = array_of(map)->get(array_index(key));
    if (!object) return -to_int(Errno::NoEnt);
    const u32 id = map->ops->fd_id(object);
    __builtin_memcpy(value, &id, sizeof id);
    return 0;
}

s64 fd_array_update(Map* map, const void* key, const void* value, u64 flags) {
    if (flags != BPF_ANY) return -to_int(Errno::Inval);
    const u32 index = array_index(key);
    if (index >= map->max_entries) return -to_int(Errno::TooBig);
    s32 fd;
    __builtin_memcpy(&fd, value, sizeof fd);
    const Result<void*> object = map->ops->fd_get(map, fd);
    if (!object) return -to_int(object.error());
    void* old = array_of(map)->slot(index).exchange(object.value(), Order::AcqRel);
    if (old) map->ops->fd_put(old);
    return 0;
}

s64 fd_array_erase(Map* map, const void* key) {
    const u32 index = array_index(key);
    if (index >= map->max_entries) return -to_int(Errno::TooBig);
    void* old = array_of(map)->slot(index).exchange(nullptr, Order::AcqRel);
    if (!old) return -to_int(Errno::NoEnt);
    map->ops->fd_put(old);
    return 0;
}

}  // namespace barebpf
