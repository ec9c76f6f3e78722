// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "kernel/bpf/map_in_map.h"

#include "kernel/bpf/map_types.h"

namespace barebpf {
namespace {

Result<void> check_inner(const Map* inner) {
    if (inner->inner_meta) return Errno::Inval;  // one level
    if (!inner->ops->meta_equal) return Errno::NotSupp;
    // Two inner maps with a lock at the same place are not one lock to the verifier.
    if (inner->spin_lock_offset >= 0) return Errno::NotSupp;
    return {};
}

void copy_meta(Map* meta, const Map* inner) {
    meta->ops = inner->ops;
    meta->is_meta = true;
    meta->type = inner->type;
    meta->key_size = inner->key_size;
    meta->value_size = inner->value_size;
    meta->max_entries = inner->max_entries;
    meta->flags = inner->flags;
    meta->extra = inner->extra;
    meta->timer_offset = inner->timer_offset;
    meta->bypass_spec_v1 = inner->bypass_spec_v1;
}

Result<Map*> new_meta(const Map* inner) {
    TRY(check_inner(inner));
    Map* meta = new_map<Map>();
    if (!meta) return Errno::NoMem;
    copy_meta(meta, inner);
    return meta;
}

}  // namespace

Result<Map*> map_meta_alloc(int fd) {
    Map* inner = TRY(map_get_by_fd(fd))
    .map;
    const Result<Map*> meta = new_meta(inner);
    map_put(inner);
    if (!meta) return meta.error();
    return meta.value();
}

void map_meta_free(Map* meta) {
    if (meta) delete_map(meta);
}

bool map_meta_equal(const Map* meta, const Map* inner) {
    return meta->type == inner->type && meta->key_size == inner->key_size &&
           meta->value_size == inner->value_size && meta->flags == inner->flags &&
           meta->timer_offset == inner->timer_offset;
}

Result<void*> map_in_map_get(Map* outer, int fd) {
    Map* inner = TRY(map_get_by_fd(fd))
    .map;
    const Map* meta = outer->inner_meta;
    if (!inner->inner_meta && inner->spin_lock_offset < 0 && meta->ops->meta_equal(meta, inner)) {
        return static_cast<void*>(inner);
    }
    map_put(inner);
    return Errno::Inval;
}

void map_in_map_put(void* inner) {
    map_put(static_cast<Map*>(inner));
}

u32 map_in_map_id(void* inner) {
    return static_cast<Map*>(inner)->id;
}

}  // namespace barebpf
