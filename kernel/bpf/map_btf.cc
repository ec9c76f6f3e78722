// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
// The type information of a map's keys and values: what MAP_CREATE gives is held against the map,
// and special fields of the value (bpf_spin_lock) are found.
#include "kernel/bpf/btf.h"
#include "kernel/bpf/map_table.h"

namespace barebpf {
namespace {

constexpr u32 kSpinLockSize = sizeof(bpf_spin_lock);

bool equal(const char* a, const char* b) {
    while (a && *a && *a == *b) ++a, ++b;
    return a && *a == *b;
}

// The type behind modifiers, if its objects have that size.
const btf_type* type_of_size(const Btf* btf, u32 type_id, u32 size) {
    const btf_type* type = btf->type(btf->skip_modifiers(type_id));
    return type && btf->size_of(type_id) == size ? type : nullptr;
}

// An array's key is a plain 32-bit integer. Global data (.rodata, .data, .bss) has no key type.
Result<void> check_array_types(const Map* map, const btf_type* key, const btf_type* value) {
    if (!key) {
        const bool global_data = map->max_entries == 1 && btf_kind(value) == BTF_KIND_DATASEC;
        return global_data ? Result<void>{} : Errno::Inval;
    }
    if (btf_kind(key) != BTF_KIND_INT) return Errno::Inval;
    const u32 encoding = *Btf::extra<u32>(key);
    if (BTF_INT_BITS(encoding) != 32 || BTF_INT_OFFSET(encoding) != 0) return Errno::Inval;
    return {};
}

// Types whose values are no data of the caller's.
bool has_no_types(u32 map_type) {
    switch (map_type) {
        case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
        case BPF_MAP_TYPE_CGROUP_ARRAY:
        case BPF_MAP_TYPE_STACK_TRACE:
        case BPF_MAP_TYPE_ARRAY_OF_MAPS:
        case BPF_MAP_TYPE_HASH_OF_MAPS:
            return true;
        default:
            return false;
    }
}

Result<void> check_types_for(const Map* map, const btf_type* key, const btf_type* value) {
    if (map->type == BPF_MAP_TYPE_ARRAY || map->type == BPF_MAP_TYPE_PERCPU_ARRAY) {
        return check_array_types(map, key, value);
    }
    if (has_no_types(map->type)) return Errno::NotSupp;
    if (map->type == BPF_MAP_TYPE_BLOOM_FILTER) return key ? Errno::Inval : Result<void>{};
    if (!key) return Errno::Inval;
    const bool must_be_struct = map->type == BPF_MAP_TYPE_LPM_TRIE;
    return must_be_struct && btf_kind(key) != BTF_KIND_STRUCT ? Errno::Inval : Result<void>{};
}

bool is_spin_lock(const Btf* btf, u32 type_id) {
    const btf_type* type = btf->type(btf->skip_modifiers(type_id));
    return type && btf_kind(type) == BTF_KIND_STRUCT && type->size == kSpinLockSize &&
           equal(btf->string(type->name_off), "bpf_spin_lock");
}

// The offset of the one lock among the direct members of a struct; NoEnt when there is none.
Result<s32> find_spin_lock(const Btf* btf, const btf_type* value) {
    if (btf_kind(value) != BTF_KIND_STRUCT) return Errno::NoEnt;
    const auto* members = Btf::extra<btf_member>(value);
    s32 found = -1;
    for (u32 i = 0; i < btf_vlen(value); ++i) {
        if (!is_spin_lock(btf, members[i].type)) continue;
        if (found >= 0) return Errno::TooBig;
        const u32 bits = BTF_INFO_KFLAG(value->info) ? BTF_MEMBER_BIT_OFFSET(members[i].offset)
                                                     : members[i].offset;
        if (bits % 32 != 0) return Errno::Inval;
        found = static_cast<s32>(bits / 8);
    }
    if (found < 0) return Errno::NoEnt;
    return found;
}

Result<void> note_spin_lock(Map* map, const Btf* btf, const btf_type* value) {
    const Result<s32> offset = find_spin_lock(btf, value);
    if (!offset) return offset.error() == Errno::NoEnt ? Result<void>{} : offset.error();
    if (map->flags & BPF_F_RDONLY_PROG) return Errno::Acces;
    if (map->type != BPF_MAP_TYPE_HASH && map->type != BPF_MAP_TYPE_ARRAY) return Errno::NotSupp;
    map->spin_lock_offset = offset.value();
    return {};
}

Result<void> check_types(Map* map, const Btf* btf, const bpf_attr& attr) {
    const btf_type* key = nullptr;
    if (attr.btf_key_type_id) {
        key = type_of_size(btf, attr.btf_key_type_id, map->key_size);
        if (!key) return Errno::Inval;
    }
    const btf_type* value = type_of_size(btf, attr.btf_value_type_id, map->value_size);
    if (!value) return Errno::Inval;
    TRY(note_spin_lock(map, btf, value));
    return check_types_for(map, key, value);
}

}  // namespace

Result<void> map_attach_btf(Map* map, const bpf_attr& attr) {
    if (!attr.btf_key_type_id && !attr.btf_value_type_id) return {};
    Btf* btf = TRY(btf_get_by_fd(static_cast<int>(attr.btf_fd)));
    if (const auto checked = check_types(map, btf, attr); !checked) {
        btf_put(btf);
        return checked.error();
    }
    map->btf = btf;
    map->btf_key_type_id = attr.btf_key_type_id;
    map->btf_value_type_id = attr.btf_value_type_id;
    return {};
}

void map_detach_btf(Map* map) {
    if (map->btf) btf_put(map->btf);
    map->btf = nullptr;
}

void map_info_btf(const Map* map, bpf_map_info* info) {
    if (!map->btf) return;
    info->btf_id = map->btf->id;
    info->btf_key_type_id = map->btf_key_type_id;
    info->btf_value_type_id = map->btf_value_type_id;
}

}  // namespace barebpf
